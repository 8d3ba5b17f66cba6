# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of schedules of every scheduler."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.exceptions import BadInput
from z4j.operations.schedule_request import ScheduleRequest
from z4j.rules import task_signatures
from z4j.store.schedules import schedules
from z4j.store.schedules.fires import FireRow
from z4j.store.schedules.schedules import OWN, ScheduleRow, SchedulerRow
from z4j.web import command_requests
from z4j.web.api.endpoints import Operation, answer, read_body
from z4j.web.frame.status_bar import scope_of
from z4j.web.pages.schedules.detail import find_schedule, json_fields
from z4j.web.pages.schedules.list import list_lines, to_fields
from z4j.web.services import services


class ScheduleItem(Struct):
    """A schedule. `unable` names what cannot be done with it, and why; `args` and `kwargs` are JSON texts, redacted where it is not z4j's
    own; `state` and `why` are its health, `says` is its expression as a sentence."""

    id: int
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
    next_at: int | None
    last_at: int | None
    seen_at: int
    gone_at: int | None
    is_overridden: bool
    broker: str
    state: str
    why: str
    says: str


class UpcomingSchedule(ScheduleItem):
    """A schedule with its next five due times."""

    upcoming: list[int]


class ScheduleList(Struct):
    """Every schedule, those due next first."""

    schedules: list[ScheduleItem]


class SchedulerList(Struct):
    """The processes that reported a scheduler; `left_at` is null while one is connected."""

    schedulers: list[SchedulerRow]


class ScheduleEdit(Struct):
    """Who changed a schedule; `changes` is {field: [before, after]}."""

    at: int
    by: str
    action: str
    reason: str
    changes: dict[str, list[Any]]


class ScheduleDetail(Struct):
    """One schedule with its last 50 fires and its edits."""

    schedule: UpcomingSchedule
    fires: list[FireRow]
    edits: list[ScheduleEdit]


class NewSchedule(Struct, forbid_unknown_fields=True):
    """`kind`: cron, interval (seconds, or "5m") or once (ISO 8601). `scheduler` is z4j, or one that /schedulers lists, then in its
    `environment`. The last six fields apply only to z4j's own scheduler; `broker` is as in /queues, "" for any with the task."""

    app: str
    name: str
    kind: str
    expression: str
    task_name: str
    scheduler: str = OWN
    environment: str = ""
    engine: str = ""
    timezone: str = "UTC"
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    queue: str = ""
    priority: int | None = None
    is_enabled: bool = True
    reason: str = ""
    catch_up: str = "skip"
    overlap: str = "allow"
    jitter_s: float = 0.0
    starts_at: int | None = None
    ends_at: int | None = None
    broker: str = ""


class ScheduleChange(Struct, forbid_unknown_fields=True):
    """Null leaves a field unchanged."""

    name: str | None = None
    kind: str | None = None
    expression: str | None = None
    timezone: str | None = None
    task_name: str | None = None
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None
    queue: str | None = None
    priority: int | None = None
    catch_up: str | None = None
    overlap: str | None = None
    jitter_s: float | None = None
    starts_at: int | None = None
    ends_at: int | None = None
    broker: str | None = None
    reason: str = ""


class ScheduleAction(Struct, forbid_unknown_fields=True):
    """`action`: enable, disable (with a reason), fire, delete (with "delete" as `confirm`) or revert."""

    action: str
    reason: str = ""
    confirm: str = ""


class ScheduleSaved(Struct):
    """`id` of a new schedule of z4j's own scheduler; null for others, which are listed later. `task_id` of the run, where it is known."""

    id: int | None = None
    task_id: str = ""


async def show_list(request: Request) -> Response:
    """GET /api/v1/schedules."""
    lines, _ = await list_lines(services(request).store, scope_of(request), clock.now())
    return answer({"schedules": [to_fields(line) for line in lines]})


async def show_schedulers(request: Request) -> Response:
    """GET /api/v1/schedulers."""
    return answer({"schedulers": await schedules.list_schedulers(services(request).store)})


async def create(request: Request) -> Response:
    """POST /api/v1/schedules."""
    body = await read_body(request, NewSchedule)
    wanted = ScheduleRequest(**{name: getattr(body, name) for name in ScheduleRequest.__dataclass_fields__})
    await _check_arguments(request, wanted)
    id = await services(request).schedules.create(request.scope["identity"], wanted, body.reason)
    return answer({"id": id, "task_id": ""}, 201 if id is not None else 202)


async def show(request: Request) -> Response:
    """GET /api/v1/schedules/{id}."""
    return answer(await json_fields(request))


async def change(request: Request) -> Response:
    """POST /api/v1/schedules/{id}."""
    body, row = await read_body(request, ScheduleChange), await find_schedule(request)
    wanted = changed(row, body)
    await _check_arguments(request, wanted)
    await services(request).schedules.edit(request.scope["identity"], row, wanted, body.reason)
    return answer({"id": row.id, "task_id": ""}, 202)


def changed(row: ScheduleRow, body: ScheduleChange) -> ScheduleRequest:
    """Returns the request for a changed schedule."""
    given = {name: getattr(body, name) for name in ScheduleChange.__struct_fields__ if name not in ("reason", "args", "kwargs")}
    kept = {name: getattr(row, name) for name in ScheduleRequest.__dataclass_fields__ if name not in ("args", "kwargs", "jitter_s")}
    kept["jitter_s"] = row.jitter_us / 1_000_000
    return ScheduleRequest(**kept | {name: value for name, value in given.items() if value is not None}, args=body.args, kwargs=body.kwargs)


async def _check_arguments(request: Request, wanted: ScheduleRequest) -> None:
    if wanted.args is None or wanted.kwargs is None:
        return
    known = await command_requests.parameters_of(services(request).store, wanted.app, wanted.engine, wanted.task_name, wanted.environment)
    if known and (wrong := task_signatures.why_not(known, wanted.args, list(wanted.kwargs))) is not None:
        raise BadInput(f"{wrong} No changes were made.")


async def act(request: Request) -> Response:
    """POST /api/v1/schedules/{id}/actions."""
    body, row, service = await read_body(request, ScheduleAction), await find_schedule(request), services(request).schedules
    actor, task_id = request.scope["identity"], ""
    match body.action:
        case "enable" | "disable":
            await service.switch(actor, row, on=body.action == "enable", reason=body.reason)
        case "fire":
            task_id = await service.fire(actor, row, body.reason)
        case "revert":
            await service.revert(actor, row, body.reason)
        case "delete":
            if body.confirm != "delete":
                raise BadInput("`confirm` must be “delete”. No changes were made.")
            await service.delete(actor, row, body.reason)
        case _:
            raise BadInput("`action` must be enable, disable, fire, delete or revert. No changes were made.")
    return answer({"id": row.id, "task_id": task_id}, 202)


SCOPE: Final = (("app", "Only of this app."), ("environment", "Only of this environment."), ("engine", "Only of this engine."))
OPERATIONS: Final = (
    Operation("GET", "/api/v1/schedules", show_list, "viewer", "Schedules of every scheduler.", ScheduleList, query=SCOPE),
    Operation("POST", "/api/v1/schedules", create, "operator", "Create a schedule.", ScheduleSaved, NewSchedule, status=201),
    Operation("GET", "/api/v1/schedules/{id:int}", show, "viewer", "One schedule with its runs and changes.", ScheduleDetail),
    Operation("POST", "/api/v1/schedules/{id:int}", change, "operator", "Change a schedule.", ScheduleSaved, ScheduleChange, status=202),
    Operation(
        "POST", "/api/v1/schedules/{id:int}/actions", act, "operator", "Enable, disable, run, delete or revert a schedule.", ScheduleSaved,
        ScheduleAction, status=202,
    ),
    Operation("GET", "/api/v1/schedulers", show_schedulers, "viewer", "Scheduler processes.", SchedulerList),
)  # fmt: skip
