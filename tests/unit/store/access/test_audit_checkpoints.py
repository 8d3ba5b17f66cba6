# SPDX-License-Identifier: AGPL-3.0-or-later
"""The signatures of checkpoints, against another implementation of Ed25519: auditors verify them with `cryptography` or OpenSSL."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.database import T
from z4j.exceptions import StoreError
from z4j.rules.audit.checkpoints import signed_text
from z4j.rules.audit.verification import Position
from z4j.store.access.audit_checkpoints import Signer

SEED = bytes(range(32))


def signer(folder: Path, seed: bytes = SEED) -> Signer:
    (folder / "audit.ed25519").write_bytes(seed)
    return Signer(folder)


def test_signatures_and_keys_are_those_of_another_implementation(tmp_path: Path) -> None:
    ours, theirs = signer(tmp_path), Ed25519PrivateKey.from_private_bytes(SEED)
    point = ours.sign(T, Position(5, b"m" * 32, b"d" * 32))
    assert point.signature == theirs.sign(signed_text(point))
    assert base64.b64decode(ours.public_text) == theirs.public_key().public_bytes_raw()
    pem = theirs.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert ours.public_pem.encode() == pem


def test_a_key_is_created_once(tmp_path: Path) -> None:
    first = Signer(tmp_path)
    assert Signer(tmp_path).public_text == first.public_text
    seed = (tmp_path / "audit.ed25519").read_bytes()
    assert base64.b64decode(first.public_text) == Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def test_a_file_of_another_length_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not an audit signing key"):
        signer(tmp_path, SEED + b"x")


def test_only_the_signature_of_this_text_is_ours(tmp_path: Path) -> None:
    ours = signer(tmp_path)
    point = ours.sign(T, Position(5, b"m" * 32, b"d" * 32))
    assert ours.why_not_ours(point) == ""
    flipped = bytes([point.signature[0] ^ 1]) + point.signature[1:]
    for changed in (replace(point, seq=6), replace(point, digest=b"e" * 32), replace(point, signature=flipped)):
        assert ours.why_not_ours(changed) == "the signature of checkpoint 1 is wrong"
    (tmp_path / "other").mkdir()
    other = signer(tmp_path / "other", SEED[::-1])
    assert "which is not available" in ours.why_not_ours(other.sign(T, Position(5, b"m" * 32, b"d" * 32)))


@pytest.mark.parametrize("signature", [b"", b"x" * 63, b"x" * 65, "x" * 64, None, 7])
def test_a_database_with_another_value_in_place_of_a_signature_is_reported(tmp_path: Path, signature: Any) -> None:
    """SQLite stores a value of any type in the column. It is a wrong signature, not an error of the program."""
    ours = signer(tmp_path)
    point = replace(ours.sign(T, Position(5, b"m" * 32, b"d" * 32)), signature=signature)
    assert ours.why_not_ours(point) == "the signature of checkpoint 1 is wrong"
