# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a restore would lose, and what must not happen again after it.

A backup contains open commands, running plans and due times of its own moment. They may have been executed since, so a restored database
ends commands as `unknown`, pauses plans, and takes over the runs of z4j's own schedules that were decided meanwhile. Messages of alerts
that were delivered since are withdrawn. In a folder without a database the original server may still run elsewhere: there, channels of
alerts and targets of forwarding are disabled, so that nobody is notified twice.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from typing import Final

from z4j.store.sqlite import sql

SQL = sql.load("backups/restore_losses")
NEWEST_TASK: Final = sql.load("tasks/task_writer")["newest_task"]
KINDS: Final = {"users": "list_users", "tokens": "list_tokens", "apps": "list_apps", "schedules": "list_schedules"}
FIRE: Final = ("schedule_id", "due_at", "fired_at", "outcome", "task_id", "error", "spool", "expires_at", "key")
WHY: Final = "outcome unknown: a backup from before the result was restored"
PAUSED: Final = "A backup was restored while this plan was running. Items that were executed after the backup are listed as not executed."


@dataclass(frozen=True, slots=True)
class Changes:
    """What the present database contains and the backup does not. `tasks` is None if it cannot be counted. `created`: kind of record →
    names. `active_again`: records that were disabled or revoked since the backup."""

    tasks: int | None = None
    created: dict[str, list[str]] = field(default_factory=dict)
    active_again: dict[str, list[str]] = field(default_factory=dict)


def find_changes(replaced: sqlite3.Connection, restored: sqlite3.Connection) -> Changes:
    """Compares the database that is replaced with the one that replaces it. Raises sqlite3.DatabaseError if the replaced one is damaged."""
    (last,) = restored.execute(NEWEST_TASK).fetchone()
    (tasks,) = replaced.execute(SQL["tasks_after"], {"id": last}).fetchone()
    created, active_again = {}, {}
    for kind in KINDS:
        before, after = _records(restored, kind), _records(replaced, kind)
        created[kind] = sorted(name for id, (name, _) in after.items() if id not in before)
        active_again[kind] = sorted(name for id, (name, has_ended) in after.items() if has_ended and id in before and not before[id][1])
    return Changes(tasks, created, active_again)


@dataclass(frozen=True, slots=True)
class Decided:
    """What the replaced database has decided since: runs of z4j's own schedules, the last numbers of tasks and schedules, and the messages
    of alerts that are not delivered yet (None: it is of a release without alerts)."""

    fires: list[dict[str, object]]
    newest_task: int
    last_schedule: int
    undelivered: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Silenced:
    """What a restored database no longer sends: withdrawn messages, and disabled channels and targets by name."""

    messages: int = 0
    channels: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


def read_decided(replaced: sqlite3.Connection) -> Decided:
    """Reads what must not be decided again. Raises sqlite3.DatabaseError."""
    fires = [dict(zip(FIRE, row, strict=True)) for row in replaced.execute(SQL["list_fires"])]
    (newest,) = replaced.execute(NEWEST_TASK).fetchone()
    (last,) = replaced.execute(SQL["last_number"]).fetchone()
    undelivered = tuple(id for (id,) in replaced.execute(SQL["list_undelivered"])) if _has(replaced, "alert_message") else None
    return Decided(fires, newest, last, undelivered)


def settle(restored: sqlite3.Connection, decided: Decided | None, at: int) -> None:
    """Ends what was open in the backup. `decided` is None if the replaced database cannot be read or is missing."""
    if decided is not None:
        restored.executemany(SQL["keep_fire"], decided.fires)
        restored.execute(SQL["keep_numbers"], {"newest": str(decided.newest_task)})
        restored.execute(SQL["keep_schedule_numbers"], {"last": decided.last_schedule})
    for name in ("end_sessions", "end_links"):
        restored.execute(SQL[name])
    restored.execute(SQL["end_commands"], {"at": at, "detail": json.dumps({"error": WHY})})
    restored.execute(SQL["pause_plans"], {"note": PAUSED})
    restored.execute(SQL["end_fires"], {"error": WHY})


def silence(restored: sqlite3.Connection, decided: Decided | None, at: int, *, is_elsewhere: bool) -> Silenced:
    """Keeps the restored database from notifying anybody again. `is_elsewhere`: there was no database in the folder.

    Without knowledge of what was delivered since, messages are kept: they are sent at least once, with the same ID.
    """
    if not _has(restored, "alert_message") or not _has(restored, "forward_target"):
        return Silenced()
    undelivered = () if is_elsewhere else decided.undelivered if decided is not None else None
    withdrawn = 0
    if undelivered is not None:
        withdrawn = restored.execute(SQL["withdraw_messages"], {"undelivered": json.dumps(undelivered)}).rowcount
    if not is_elsewhere:
        return Silenced(withdrawn)
    disabled = (tuple(name for (name,) in restored.execute(SQL[block], {"at": at})) for block in ("disable_channels", "disable_targets"))
    return Silenced(withdrawn, *(tuple(sorted(names)) for names in disabled))


def _has(db: sqlite3.Connection, table: str) -> bool:
    """Whether the database is of a release that has a table."""
    return bool(db.execute(SQL["find_table"], {"name": table}).fetchone())


def _records(db: sqlite3.Connection, kind: str) -> dict[str, tuple[str, bool]]:
    """Records of a kind: identity → name, and whether it has ended."""
    return {str(id): (str(name), bool(has_ended)) for id, name, has_ended in db.execute(SQL[KINDS[kind]])}
