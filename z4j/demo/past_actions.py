# SPDX-License-Identifier: AGPL-3.0-or-later
"""Actions of users in the demo's month: rows of the audit log, actions with their results, and a rule of alerts."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Sequence
from typing import Final

from z4j.agents.command_results import Sender, settle
from z4j.rules.alerts.alert_rule import AlertRule
from z4j.rules.command_ids import NEW_BYTES, CommandId
from z4j.store.access.audit import Appended, AuditLog
from z4j.store.alerts import alert_rules
from z4j.store.operations import commands
from z4j.store.operations.commands import CommandRow
from z4j.store.sqlite.db import Connection, Store
from z4j.store.tasks import task_search, tasks
from z4j.store.tasks.task_search import TaskFilter
from z4j.store.tasks.tasks import TaskDetail
from z4j.wire.records import CommandResult

VISITOR: Final = "visitor"
USERS: Final = {VISITOR: "admin", "amelia": "operator", "jonas": "operator", "ines": "auditor"}
MINUTE_US: Final = 60_000_000
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US
DEEDS: Final = (
    (28, "amelia", "operator", "sign_in", "appliance"), (28, "visitor", "admin", "create_token", "app:warehouse"),
    (24, "visitor", "admin", "add_user", "user:ines"), (21, "amelia", "operator", "sign_in", "appliance"),
    (17, "jonas", "operator", "sign_in", "appliance"), (11, "ines", "auditor", "sign_in", "appliance"),
    (11, "ines", "auditor", "export_audit", "appliance"), (6, "jonas", "operator", "sign_in", "appliance"),
    (3, "amelia", "operator", "sign_in", "appliance"), (1, "jonas", "operator", "sign_in", "appliance"),
)  # fmt: skip
"""(days ago, who, role, action, target)."""
RETRIES: Final = 18
SPOOL: Final = "demo"
REASON: Final = "the cause is fixed"
CALLED: Final = AlertRule("Everything that is bad", "critical", level="bad", for_s=30, cooldown_s=900)
"""The rule of the demo. It has no channel: nothing leaves this host."""


async def write_past(store: Store, log: AuditLog, now: int) -> None:
    """Writes the audit log of the month, oldest first, with a retry of some failed tasks of the last days."""
    found = await task_search.find(store, TaskFilter(states=("failed",)), None, None, 400)
    chosen = found.ids[:: max(1, len(found.ids) // RETRIES)]
    failed = [task for id in chosen if (task := await tasks.get_task(store, id)) is not None]
    deeds = [(now - days * DAY_US, functools.partial(_note, log, deed)) for days, *deed in DEEDS]
    retries = [(min(task.row.last_at + 4 * MINUTE_US, now - MINUTE_US), functools.partial(_retry, log, task)) for task in failed]

    def write(db: Connection) -> Appended | None:
        kept = None
        for at, act in sorted((*deeds, *retries), key=lambda each: each[0]):
            kept = act(db, at)
        return kept

    if (last := await store.write(write, durable=True)) is not None:
        log.keep_head(last)
    await store.write(functools.partial(alert_rules.put_rule, id=None, rule=CALLED, actor=VISITOR, at=now))
    await log.sign_head(store, now)


def _note(log: AuditLog, deed: Sequence[str], db: Connection, at: int) -> Appended:
    who, role, action, target = deed
    return log.append(db, at=at, actor=who, role=role, action=action, target=target, address="127.0.0.1")


def _retry(log: AuditLog, task: TaskDetail, db: Connection, at: int) -> Appended:
    """A retry that was requested and executed then."""
    row, id = task.row, secrets.token_hex(NEW_BYTES["command"])
    target = f"{row.engine}:{row.task_id}"
    params = {"task_id": row.task_id, "name": row.name, "queue": row.queue}
    command = CommandRow(
        id, task.app_id, row.engine, "retry_task", row.id, row.task_id, params, target, "waiting", {}, "amelia", REASON,
        at, at + HOUR_US // 4, None, "", None, row.environment, row.queue,
    )  # fmt: skip
    commands.add_command(db, command, row.name)
    commands.mark_sent(db, id, SPOOL, at)
    note = {"note": "demo: this retry is part of the seeded past"}
    settle(db, Sender(task.app_id, SPOOL), CommandResult(CommandId("command", id).text, at + 700_000, "done", note))
    detail = {"name": row.name, "command": id, "reason": REASON}
    return log.append(db, at=at, actor="amelia", role="operator", action="retry_task", target=target, outcome="requested", detail=detail)
