# SPDX-License-Identifier: AGPL-3.0-or-later
"""A requested schedule: checks that hold for every scheduler, what an edit would change, and the form that agents receive."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final

from z4j.exceptions import BadInput
from z4j.store.schedules.schedules import OWN, ScheduleRow
from z4j.text import Json, JsonObject

MAX_JITTER_S: Final = 3_600
CATCH_UPS: Final = ("skip", "once", "all")
OVERLAPS: Final = ("allow", "skip")
SHOWN: Final = (
    "name", "kind", "expression", "timezone", "engine", "environment", "task_name", "queue", "broker", "priority", "is_enabled",
    "catch_up", "overlap", "starts_at", "ends_at",
)  # fmt: skip
OWN_SCHEDULER_FIELDS: Final = ("engine", "broker", "catch_up", "overlap", "starts_at", "ends_at")
"""What other schedulers do not have."""


@dataclass(frozen=True, slots=True)
class ScheduleRequest:
    """A requested schedule. `args` and `kwargs` are None where they stay as they are. Times are microseconds UTC."""

    app: str
    environment: str
    scheduler: str
    engine: str
    name: str
    kind: str
    expression: str
    timezone: str
    task_name: str
    args: list[Json] | None = field(default_factory=list)
    kwargs: JsonObject | None = field(default_factory=dict)
    queue: str = ""
    priority: int | None = None
    is_enabled: bool = True
    catch_up: str = "skip"
    overlap: str = "allow"
    jitter_s: float = 0.0
    starts_at: int | None = None
    ends_at: int | None = None
    broker: str = ""
    """Of z4j's own: the identity of the broker its tasks are made in, "" for any that has the task."""


def validate_schedule(request: ScheduleRequest) -> None:
    """Raises BadInput for what no scheduler would hold."""
    if not request.name or len(request.name) > 200 or not request.name.isprintable():
        raise BadInput("The name must have 1 to 200 characters. No changes were made.")
    if not request.task_name or len(request.task_name) > 255:
        raise BadInput("The task name is missing. No changes were made.")
    if request.catch_up not in CATCH_UPS or request.overlap not in OVERLAPS or not 0 <= request.jitter_s <= MAX_JITTER_S:
        raise BadInput(
            "Catch-up must be skip, once or all; overlap must be allow or skip; jitter must be at most one hour. No changes were made."
        )
    if len(request.broker) > 255 or not request.broker.isprintable():
        raise BadInput("The broker must have at most 255 characters, as shown on the Queues page. No changes were made.")
    if request.starts_at is not None and request.ends_at is not None and request.starts_at >= request.ends_at:
        raise BadInput("The end is before the start. No changes were made.")


def spec_of(request: ScheduleRequest, key: str) -> JsonObject:
    """Returns the request as an agent receives it, see `z4j_agent.contract.scheduler.ScheduleSpec`."""
    names = ("name", "kind", "expression", "timezone", "task_name", "args", "kwargs", "queue", "priority", "is_enabled")
    return {"key": key, **{name: getattr(request, name) for name in names}}


def changes_of(row: ScheduleRow | None, request: ScheduleRequest) -> dict[str, list[Json]]:
    """Returns {field: [before, after]} of what an edit would change, arguments as JSON texts; for a new schedule its main fields with None
    before."""
    if row is None:
        return {name: [None, getattr(request, name)] for name in ("kind", "expression", "timezone", "task_name")}
    changes = {name: [getattr(row, name), getattr(request, name)] for name in SHOWN if getattr(row, name) != getattr(request, name)}
    if not row.is_own:
        changes = {name: pair for name, pair in changes.items() if name not in OWN_SCHEDULER_FIELDS}
    elif row.jitter_us != int(request.jitter_s * 1_000_000):
        changes["jitter_s"] = [row.jitter_us / 1_000_000, request.jitter_s]
    for name, value in (("args", request.args), ("kwargs", request.kwargs)):
        if value is not None and json.dumps(value) != json.dumps(json.loads(getattr(row, name))):
            changes[name] = [getattr(row, name), json.dumps(value)]
    return changes


def placeholder_row(app_id: int, request: ScheduleRequest, key: str) -> ScheduleRow:
    """Returns a row for a schedule that does not exist yet, for its author and the log."""
    return ScheduleRow(
        0, app_id, request.app, request.environment, OWN, key, request.engine, request.name, request.kind, request.expression,
        request.timezone, request.task_name,
        "[]", "{}", request.queue, None, request.is_enabled, False, {}, "", request.catch_up, request.overlap, 0,
        request.starts_at, request.ends_at, 0, None, None, "", 0, None, False, request.broker,
    )  # fmt: skip
