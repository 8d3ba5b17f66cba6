# SPDX-License-Identifier: AGPL-3.0-or-later
"""Signs checkpoints of the audit log (`rules/audit/checkpoints.py`), each only after the rows it covers were checked.

The private key is a file in the data folder (mode 0600). A signature alone shows tampering by others, not by a person who has that key;
the checkpoints that agents, browsers and auditors keep show both.

Signatures are made by libsodium and not by `cryptography`, which contains an OpenSSL of its own: it takes 2 instead of 10 MB of memory, and
every server signs. Both make the same signatures.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Final

from nacl.exceptions import CryptoError
from nacl.signing import SigningKey

from z4j import files
from z4j.exceptions import StoreError
from z4j.rules.audit.checkpoints import Checkpoint, link, signed_text
from z4j.rules.audit.entries import AuditRow
from z4j.rules.audit.verification import Position, Walk, is_copy
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("access/audit_checkpoints")
AUDIT = sql.load("access/audit")
EVERY_US: Final = 1_000_000
"""Rows wait at most this long for a checkpoint; a sensitive action does not wait."""
EVERY_ROWS: Final = 64
"""So many rows do not wait either: the check of one checkpoint stays short."""
SLICE: Final = 1_000
ROUTINE: Final = frozenset({"sign_out", "request", "retry_task", "edit_task", "cancel_task", "run_task", "lookup_task"})
"""Actions that wait for the next checkpoint. Every other one gets its own at once: what is unknown is taken as sensitive."""
MEMORY: Final = "audit"
_PUBLIC_KEY: Final = bytes.fromhex("302a300506032b6570032100")
"""SubjectPublicKeyInfo of an Ed25519 key (RFC 8410), up to the 32 bytes of the key."""


class Mismatch(Exception):
    """What the log holds is not what was written; `row` is the first one. No checkpoint covers it."""

    def __init__(self, row: int, why: str) -> None:
        super().__init__(why)
        self.row = row
        self.why = why


class Signer:
    """Made once per process from the data folder; the key is created with it when there is none."""

    def __init__(self, folder: Path) -> None:
        self._key = _load_or_create(folder / "audit.ed25519")
        raw = bytes(self._key.verify_key)
        self.key_id = hashlib.sha256(raw).hexdigest()[:8]
        self.public_text = base64.b64encode(raw).decode("ascii")
        line = base64.b64encode(_PUBLIC_KEY + raw).decode("ascii")  # 60 characters: one line of PEM
        self.public_pem = f"-----BEGIN PUBLIC KEY-----\n{line}\n-----END PUBLIC KEY-----\n"

    def sign(self, at: int, end: Position) -> Checkpoint:
        """Signs the checkpoint over all rows up to `end`."""
        number = end.point.number + 1 if end.point else 1
        point = Checkpoint(number, end.seq, at, end.digest, link(end.point), self.key_id, b"")
        return replace(point, signature=self._key.sign(signed_text(point)).signature)

    def why_not_ours(self, point: Checkpoint) -> str:
        """Returns what is wrong with a signature; "" if it is valid."""
        if point.key_id != self.key_id:
            return f"checkpoint {point.number} was signed with key {point.key_id}, which is not available"
        try:
            self._key.verify_key.verify(signed_text(point), point.signature)
        except CryptoError:  # also where it is no bytes, or not 64 of them
            return f"the signature of checkpoint {point.number} is wrong"
        return ""


class Checkpoints:
    """Checks the rows after the last checkpoint and signs the next one, inside a durable transaction of the writer.

    The end of what was checked is remembered, so that each row is read once. `newest` is the last checkpoint of this process that was
    committed: a log that no longer holds it is not signed.
    """

    def __init__(self, signer: Signer, keys: dict[str, bytes]) -> None:
        self.signer = signer
        self.keys = keys
        self.newest: Checkpoint | None = None

    def sign(self, db: Connection, at: int, *, is_due: bool = True) -> Checkpoint | None:
        """Signs a checkpoint over the last row. Returns None if the row has one or none is due. Raises Mismatch, and signs nothing then."""
        memory = db.recall(MEMORY)
        position = memory.get("position") or self._start(db)
        last = db.execute(AUDIT["last_audit"]).fetchone()
        seq = last[0] if last else 0
        self._check_held(db, position, seq)
        point = position.point
        is_late = point is None or at - point.at >= EVERY_US or at < point.at or seq - point.seq >= EVERY_ROWS
        if seq == position.seq or not (is_due or is_late):
            memory["position"] = position
            return None
        position = self._advance(db, position)
        point = None
        if position.point is None or position.point.seq < position.seq:  # else another process was faster
            point = self.signer.sign(at, position)
            db.execute(
                SQL["add_checkpoint"],
                {
                    "number": point.number, "seq": point.seq, "at": at, "digest": point.digest, "previous": point.previous,
                    "key_id": point.key_id, "signature": point.signature,
                },
            )  # fmt: skip
            position = replace(position, point=point)
        memory["position"] = position
        return point

    def _start(self, db: Connection) -> Position:
        """The last checkpoint, if its signature is ours: rows before it are checked by the whole walk, not here."""
        row = db.execute(SQL["last_checkpoint"]).fetchone()
        if row is None:
            if self.newest is not None:
                raise Mismatch(1, f"the log contains no checkpoint, but number {self.newest.number} was signed: it was deleted")
            return Position()
        point = Checkpoint(*row)
        if why := self.signer.why_not_ours(point):
            raise Mismatch(point.seq, why)
        if self.newest is not None and not _is_held(db, self.newest):
            raise Mismatch(self.newest.seq, f"the log does not contain checkpoint {self.newest.number} as it was signed")
        mac = db.execute(SQL["mac_at"], {"seq": point.seq}).fetchone()
        if mac is None:
            raise Mismatch(point.seq, f"row {point.seq} is missing, but checkpoint {point.number} covers it")
        return Position(point.seq, mac[0], point.digest, point)

    def _check_held(self, db: Connection, position: Position, seq: int) -> None:
        """The log still holds what was checked last: its last row and its last checkpoint."""
        mac = db.execute(SQL["mac_at"], {"seq": position.seq}).fetchone()
        if seq < position.seq or (position.seq and (mac is None or mac[0] != position.mac)):
            raise Mismatch(
                min(seq, position.seq) + 1,
                f"row {position.seq} differs from the row that was verified before: rows were deleted or rewritten",
            )
        if position.point is not None and not _is_held(db, position.point):
            number = position.point.number
            raise Mismatch(position.point.seq, f"the log does not hold checkpoint {number} as it was signed")

    def _advance(self, db: Connection, position: Position) -> Position:
        """Everything after `position`, checked. Raises Mismatch."""
        after = position.point.number if position.point else 0
        points = [Checkpoint(*row) for row in db.execute(SQL["list_checkpoints"], {"after": after, "limit": -1})]
        walk = Walk(self.keys, points, self.signer.why_not_ours, start=position)
        walk.feed(AuditRow(*row) for row in db.execute(AUDIT["walk_audit"], {"after": position.seq, "limit": -1}))
        verdict = walk.end()
        if not verdict.is_intact:
            raise Mismatch(verdict.broken_at, verdict.why)
        return walk.at


def is_routine(action: str, outcome: str) -> bool:
    """Whether a row of this action may wait for the next checkpoint."""
    return action in ROUTINE or outcome == "refused"


def last_row(db: sqlite3.Connection) -> AuditRow | None:
    """Returns the newest row of the log, or None."""
    row = db.execute(AUDIT["list_audit"], {"before": 1 << 62, "limit": 1}).fetchone()
    return AuditRow(*row) if row else None


def ends_with_backup(path: Path) -> bool:
    """Whether the log of the database at `path`, which no process has open, is one that `z4j backup` copied."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as db:
        last, point = last_row(db), last_checkpoint(db)
    return last is not None and point is not None and is_copy(last, point.seq)


def last_checkpoint(db: sqlite3.Connection) -> Checkpoint | None:
    """Returns the newest checkpoint from the writer's connection, or None."""
    row = db.execute(SQL["last_checkpoint"]).fetchone()
    return Checkpoint(*row) if row else None


async def newest_checkpoint(store: Store) -> Checkpoint | None:
    """Returns the newest checkpoint from a reader, or None."""
    row = await store.fetch_one(SQL["last_checkpoint"])
    return Checkpoint(*row) if row else None


async def list_checkpoints(store: Store) -> list[Checkpoint]:
    """Lists all checkpoints, oldest first."""
    checkpoints: list[Checkpoint] = []
    after = -(1 << 62)
    while rows := await store.fetch_all(SQL["list_checkpoints"], {"after": after, "limit": SLICE}):
        checkpoints += [Checkpoint(*row) for row in rows]
        after = rows[-1][0]
    return checkpoints


async def holds_checkpoint(store: Store, seq: int, digest: bytes) -> bool:
    """Whether the log still reaches row `seq` and signed that very digest there."""
    return await store.fetch_one(SQL["find_checkpoint"], {"seq": seq, "digest": digest}) is not None


def _is_held(db: Connection, point: Checkpoint) -> bool:
    row = db.execute(SQL["get_checkpoint"], {"number": point.number}).fetchone()
    return row is not None and Checkpoint(*row) == point


def _load_or_create(path: Path) -> SigningKey:
    secret = files.load_or_create(path, bytes(SigningKey.generate()))
    if len(secret) != 32:
        raise StoreError(
            f"{path} is not an audit signing key. No changes were made.",
            "Restore it from a backup. It is required for verifying checkpoints.",
        )
    return SigningKey(secret)
