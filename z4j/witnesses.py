# SPDX-License-Identifier: AGPL-3.0-or-later
"""Agents as witnesses of the audit log: each is shown the newest signed head, and says at its next hello which one it was shown last."""

from __future__ import annotations

from typing import Any

from z4j import clock, logs
from z4j.live import Live
from z4j.rules.audit import SignedHead
from z4j.store import heads
from z4j.store.audit import AuditLog
from z4j.store.db import Store

MISSING_AT_MOST = 1_000
"""Alarms about a log that was cut are remembered, so that each is written once; more say nothing new."""


class Witnesses:
    """One per server."""

    def __init__(self, store: Store, live: Live, audit_log: AuditLog) -> None:
        self.store = store
        self.live = live
        self.audit_log = audit_log
        self._missing: set[tuple[str, int, str]] = set()

    async def audit_head(self) -> dict[str, Any] | None:
        """What agents are shown of the audit log, so that they can witness it: the newest signed head."""
        return _shown(await heads.newest_head(self.store))

    def newer_head(self, after: int) -> dict[str, Any] | None:
        """The newest signed head if it covers more than row `after`; reads nothing, for it is asked with every ack."""
        head = self.audit_log.newest
        return _shown(head) if head is not None and head.seq > after else None

    async def check(self, app: str, host: str, spool: str, seq: int, digest: str) -> bool:
        """Whether the log still holds the head an agent was shown. If not, that is audited, once for each spool and head."""
        if await heads.holds_head(self.store, seq, bytes.fromhex(digest)):
            return True
        if (spool, seq, digest) not in self._missing and len(self._missing) < MISSING_AT_MOST:
            self._missing.add((spool, seq, digest))
            logs.audit_head_missing(app, host, seq)
            await self.audit_log.record(
                self.store, at=clock.now(), actor=f"agent on {host}", role="", action="audit_head_missing", outcome="failed",
                target=f"app:{app}", detail={"row": seq, "digest": digest, "spool": spool},
            )  # fmt: skip
            self.live.changed(("changes",))
        return False


def _shown(head: SignedHead | None) -> dict[str, Any] | None:
    if head is None:
        return None
    return {"seq": head.seq, "at": head.at, "digest": head.digest.hex(), "key_id": head.key_id, "signature": head.signature.hex()}
