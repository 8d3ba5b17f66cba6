# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores schedules of every scheduler: those that agents report, z4j's own, overrides of those in code, and all changes.

Times are microseconds UTC. The results of due times are in `fires`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, TypedDict

from z4j.rules.operator_input import shown_changes, shown_reason
from z4j.rules.schedules.dialects import DIALECTS
from z4j.rules.schedules.due_times import Timing
from z4j.store.names import names
from z4j.store.operations import operator_input
from z4j.store.operations.value_encryption import Seal, SealError
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Row, Store
from z4j.text import Json, JsonObject
from z4j.wire.frames import Schedules
from z4j_agent.wire.redaction import redact_answer, redact_text

SQL = sql.load("schedules/schedules")
OWN: Final = "z4j"
SHOWN: Final = 5_000


@dataclass(frozen=True, slots=True)
class SchedulerRow:
    """A process that reported a scheduler; `left_at` is None while it is connected."""

    app_id: int
    app: str
    scheduler: str
    boot: str
    environment: str
    engine: str
    store: str
    is_firing: bool
    tick_us: int
    timezone: str
    can_create: bool
    applied: str
    failed: dict[str, str]
    notes: list[str]
    is_cut: bool
    seen_at: int
    worker: str
    host: str
    left_at: int | None


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """One schedule. `unable`: unavailable actions with the reason;  `args` and `kwargs` are JSON, of other schedulers redacted."""

    id: int
    app_id: int
    app: str
    environment: str
    scheduler: str
    key: str
    engine: str
    name: str
    kind: str
    expression: str
    timezone: str
    task_name: str
    args: str
    kwargs: str
    queue: str
    priority: int | None
    is_enabled: bool
    is_code: bool
    unable: dict[str, str]
    note: str
    catch_up: str
    overlap: str
    jitter_us: int
    starts_at: int | None
    ends_at: int | None
    anchor: int
    next_at: int | None
    last_at: int | None
    seen_by: str
    seen_at: int
    gone_at: int | None
    is_overridden: bool
    broker: str = ""
    """Of z4j's own: the identity of the broker its tasks are made in, "" for any that has the task."""

    @property
    def is_own(self) -> bool:
        """Whether it is a schedule of z4j's own scheduler."""
        return self.scheduler == OWN

    @property
    def is_by_override(self) -> bool:
        """Whether z4j stores a change to it as an override: it is defined in code, or was added to code by an override."""
        return self.is_code or self.is_overridden

    @property
    def timing(self) -> Timing:
        """When it is due, by the rule of its scheduler."""
        return timing_of(self.scheduler, self.kind, self.expression, self.timezone, self.anchor, self.starts_at, self.ends_at)


@dataclass(frozen=True, slots=True)
class OverrideRow:
    """A change to a schedule that is written in code; `spec` is None where it is only switched off or deleted."""

    key: str
    is_new: bool
    is_deleted: bool
    is_enabled: bool
    spec: JsonObject | None
    at: int
    by: str
    error: str = ""
    """Why it cannot be decrypted. Such an override keeps its schedule from running: neither the arguments of the code nor masked ones
    are what a user requested."""

    def to_wire(self) -> JsonObject:
        """Returns the override as agents receive it."""
        return {name: value for name, value in asdict(self).items() if name not in ("at", "by", "error")}


@dataclass(frozen=True, slots=True)
class EditRow:
    """Who changed a schedule; `changes` is {field: [before, after]}."""

    at: int
    by: str
    action: str
    reason: str
    changes: dict[str, list[Json]]


@dataclass(frozen=True, slots=True)
class Due:
    """An own schedule whose time has come."""

    id: int
    app_id: int
    environment: str
    engine: str
    name: str
    timing: Timing
    task_name: str
    args: str
    kwargs: str
    queue: str
    catch_up: str
    overlap: str
    jitter_us: int
    next_at: int
    broker: str = ""
    error: str = ""
    """Why its arguments cannot be decrypted."""


def timing_of(
    scheduler: str, kind: str, expression: str, timezone: str, anchor: int = 0, starts_at: int | None = None, ends_at: int | None = None
) -> Timing:
    """Returns the timing of a schedule by the rules of its scheduler."""
    dialect = DIALECTS.get(scheduler)
    return Timing(kind, expression, timezone or "UTC", dialect is None or dialect.day_or, anchor, starts_at, ends_at)


# -- what agents tell ----------------------------------------------------------------------------------------------------
def record_schedules(db: Connection, app_id: int, boot: str, listing: Schedules, at: int) -> None:
    """Records all schedules that a process of a scheduler reported. Schedules that it no longer reports are removed."""
    place = {"app_id": app_id, "environment": environment_of(db, app_id, boot), "scheduler": listing.scheduler, "boot": boot, "at": at}
    db.execute(
        SQL["put_scheduler"],
        place
        | {
            "engine": listing.engine, "store": listing.store, "is_firing": int(listing.is_firing), "tick_us": listing.tick_us,
            "timezone": listing.timezone, "can_create": int(listing.can_create), "applied": listing.applied,
            "failed": json.dumps(redact_answer(listing.failed, "failed")), "notes": json.dumps(redact_answer(listing.notes, "notes")),
            "is_cut": int(listing.is_cut),
        },
    )  # fmt: skip
    if listing.scheduler == OWN:  # reports of others are ignored for those
        return
    for item in listing.entries:
        db.execute(
            SQL["put_listed"],
            place
            | {
                "engine": listing.engine, "key": item.key, "name": item.name or item.key, "kind": item.kind, "expression": item.expression,
                "timezone": item.timezone, "task_name": item.task_name, "args": redact_text(item.args),
                "kwargs": redact_text(item.kwargs), "queue": item.queue,
                "priority": item.priority, "is_enabled": int(item.is_enabled), "is_code": int(item.is_code),
                "unable": json.dumps(redact_answer(item.unable, "unable")), "note": redact_text(item.note),
                "next_at": item.next_at if item.is_enabled else None,
                "last_at": item.last_at,
            },
        )  # fmt: skip
    if not listing.is_cut:
        db.execute(SQL["mark_gone"], place)


async def list_schedulers(store: Store) -> list[SchedulerRow]:
    """Lists the processes that reported schedules, connected ones first."""
    return [_scheduler(row) for row in await store.fetch_all(SQL["list_schedulers"])]


def _scheduler(row: Row) -> SchedulerRow:
    (
        app_id, app, scheduler, boot, environment, engine, of_store, is_firing, tick_us, timezone, can_create, applied, failed, notes,
        is_cut, seen_at, worker, host, left_at,
    ) = row  # fmt: skip
    return SchedulerRow(
        app_id, app, scheduler, boot, environment, engine, of_store, bool(is_firing), tick_us, timezone, bool(can_create), applied,
        json.loads(failed), json.loads(notes), bool(is_cut), seen_at, worker, host, left_at,
    )  # fmt: skip


def delete_old_schedulers(db: Connection, before: int) -> None:
    """Deletes processes that left before `before`, if a newer process of the same scheduler has reported."""
    db.execute(SQL["delete_old_schedulers"], {"before": before})


# -- reading ---------------------------------------------------------------------------------------------------------------
async def list_schedules(store: Store, limit: int = SHOWN) -> list[ScheduleRow]:
    """Lists the schedules that exist, next due first."""
    return [_row(row) for row in await store.fetch_all(SQL["list_schedules"], {"limit": limit})]


async def list_of_task(store: Store, name: str) -> list[ScheduleRow]:
    """Lists the schedules that create tasks of a name, next due first."""
    return [_row(row) for row in await store.fetch_all(SQL["list_of_task"], {"name": name, "limit": SHOWN})]


async def get_schedule(store: Store, id: int) -> ScheduleRow | None:
    """Returns a schedule by its row id, also one that was removed; None if there is none."""
    row = await store.fetch_one(SQL["get_schedule"], {"id": id})
    return None if row is None else _row(row)


def _row(row: Row) -> ScheduleRow:
    values = list(row)
    for place in (16, 17, 31):
        values[place] = bool(values[place])
    values[18] = json.loads(values[18])
    return ScheduleRow(*values)


async def list_overrides(store: Store, app_id: int, environment: str, scheduler: str) -> list[OverrideRow]:
    """Lists overrides with their whole specs, by key. One that cannot be decrypted is disabled, has no spec, and has the reason in
    `error`."""
    params = {"app_id": app_id, "environment": environment, "scheduler": scheduler}
    overrides = []
    for key, is_new, is_deleted, is_enabled, spec, at, by, sealed in await store.fetch_all(SQL["list_overrides"], params):
        whole, error = json.loads(spec) if spec else None, ""
        if sealed:
            try:
                whole = dict(store.seal.open(sealed, f"override {app_id} {key}"))
            except SealError as cause:
                whole, error = None, cause.explanation
        overrides.append(OverrideRow(key, bool(is_new), bool(is_deleted), bool(is_enabled) and not error, whole, at, by, error))
    return overrides


async def whole_arguments(store: Store, id: int) -> tuple[str, str]:
    """Returns (args, kwargs) of a schedule as JSON texts, as they were typed. Raises SealError if they cannot be decrypted."""
    row = await store.fetch_one(SQL["sealed_of"], {"id": id})
    if row is None:
        return "[]", "{}"
    return open_arguments(store.seal, *row)


def open_arguments(seal: Seal, app_id: int, key: str, args: str, kwargs: str, sealed: str) -> tuple[str, str]:
    """Returns (args, kwargs) of the columns of a schedule as JSON texts. Raises SealError if they cannot be decrypted."""
    if not sealed:
        return args, kwargs
    whole = seal.open(sealed, f"schedule {app_id} {key}")
    return json.dumps(whole["args"]), json.dumps(whole["kwargs"])


async def list_edits(store: Store, row: ScheduleRow) -> list[EditRow]:
    """Lists the changes of a schedule, newest first."""
    params = {"app_id": row.app_id, "environment": row.environment, "scheduler": row.scheduler, "key": row.key}
    rows = await store.fetch_all(SQL["list_edits"], params)
    return [EditRow(at, by, action, reason, json.loads(changes)) for at, by, action, reason, changes in rows]


# -- what operators change -------------------------------------------------------------------------------------------------
def put_override(db: Connection, app_id: int, environment: str, scheduler: str, row: OverrideRow) -> None:
    """Stores a change to a schedule that is defined in code."""
    facts = {name: value for name, value in asdict(row).items() if name != "error"}
    params = facts | {"app_id": app_id, "environment": environment, "scheduler": scheduler}
    spec, sealed = operator_input.close_spec(db, app_id, row.key, row.spec)
    db.execute(SQL["put_override"], params | {"spec": spec, "sealed": sealed})


def drop_override(db: Connection, app_id: int, environment: str, scheduler: str, key: str) -> None:
    """Deletes an override, so that the definition in code applies again."""
    db.execute(SQL["drop_override"], {"app_id": app_id, "environment": environment, "scheduler": scheduler, "key": key})


def add_edit(
    db: Connection, app_id: int, environment: str, scheduler: str, key: str, *,
    at: int, by: str, action: str, reason: str, changes: Mapping[str, Json], task_name: str = "",
) -> None:  # fmt: skip
    """Records a change of a schedule with its author and reason."""
    db.execute(
        SQL["add_edit"],
        {
            "app_id": app_id, "environment": environment, "scheduler": scheduler, "key": key, "at": at, "by": by, "action": action,
            "reason": shown_reason(reason), "changes": json.dumps(shown_changes(changes, operator_input.names_of(db, app_id, task_name))),
        },
    )  # fmt: skip


# -- z4j's own -------------------------------------------------------------------------------------------------------------
class OwnSchedule(TypedDict):
    """Columns of a schedule of z4j's own scheduler. Times are microseconds UTC, flags 0 or 1; `args` and `kwargs` are JSON, not masked."""

    id: int
    app_id: int
    environment: str
    key: str
    engine: str
    name: str
    kind: str
    expression: str
    timezone: str
    task_name: str
    args: str
    kwargs: str
    queue: str
    is_enabled: int
    catch_up: str
    overlap: str
    broker: str
    jitter_us: int
    starts_at: int | None
    ends_at: int | None
    anchor: int
    next_at: int | None
    wake_at: int | None
    at: int


def add_own(db: Connection, values: OwnSchedule) -> int:
    """Adds a schedule of z4j's own, with whole arguments. Returns its row id. Raises sqlite3.IntegrityError if the key is taken."""
    return int(db.execute(SQL["add_own"], _closed(db, values)).fetchone()[0])


def change_own(db: Connection, values: OwnSchedule) -> None:
    """Replaces a schedule of z4j's own; `values` contain its `id` and its whole arguments."""
    db.execute(SQL["change_own"], _closed(db, values))


def _closed(db: Connection, values: OwnSchedule) -> dict[str, object]:
    args, kwargs, sealed = operator_input.close_arguments(
        db, values["app_id"], values["key"], values["task_name"], values["args"], values["kwargs"]
    )  # fmt: skip
    return {**values, "args": args, "kwargs": kwargs, "sealed": sealed}


def switch_own(db: Connection, id: int, *, is_enabled: bool, next_at: int | None, wake_at: int | None, at: int) -> None:
    """Enables or disables a schedule of z4j's own. Its arguments stay as they are stored, also if they cannot be decrypted."""
    db.execute(SQL["switch_own"], {"id": id, "is_enabled": int(is_enabled), "next_at": next_at, "wake_at": wake_at, "at": at})


def delete_own(db: Connection, id: int) -> None:
    """Deletes a schedule of z4j's own with its fires."""
    db.execute(SQL["delete_own"], {"id": id})


def list_due(db: Connection, at: int, limit: int) -> list[Due]:
    """Lists the schedules of z4j's own that are due at `at` (microseconds UTC), in order."""
    due = []
    for row in db.execute(SQL["list_due"], {"at": at, "limit": limit}):
        (
            id, app_id, environment, engine, name, kind, expression, timezone, task_name, args, kwargs, queue, catch_up, overlap, jitter,
            starts_at, ends_at, anchor, next_at, broker, key, sealed,
        ) = row  # fmt: skip
        error = ""
        try:
            args, kwargs = open_arguments(db.seal, app_id, key, args, kwargs, sealed)
        except SealError as cause:
            error = cause.message
        timing = timing_of(OWN, kind, expression, timezone, anchor, starts_at, ends_at)
        due.append(
            Due(
                id,
                app_id,
                environment,
                engine,
                name,
                timing,
                task_name,
                args,
                kwargs,
                queue,
                catch_up,
                overlap,
                jitter,
                next_at,
                broker,
                error,
            )
        )
    return due


async def next_wake(store: Store) -> int | None:
    """Returns when the next schedule of z4j's own is due (microseconds UTC), or None."""
    row = await store.fetch_one(SQL["next_wake"])
    return row[0] if row else None


def advance_own(db: Connection, id: int, next_at: int | None, wake_at: int | None, last_at: int | None) -> None:
    """Records that the due times before `next_at` are decided. A one-off without further due times is disabled."""
    db.execute(SQL["advance_own"], {"id": id, "next_at": next_at, "wake_at": wake_at, "last_at": last_at})


def list_overdue(db: Connection, before: int, limit: int = 1_000) -> list[tuple[int, int, str, str, Timing, int]]:
    """Lists the schedules of other schedulers whose due time has passed, as (id, app id, environment, scheduler, timing, due)."""
    return [
        (id, app_id, environment, scheduler, timing_of(scheduler, kind, expression, timezone, anchor), next_at)
        for id, app_id, environment, scheduler, kind, expression, timezone, anchor, next_at in db.execute(
            SQL["list_overdue"], {"before": before, "limit": limit}
        )
    ]


def move_next(db: Connection, id: int, next_at: int | None) -> None:
    """Changes the next due time of a schedule."""
    db.execute(SQL["move_next"], {"id": id, "next_at": next_at})


def environment_of(db: Connection, app_id: int, boot: str) -> str:
    """Returns the environment of the process that said hello under this boot."""
    row = db.execute(SQL["environment_of"], {"app_id": app_id, "boot": boot}).fetchone()
    return names.text_of(db, row[0]) if row else ""
