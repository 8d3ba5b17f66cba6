# SPDX-License-Identifier: AGPL-3.0-or-later
"""Checkpoints of the audit log: the digest up to a row under an Ed25519 signature, numbered and chained. Pure.

Each checkpoint names the one before it, so that a log without one of its checkpoints does not verify. Checkpoints from before version
0.1's schema 10 (`previous` is empty) carry a signature over fewer fields; the first chained one binds the last of them and their count.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from z4j.rules.audit.entries import GENESIS


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The digest up to row `seq`, signed at `at` (microseconds UTC) with the Ed25519 key `key_id`. `previous` is the `link` of the one
    before it."""

    number: int
    seq: int
    at: int
    digest: bytes
    previous: bytes
    key_id: str
    signature: bytes

    @property
    def is_chained(self) -> bool:
        """Whether number and predecessor are part of what is signed."""
        return self.previous != b""


def signed_text(point: Checkpoint) -> bytes:
    """Returns the bytes that the signature covers."""
    if not point.is_chained:
        return b"z4j audit head v1\0" + _json([point.seq, point.at, point.digest.hex(), point.key_id])
    facts: list[int | str] = [point.number, point.seq, point.at, point.digest.hex(), point.previous.hex(), point.key_id]
    return b"z4j audit checkpoint v2\0" + _json(facts)


def link(point: Checkpoint | None) -> bytes:
    """Returns the digest that the next checkpoint contains as its `previous`."""
    return GENESIS if point is None else hashlib.sha256(b"z4j audit link v2\0" + signed_text(point)).digest()


def why_not_next(before: Checkpoint | None, point: Checkpoint) -> str:
    """Returns what is wrong with `point` as the checkpoint after `before`; "" if nothing is."""
    expected = before.number + 1 if before else 1
    if point.number != expected:
        return f"checkpoint {expected} is missing; the next one is checkpoint {point.number}"
    if before is not None and point.seq <= before.seq:
        return f"checkpoint {point.number} covers fewer rows than the one before it"
    if point.is_chained:
        return "" if point.previous == link(before) else f"checkpoint {point.number} does not contain the digest of the previous checkpoint"
    return (
        f"checkpoint {point.number} does not contain the digest of the previous checkpoint, unlike newer checkpoints"
        if before and before.is_chained
        else ""
    )


def _json(facts: list[int | str]) -> bytes:
    return json.dumps(facts, separators=(",", ":")).encode("ascii")
