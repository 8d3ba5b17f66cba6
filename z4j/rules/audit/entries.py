# SPDX-License-Identifier: AGPL-3.0-or-later
"""The rows of the audit log and what exactly is signed of them. Pure.

Each row's MAC is HMAC-SHA256 over the MAC before it and the row in one canonical form, so that an edited, deleted, inserted or
reordered row breaks everything behind it.

The MAC needs the server's secret to be checked. Beside it runs a digest that anybody can compute: SHA-256 over the digest before it,
the row and its MAC. A checkpoint is the digest up to a row with an Ed25519 signature (`audit_checkpoints.py`). The whole log is checked
by `audit_walk.py`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Final

GENESIS: Final = b"\0" * 32
ANY: Final = -1


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One action. `at` is microseconds UTC; `outcome` is done, refused or failed; `detail` is JSON text."""

    seq: int
    at: int
    actor: str
    role: str
    action: str
    target: str
    outcome: str
    detail: str
    address: str
    key_id: str
    mac: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """A row as it was seen some time, by its MAC or by its digest: a log that does not contain it has been cut or rewritten.

    `number` is that of the checkpoint it was seen in, 0 when it was none, ANY when the number is unknown; `source` says who
    remembers it.
    """

    seq: int
    mark: bytes
    number: int = field(default=0, compare=False)
    source: str = field(default="", compare=False)


def canonical(row: AuditRow) -> bytes:
    """Returns the bytes of a row that are signed: unambiguous, and the same in every release."""
    fields = [row.seq, row.at, row.actor, row.role, row.action, row.target, row.outcome, row.detail, row.address, row.key_id]
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def sign(key: bytes, before: bytes, row: AuditRow) -> bytes:
    """Returns the MAC of `row`, which follows a row with the MAC `before`."""
    return hmac.digest(key, b"z4j audit v1\0" + before + canonical(row), hashlib.sha256)


def add_to_digest(before: bytes, row: AuditRow) -> bytes:
    """Returns the digest up to `row`, which follows a row with the digest `before`."""
    return hashlib.sha256(b"z4j audit digest v1\0" + before + row.mac + canonical(row)).digest()
