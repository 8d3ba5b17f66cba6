# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sends checkpoints of the audit log to agents and compares the checkpoints that agents and browsers store with the log. Every connected
agent receives each new checkpoint at once and reports the last one it received with its hello and its heartbeats; browsers report theirs
with every page. A checkpoint that the log does not contain raises an alarm."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from z4j import clock, logs
from z4j.live import Live
from z4j.rules.audit.checkpoints import Checkpoint
from z4j.rules.audit.entries import ANY, Head
from z4j.store.access.audit import AuditLog
from z4j.store.access.audit_checkpoints import holds_checkpoint, newest_checkpoint
from z4j.store.access.audit_restores import find_restore
from z4j.store.sqlite.db import Store
from z4j.text import JsonObject

MISSING_AT_MOST = 1_000
"""Alarms about a log that was cut are remembered, so that each is written once; more say nothing new."""
Show = Callable[[JsonObject], None]


class Answer(NamedTuple):
    """What the log says of a checkpoint that an agent keeps. `extends` is None if it keeps none. If a restored backup abandoned the
    checkpoint, `restored` is the row of the restore, and when that was (microseconds UTC)."""

    extends: bool | None
    restored: tuple[int, int] | None = None


class Witnesses:
    """One per server."""

    def __init__(self, store: Store, live: Live, audit_log: AuditLog) -> None:
        self.store = store
        self.live = live
        self.audit_log = audit_log
        self._missing: set[tuple[str, int, str]] = set()
        self._connected: set[Show] = set()
        audit_log.show = self._show

    # -- shown ---------------------------------------------------------------------------------------------------------
    def connect(self, show: Show, *, after: int = 0) -> None:
        """Sends an agent every checkpoint over more than row `after`, starting now, until `disconnect`."""
        self._connected.add(show)
        point = self.audit_log.newest
        if point is not None and point.seq > after:
            show(to_wire(point))

    def disconnect(self, show: Show) -> None:
        """Stops sending checkpoints to an agent."""
        self._connected.discard(show)

    def _show(self, point: Checkpoint) -> int:
        frame = to_wire(point)
        for show in self._connected:
            show(frame)
        return len(self._connected)

    async def newest(self) -> Checkpoint | None:
        """Returns the newest checkpoint, or None when there is none."""
        return await newest_checkpoint(self.store)

    # -- reported ------------------------------------------------------------------------------------------------------
    async def check(self, app: str, host: str, spool: str, seq: int, digest: str) -> Answer:
        """Whether the log still holds the checkpoint an agent was shown. If not, and no restored backup abandoned it, that is audited,
        once for each spool and checkpoint."""
        if await holds_checkpoint(self.store, seq, bytes.fromhex(digest)):
            return Answer(extends=True)
        if restored := await find_restore(self.store, seq, bytes.fromhex(digest)):
            if self._is_new(spool, seq, digest):
                logs.audit_head_abandoned(app, host, seq, restored[0])
            return Answer(extends=False, restored=restored)
        if self._is_new(spool, seq, digest):
            logs.audit_head_missing(app, host, seq)
            head = Head(seq, bytes.fromhex(digest), ANY, f"the agent on {host} (app {app}, spool folder {spool})")
            await self._alarm(head, f"agent on {host}", f"app:{app}", {"row": seq, "digest": digest, "spool": spool})
        return Answer(extends=False)

    async def check_browser(self, person: str, point: Checkpoint) -> bool:
        """Returns whether the log contains a checkpoint that a browser remembers, or the restore that abandoned it. One that this server
        did not sign proves nothing and is ignored."""
        if self.audit_log.newest == point or self.audit_log.signer.why_not_ours(point):
            return True
        if await holds_checkpoint(self.store, point.seq, point.digest) or await find_restore(self.store, point.seq, point.digest):
            return True
        digest = point.digest.hex()
        if self._is_new("browser", point.seq, digest):
            logs.audit_head_missing("", f"browser of {person}", point.seq)
            head = Head(point.seq, point.digest, point.number, f"the browser of {person}")
            await self._alarm(head, f"browser of {person}", "appliance", {"row": point.seq, "digest": digest})
        return False

    def _is_new(self, who: str, seq: int, digest: str) -> bool:
        key = (who, seq, digest)
        if key in self._missing or len(self._missing) >= MISSING_AT_MOST:
            return False
        self._missing.add(key)
        return True

    async def _alarm(self, head: Head, actor: str, target: str, detail: JsonObject) -> None:
        at = clock.now()
        self.audit_log.report(head, at)
        await self.audit_log.note(
            self.store, at=at, actor=actor, role="", action="audit_head_missing", outcome="failed", target=target, detail=detail
        )
        self.live.changed(("changes", "strip"))


def to_wire(point: Checkpoint) -> JsonObject:
    """Returns a checkpoint as agents store it."""
    return {
        "seq": point.seq, "at": point.at, "digest": point.digest.hex(), "key_id": point.key_id, "signature": point.signature.hex(),
        "number": point.number, "previous": point.previous.hex(),
    }  # fmt: skip
