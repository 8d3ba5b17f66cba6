# SPDX-License-Identifier: Apache-2.0
"""An original comes back as it was, or is refused with the check that refused it: nobody without the application's key can make,
change or exchange one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import zlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from z4j_agent.capture.originals import (
    MAX_ORIGINAL,
    MAX_TEXT,
    Binding,
    CannotOpen,
    Opened,
    close_original,
    is_name_proved,
    open_original,
    prove_name,
)  # fmt: skip
from z4j_agent.settings import SealKey

KEY = SealKey.parse(base64.urlsafe_b64encode(bytes(32)).decode())
OTHER = SealKey.parse(base64.urlsafe_b64encode(bytes(range(32))).decode())
OF = Binding("e", "t", "production", "mail.send", "mail", "main")


def closed(data: dict[str, Any], binding: Binding = OF, *, is_masked: bool, key: SealKey = KEY) -> bytes:
    sealed, state = close_original(data, binding, is_masked=is_masked, key=key)
    assert state == ("sealed" if is_masked else "plain")
    assert sealed is not None
    assert sealed[0] == key.key_id
    return sealed[1]


def opened(blob: bytes, binding: Binding = OF, keys: tuple[SealKey, ...] = (KEY,), key_id: str | None = None) -> Opened:
    return open_original(blob, binding.engine, binding.task_id, binding.environment, key_id=key_id, keys=keys)


def refused(blob: bytes, binding: Binding = OF, keys: tuple[SealKey, ...] = (KEY,)) -> str:
    with pytest.raises(CannotOpen) as error:
        opened(blob, binding, keys)
    return error.value.check


@pytest.mark.parametrize("is_masked", [False, True])
def test_it_comes_back_with_all_that_decides_what_runs_where(is_masked: bool) -> None:
    for data in ({"body": "x"}, {"body": "x" * 10_000}, {"text": "é\ud800"}):
        assert opened(closed(data, is_masked=is_masked)) == Opened(data, OF)
    assert b"x" * 10 not in closed({"body": "x" * 10}, is_masked=True)


@pytest.mark.parametrize("is_masked", [False, True])
def test_it_belongs_to_one_task_environment_and_key(is_masked: bool) -> None:
    blob = closed({"body": "x"}, is_masked=is_masked)
    for part in ("engine", "task_id", "environment"):
        assert refused(blob, OF._replace(**{part: "another"})) == "original.altered"
    assert refused(blob, Binding("et", "", "production", "", "")) == "original.altered", "where a part ends is bound, too"
    assert refused(blob, keys=(OTHER,)) == "original.key"
    assert opened(closed({"body": "x"}, is_masked=is_masked, key=OTHER), keys=(KEY, OTHER)).data == {"body": "x"}
    stolen_id = SealKey(KEY.key_id, OTHER.secret)
    assert refused(closed({"body": "x"}, is_masked=is_masked, key=stolen_id)) == "original.altered"


@given(st.booleans(), st.data())
@settings(deadline=None)
def test_no_byte_can_be_changed(is_masked: bool, data: st.DataObject) -> None:
    blob = bytearray(closed({"body": "x" * 300}, is_masked=is_masked))
    position, bit = data.draw(st.integers(0, len(blob) - 1)), data.draw(st.integers(0, 7))
    blob[position] ^= 1 << bit
    with pytest.raises(CannotOpen):
        opened(bytes(blob))
    with pytest.raises(CannotOpen):
        opened(bytes(blob[:position]))


def test_a_plain_original_is_no_seal_and_a_seal_is_not_read_as_plain() -> None:
    plain, sealed = closed({"body": "x"}, is_masked=False), closed({"body": "x"}, is_masked=True)
    assert refused(plain[:1] + b"\x01" + plain[2:]) == "original.altered"
    assert refused(sealed[:1] + b"\x02" + sealed[2:]) == "original.altered"


def test_what_older_agents_kept() -> None:
    packed = b'\x00{"body":"x"}'
    assert refused(packed) == "original.proof", "unsealed: anybody can have made it"
    assert refused(b"\x01" + zlib.compress(packed[1:])) == "original.proof"
    nonce = os.urandom(12)
    sealed = b"\x02" + nonce + AESGCM(KEY.secret).encrypt(nonce, packed, b"e\0t")
    assert opened(sealed, key_id=KEY.key_id) == Opened({"body": "x"}, None), "sealed by this application, but bound to no name"
    with pytest.raises(CannotOpen, match="Z4J_SEAL_KEYS"):
        opened(sealed, key_id=OTHER.key_id)
    with pytest.raises(CannotOpen) as error:
        opened(sealed, OF._replace(task_id="other"), key_id=KEY.key_id)
    assert error.value.check == "original.altered"


def test_what_is_not_kept() -> None:
    for is_masked in (False, True):
        assert close_original({"body": "x"}, OF, is_masked=is_masked, key=None) == (None, "no_key")
        assert close_original({"body": os.urandom(MAX_ORIGINAL).hex()}, OF, is_masked=is_masked, key=KEY) == (None, "too_large")
        assert close_original({"body": "x" * (MAX_TEXT + 1)}, OF, is_masked=is_masked, key=KEY) == (None, "too_large")
        assert close_original({"body": ["x" * MAX_TEXT]}, OF, is_masked=is_masked, key=KEY) == (None, "too_large")
        assert close_original({"body": object()}, OF, is_masked=is_masked, key=KEY) == (None, "none")


@pytest.mark.parametrize("blob", [b"", b"\x07x", b"\x03", b"\x03\x02", b"\x02short", b"\x00" + b"[" * 100_000])
def test_damaged_originals(blob: bytes) -> None:
    with pytest.raises(CannotOpen):
        opened(blob, key_id=KEY.key_id)


@given(st.text(min_size=1), st.text(min_size=1))
@settings(deadline=None)
def test_a_proof_is_for_one_name_of_one_engine(name: str, other: str) -> None:
    proof = prove_name(KEY, "rq", name)
    assert is_name_proved(proof, "rq", name, (OTHER, KEY))
    assert not is_name_proved(proof, "huey", name, (KEY,))
    assert not is_name_proved(proof, "rq", name, (OTHER,))
    assert is_name_proved(proof, "rq", other, (KEY,)) == (name == other)


@pytest.mark.parametrize("proof", [None, 7, {}, "", ".", "é.ü", f"{KEY.key_id}.", f"{KEY.key_id}.\ud800"])
def test_no_nonsense_is_a_proof(proof: Any) -> None:
    assert not is_name_proved(proof, "rq", "f", (KEY,))


def test_an_unsealed_original_is_authenticated_by_hmac() -> None:
    """Agents of every version check it, so it must stay HMAC-SHA-256 whatever computes it."""
    closed, state = close_original({"body": "[1]"}, OF, is_masked=False, key=KEY)
    assert closed is not None
    header, mac, packed = closed[1][:6], closed[1][6:22], closed[1][22:]
    context = header + OF.associated_data()
    derived = hmac.digest(KEY.secret, b"z4j original mac", hashlib.sha256)
    assert (state, mac) == ("plain", hmac.digest(derived, b"%d:%b%b" % (len(context), context, packed), hashlib.sha256)[:16])
    assert OF.associated_data() == b"1:e1:t10:production"
