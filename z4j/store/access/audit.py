# SPDX-License-Identifier: AGPL-3.0-or-later
"""The audit log: appended in the transaction of the action it records, and never changed.

The key is a file beside the database (mode 0600). That shows tampering by others, not by the owner of the machine; for that,
checkpoints are signed (`audit_checkpoints.py`) and remembered outside the database: in two files beside it (`audit_head_files.py`), by
every connected agent, in browsers, and by anybody who keeps one (`z4j audit verify --head`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Set
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NotRequired, TypedDict, Unpack

from z4j import files, logs
from z4j.exceptions import StoreError
from z4j.rules.audit.checkpoints import Checkpoint
from z4j.rules.audit.entries import GENESIS, AuditRow, Head, sign
from z4j.rules.audit.restores import ACTION, NAMED, Mark, digest_of
from z4j.rules.audit.verification import Verdict, is_copy
from z4j.store.access.audit_checkpoints import SQL as POINTS
from z4j.store.access.audit_checkpoints import Checkpoints, Mismatch, Signer, is_routine, last_checkpoint, last_row, newest_checkpoint
from z4j.store.access.audit_head_files import AuditMemory
from z4j.store.access.audit_restores import is_abandoned, write_abandoned
from z4j.store.access.audit_verify import verify_log
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store
from z4j.text import Json, clean, clean_json
from z4j_agent.wire.redaction import redact, redact_text

SQL = sql.load("access/audit")
NEWEST: Final = 1 << 62
WHOLE_US: Final = 24 * 3_600_000_000
"""A running server checks its whole log at the start and once a day."""
AGAIN_US: Final = 600_000_000
"""The same while there is an alarm."""
LONGEST: Final = 300
"""Characters of an actor or a target."""

outcomes: ContextVar[list[str] | None] = ContextVar("outcomes", default=None)
"""Outcomes of the rows written during one request, if they are collected (`web/auth/audit_trail.py`)."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Why the log cannot be trusted, from row `row` on."""

    row: int
    why: str


class AuditEntry(TypedDict):
    """Fields of a new row. `at` is microseconds UTC; `detail` must not contain the arguments of a task."""

    at: int
    actor: str
    role: str
    action: str
    target: str
    outcome: NotRequired[str]
    detail: NotRequired[Mapping[str, Json]]
    address: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Appended(Head):
    """The row that was appended, with the checkpoint that was signed over it, if one was."""

    checkpoint: Checkpoint | None = field(default=None, compare=False)


class AuditLog:
    """Created once per process from the data folder."""

    def __init__(self, folder: Path) -> None:
        self.memory = AuditMemory(folder)
        self.signer = Signer(folder)
        secret = _load_or_create(folder / "audit.key")
        self.key_id = hashlib.sha256(secret).hexdigest()[:8]
        self._keys = {self.key_id: secret}
        self.checkpoints = Checkpoints(self.signer, self._keys)
        self.alarm: Alarm | None = None
        """Set when something does not fit, cleared by a check that finds everything in order."""
        self.show: Callable[[Checkpoint], int] = lambda _: 0
        """Sends a committed checkpoint to all connected agents and returns to how many; set by the gateway."""
        self._is_memory_checked = False
        self._kept_seq = 0
        self._checked_at = 0

    @property
    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is surely on disk, as this process knows it."""
        return self.checkpoints.newest

    # -- writing -------------------------------------------------------------------------------------------------------
    def append(
        self,
        db: Connection,
        *,
        at: int,
        actor: str,
        role: str,
        action: str,
        target: str,
        outcome: str = "done",
        detail: Mapping[str, Json] | None = None,
        digests: Mapping[str, str] | None = None,
        address: str = "",
    ) -> Appended:
        """Appends one row to the chain inside the caller's (durable) transaction. The caller passes the result to `keep_head` after the
        commit. Secrets are masked and control characters are made visible; `digests` are added to the detail as they are, for they are
        computed here and compared later."""
        self.check_memory(db, at)
        last = db.execute(SQL["last_audit"]).fetchone()
        seq, before = (last[0] + 1, last[1]) if last else (1, GENESIS)
        actor, target, address = (clean(text)[:LONGEST] for text in (actor, redact_text(target), address))
        text = _detail_text(detail or {}, digests or {})
        row = AuditRow(seq, at, actor, role, action, target, outcome, text, address, self.key_id, b"")
        mac = sign(self._keys[self.key_id], before, row)
        params = {
            "seq": seq, "at": at, "actor": actor, "role": role, "action": action, "target": target,
            "outcome": outcome, "detail": text, "address": address, "key_id": self.key_id, "mac": mac,
        }  # fmt: skip
        db.execute(SQL["add_audit"], params)
        return Appended(seq, mac, checkpoint=self._sign(db, at, is_due=not is_routine(action, outcome))[1])

    def append_restore(
        self, db: Connection, *, abandoned: Set[Mark], at: int, actor: str, target: str, detail: Mapping[str, Json]
    ) -> Appended:
        """Appends the row of a restored backup, with the rows that it abandons, in a database that replaces the present one later. Rows
        that `audit.head` and `audit.witnesses` remember and neither database contains are reported first: a restore hides no rollback."""
        last = db.execute(SQL["last_audit"]).fetchone()
        write_abandoned(db, abandoned, last[0] + 1 if last else 1)
        self._is_memory_checked = True
        self._report_missing(db, at)
        digests = {NAMED: digest_of(abandoned)}
        return self.append(db, at=at, actor=actor, role="admin", action=ACTION, target=target, detail=detail, digests=digests)

    async def start(self, store: Store, at: int) -> None:
        """Compares the log with the files beside the database when a server starts, and signs a checkpoint over rows that were added
        meanwhile."""
        await store.write(lambda db: self.check_memory(db, at), durable=True)
        await self.sign_head(store, at)

    async def close(self, store: Store, at: int) -> None:
        """Signs a checkpoint over the last rows when the server stops."""
        await self.sign_head(store, at)
        await asyncio.to_thread(self.memory.close)

    async def record(self, store: Store, **entry: Unpack[AuditEntry]) -> None:
        """Appends one row in a transaction of its own, then updates the files beside the database. Raises StoreError."""
        self.keep_head(await store.write(lambda db: self.append(db, **entry), durable=True))
        if (collected := outcomes.get()) is not None:
            collected.append(entry.get("outcome", "done"))

    async def note(self, store: Store, **entry: Unpack[AuditEntry]) -> None:
        """Records like `record`, for actions that have already happened and for reads: a log that cannot be written (full disk) must not
        make a committed action look like a failed one. The row is then in the server's log instead."""
        try:
            await self.record(store, **entry)
        except StoreError as error:
            outcome, address = entry.get("outcome", ""), entry.get("address", "")
            logs.audit_not_written(entry["action"], entry["target"], error.message, actor=entry["actor"], outcome=outcome, address=address)

    async def sign_head(self, store: Store, at: int) -> Checkpoint | None:
        """Signs a checkpoint over the last row, unless it has one. Returns the newest checkpoint. Reads two rows if nothing is to be
        done."""
        last, newest = await last_head(store), await newest_checkpoint(store)
        is_covered = (last.seq if last else 0) == (newest.seq if newest else 0)
        if is_covered and newest == self.newest:
            return newest
        is_checked, point = await store.write(lambda db: self._sign(db, at), durable=True)
        if point is not None:
            self._publish(point)
        elif is_checked and newest is not None and self._is_newer(newest):
            self._publish(newest)  # signed by another process, or in the transaction of a row, and checked just now
        return point or newest

    def keep_head(self, head: Head) -> None:
        """Stores the row outside the database after the commit, and sends its checkpoint to agents."""
        try:
            if head.seq > self._kept_seq:
                self.memory.keep_head(head)
                self._kept_seq = head.seq
        except OSError as error:  # a full disk: the row itself is committed, and an older head is as true
            logs.audit_not_remembered(str(error))
        if isinstance(head, Appended) and head.checkpoint is not None:
            self._publish(head.checkpoint)

    def _publish(self, point: Checkpoint) -> None:
        """Only forwards: an agent that is shown an older checkpoint after a newer one takes the log for cut."""
        if self._is_newer(point):
            self.checkpoints.newest = point
            self.memory.keep_checkpoint(point, self.show(point))

    def _is_newer(self, point: Checkpoint) -> bool:
        return self.newest is None or point.number > self.newest.number

    def _sign(self, db: Connection, at: int, *, is_due: bool = True) -> tuple[bool, Checkpoint | None]:
        """Never over what is not as it was written: that raises the alarm, and the action itself continues. Whether all was right, and
        the checkpoint."""
        try:
            return True, self.checkpoints.sign(db, at, is_due=is_due)
        except Mismatch as error:
            if self.alarm is None and self.newest is not None:  # this process remembers it, whatever became of the files
                point = self.newest
                self.memory.keep_report(Head(point.seq, point.digest, point.number, "the server that was running"), at)
            self.raise_alarm(error.row, error.why)
            return False, None

    def raise_alarm(self, row: int, why: str) -> None:
        """Raises an alarm, shown on every page and by `z4j doctor`, and logged once for each cause."""
        if self.alarm != (alarm := Alarm(row, why)):
            self.alarm = alarm
            logs.audit_altered(row, why)

    def report(self, head: Head, at: int) -> None:
        """Stores that someone remembers a row that the log does not contain: an alarm that is kept outside the database."""
        self.memory.keep_report(head, at)
        self.raise_alarm(head.seq, f"row {head.seq} is missing or differs from the copy stored by {head.source or 'another source'}")

    def check_memory(self, db: Connection, at: int) -> None:
        """Compares the files beside the database with the log, once for each process, before its first row replaces `audit.head`.
        Evidence of a log that was rolled back is kept, and a missing file of witnesses is recorded as a row."""
        if self._is_memory_checked:
            return
        self._is_memory_checked = True
        self._report_missing(db, at)
        point = last_checkpoint(db)
        if self.memory.create() and point is not None and point.is_chained:
            last = last_row(db)
            if last is not None and is_copy(last, point.seq):
                self.append(db, at=at, actor="system", role="", action="restore", target="appliance", detail={"copied_at": last.at})
            else:
                self.raise_alarm(point.seq, "the file audit.witnesses is missing in the data folder")
                self.append(db, at=at, actor="system", role="", action="audit_memory_missing", target="appliance", outcome="failed")

    def _report_missing(self, db: Connection, at: int) -> None:
        try:
            heads = [head for head in (self.memory.kept_head(), self.memory.last_checkpoint()) if head is not None]
        except StoreError as error:
            self.raise_alarm(0, error.message)
            heads = []
        for head in heads:
            if not _is_held(db, head):
                self.report(head, at)

    # -- reading -------------------------------------------------------------------------------------------------------
    def kept_head(self) -> Head | None:
        """Returns the last row that this installation remembers, or None. Raises StoreError."""
        return self.memory.kept_head()

    async def verify(self, store: Store, known: Head | None = None, *, pause_s: float = 0) -> Verdict:
        """Walks the whole log and checks it against `known` and everything that is remembered outside the database."""
        return await verify_log(store, self.memory, self._keys, self.signer.why_not_ours, known, pause_s=pause_s)

    async def check(self, store: Store, at: int) -> Verdict | None:
        """Verifies the whole log slowly, for a running server: raises the alarm, or clears it. Returns None if it is not time yet (see
        WHOLE_US)."""
        if 0 <= at - self._checked_at < (WHOLE_US if self.alarm is None else AGAIN_US):
            return None
        self._checked_at = at
        verdict = await self.verify(store, pause_s=0.01)
        if not verdict.is_intact:
            self.raise_alarm(verdict.broken_at, verdict.why)
        elif self.alarm is not None:
            self.alarm = None
            logs.audit_in_order(verdict.rows)
        return verdict


async def list_audit(store: Store, *, before: int = NEWEST, limit: int = 100) -> list[AuditRow]:
    """Lists rows, newest first. `before` is the seq of the last row of the previous page."""
    return [AuditRow(*row) for row in await store.fetch_all(SQL["list_audit"], {"before": before, "limit": limit})]


async def last_head(store: Store) -> Head | None:
    """Returns the last row of the chain, or None."""
    row = await store.fetch_one(SQL["last_audit"])
    return Head(row[0], row[1]) if row else None


def _is_held(db: Connection, head: Head) -> bool:
    """Whether the log contains the row, or contains the restore that abandoned it."""
    if is_abandoned(db, head):
        return True
    if head.number:
        row = db.execute(POINTS["get_checkpoint"], {"number": head.number}).fetchone()
        return row is not None and (row[1], row[3]) == (head.seq, head.mark)
    row = db.execute(POINTS["mac_at"], {"seq": head.seq}).fetchone()
    return row is not None and row[0] == head.mark


def _detail_text(detail: Mapping[str, Json], digests: Mapping[str, str]) -> str:
    """Numbers are ids and counts, whatever their names; everything else is masked as it would be anywhere."""
    masked = {name: value if isinstance(value, (int, float)) else redact({name: value})[0][name] for name, value in detail.items()}
    return clean_json(json.dumps({**masked, **digests}, ensure_ascii=False, sort_keys=True))


def _load_or_create(path: Path) -> bytes:
    secret = files.load_or_create(path, secrets.token_bytes(32))
    if len(secret) != 32:
        raise StoreError(
            f"{path} is not an audit key. No changes were made.", "Restore it from a backup; without it the log cannot be verified."
        )
    return secret
