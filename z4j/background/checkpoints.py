# SPDX-License-Identifier: AGPL-3.0-or-later
"""Checkpoints the write-ahead log of the database, and signs and verifies the audit log."""

from __future__ import annotations

from typing import Final

from z4j.background.server_events import Changed
from z4j.store.access.audit import Alarm, AuditLog
from z4j.store.sqlite.db import Store

CHECKPOINT_US: Final = 30 * 1_000_000
WAL_BYTES: Final = 4_000_000


class Checkpoints:
    """`changed` is called with the topics of `live` that changed. Without `log` the audit log is left alone."""

    def __init__(self, store: Store, changed: Changed, log: AuditLog | None = None) -> None:
        self.store, self.changed, self.log = store, changed, log
        self._alarm: Alarm | None = None
        self._checkpoint_at = 0

    async def sign_head(self, at: int) -> None:
        """Signs a checkpoint over new rows of the audit log, at most a second after they were added."""
        if self.log is not None:
            await self.log.sign_head(self.store, at)
            if self.log.alarm != self._alarm:
                self._alarm = self.log.alarm
                self.changed(("strip",))

    async def check_audit(self, at: int) -> None:
        """Verifies the whole audit log soon after the start and once a day; more often while there is an alarm."""
        if self.log is not None:
            await self.log.check(self.store, at)

    async def checkpoint(self, at: int) -> None:
        """Keeps the write-ahead log short: at once while much is written, else twice a minute."""
        is_time = at - self._checkpoint_at >= CHECKPOINT_US or at < self._checkpoint_at
        await self.store.checkpoint(0 if is_time else WAL_BYTES)
        if is_time:
            self._checkpoint_at = at
