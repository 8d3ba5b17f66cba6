# SPDX-License-Identifier: AGPL-3.0-or-later
"""Evaluates this server: the state shown by the appliance page, the strip and `z4j doctor`."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable

from z4j.duty_loop import Duties
from z4j.exceptions import StoreError
from z4j.listener.tls import ServerTls, days_left, is_ending
from z4j.rules.findings import server as rules
from z4j.rules.findings.finding import Finding
from z4j.rules.findings.server import DutyState, PlanState, ServerState
from z4j.settings import Settings
from z4j.store.access.audit import AuditLog
from z4j.store.backups.backup_results import read_results
from z4j.store.forwarding.targets import list_states
from z4j.store.operations import plans
from z4j.store.sqlite.db import Store


class ServerFindings:
    """One per server. `why_not_held` returns why retention cannot keep within its limits, or ""."""

    def __init__(
        self, settings: Settings, duties: Duties, audit: AuditLog, tls: ServerTls | None, why_not_held: Callable[[], str]
    ) -> None:  # fmt: skip
        self.settings, self.duties, self.audit, self.tls, self.why_not_held = settings, duties, audit, tls, why_not_held

    async def find(self, store: Store, at: int) -> list[Finding]:
        """Returns the findings of the server and its plans. Raises StoreError."""
        state = await asyncio.to_thread(self.read, at)
        states = [
            PlanState(plan.id, plan.action, plan.status, plan.note, plan.items, plan.author, plan.created_at, plan.started_at)
            for plan in await plans.list_plans(store)
        ]
        return [*rules.find_server(state, at), *rules.find_plans(states, at), *rules.find_forwarding(await list_states(store), at)]

    def read(self, at: int) -> ServerState:
        """Returns the state of the server. Reads files."""
        tls, alarm = self.tls, self.audit.alarm
        problem, backups_since = self._backups()
        return ServerState(
            free_bytes=shutil.disk_usage(self.settings.data).free,
            why_not_held=self.why_not_held(),
            certificate_days=days_left(tls.certificate, at) if tls is not None and is_ending(tls.certificate, at) else None,
            certificate_problem=tls.problem if tls is not None else "",
            has_backups=self.settings.has_backups,
            backup_problem=problem,
            backups_since=backups_since,
            audit_row=alarm.row if alarm is not None else None,
            audit_why=alarm.why if alarm is not None else "",
            duties=tuple(
                DutyState(duty.name, duty.state, duty.failing_since, duty.failures, duty.error) for duty in self.duties.unhealthy
            ),
        )  # fmt: skip

    def _backups(self) -> tuple[str, int | None]:
        """Why the last backup failed, and since when there is no newer one."""
        if not self.settings.has_backups:
            return "", None
        try:
            known = read_results(self.settings.data)
        except StoreError as error:
            return error.explanation, None
        return known.last_failed.problem if known.last_failed else "", known.last_good.at if known.last_good else known.since
