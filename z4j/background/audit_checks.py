# SPDX-License-Identifier: AGPL-3.0-or-later
"""Signs checkpoints of the audit log, and verifies it."""

from __future__ import annotations

from z4j.background.server_events import Changed
from z4j.store.access.audit import Alarm, AuditLog
from z4j.store.sqlite.db import Store


class AuditChecks:
    """`changed` is called with the topics of `live` that changed. Without `log` the audit log is left alone."""

    def __init__(self, store: Store, changed: Changed, log: AuditLog | None = None) -> None:
        self.store, self.changed, self.log = store, changed, log
        self._alarm: Alarm | None = None

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
