# SPDX-License-Identifier: AGPL-3.0-or-later
"""The form for schedules of every scheduler: its fields, a preview with description and due times, and the changes of an edit."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.exceptions import AgentGone, BadInput, NotAllowed, NotFound, Unsupported, WrongState, Z4jError
from z4j.operations.schedule_request import ScheduleRequest, changes_of
from z4j.rules.commands import RULES
from z4j.rules.schedules.dialects import DIALECTS
from z4j.rules.schedules.due_times import clock_changes, sentence, zones
from z4j.store.fleet import agents, apps
from z4j.store.operations.value_encryption import SealError
from z4j.store.schedules import schedules
from z4j.store.schedules.schedules import OWN, ScheduleRow
from z4j.web import command_requests
from z4j.web.auth.audit_trail import refused
from z4j.web.frame.forms import read_form
from z4j.web.frame.render import Notice, Shell, render, respond, see_other, to_html
from z4j.web.frame.shell import make_shell
from z4j.web.frame.times import TwoTimes, reader_zone, two_times
from z4j.web.pages.schedules.detail import NEXT, find_schedule
from z4j.web.pages.schedules.fields import engine_of, values_of, wanted_of
from z4j.web.pages.schedules.list import WORDS
from z4j.web.pages.tasks.actions import LONGEST
from z4j.web.services import services

KINDS: Final = (("built", "times of day"), ("cron", "cron expression"), ("interval", "interval"), ("once", "once"))


@dataclass(frozen=True, slots=True)
class SchedulerChoice:
    """A scheduler that accepts new schedules."""

    app: str
    environment: str
    scheduler: str
    word: str
    note: str
    href: str


@dataclass(frozen=True, slots=True)
class Preview:
    """Description, due times, warnings and changes for the values of the form."""

    wrong: str = ""
    hint: str = ""
    description: str = ""
    zone: str = ""
    viewer: str = ""
    times: tuple[TwoTimes, ...] = ()
    warnings: tuple[str, ...] = ()
    changes: dict[str, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FormPage:
    """The context of schedules/form.html. `row` is None for a new schedule; `choices` is empty once a scheduler is chosen."""

    shell: Shell
    row: ScheduleRow | None
    choices: tuple[SchedulerChoice, ...]
    scheduler: str
    word: str
    values: dict[str, str]
    kinds: tuple[tuple[str, str], ...]
    zones: tuple[str, ...]
    one_zone: str
    has_seconds: bool
    environments: tuple[tuple[str, str], ...]
    engines: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    brokers: tuple[tuple[str, str], ...]
    """(value, label); empty unless agents of the app use several or the schedule names one."""
    preview: Preview
    is_review: bool
    action: str


@dataclass(frozen=True, slots=True)
class PreviewPart:
    """The context of schedules/_preview.html."""

    preview: Preview


async def new_page(request: Request) -> Response:
    """GET /schedules/new: the choice of a scheduler, then the form."""
    query = dict(request.query_params)
    if not query.get("scheduler"):
        made = await _page(request, None, {}, choices=await _scheduler_choices(request))
        return render(request, "schedules/form.html", made)
    values = {
        "kind": "built", "every": "daily", "time": "02:30", "minute": "0", "n": "5", "day": "1", "day_mon": "on", "seconds": "300",
        "timezone": reader_zone(), "is_enabled": "on", "catch_up": "skip", "overlap": "allow", "args": "[]", "kwargs": "{}",
    } | query  # fmt: skip
    if "interval" not in DIALECTS.get(query["scheduler"], DIALECTS[OWN]).kinds:
        values["seconds"] = ""
    return render(request, "schedules/form.html", await _page(request, None, values, is_first=True))


async def create(request: Request) -> Response:
    """POST /schedules/new."""
    form = await read_form(request, LONGEST)
    if form.get("step") != "save":
        return render(request, "schedules/form.html", await _page(request, None, form))
    try:
        wanted = await wanted_of(request, form, None)
        id = await services(request).schedules.create(request.scope["identity"], wanted, form.get("reason", ""))
    except (BadInput, NotFound, NotAllowed, AgentGone, Unsupported, WrongState, SealError) as error:
        refused(request, error.message)
        return render(request, "schedules/form.html", await _page(request, None, form, notice=_notice(error)))
    if id is not None:
        return see_other(f"/schedules/{id}", Notice("good", f"{wanted.name} was created."))
    notice = f"Creation of {wanted.name} requested. It is listed when {WORDS[wanted.scheduler]} has listed it."
    return see_other("/schedules?" + urlencode({"scheduler": wanted.scheduler}), Notice("good", notice))


async def edit_page(request: Request) -> Response:
    """GET /schedules/{id}/edit."""
    row = await find_schedule(request)
    return render(request, "schedules/form.html", await _page(request, row, values_of(row), is_first=True))


async def edit(request: Request) -> Response:
    """POST /schedules/{id}/edit: shows the changes first, then saves them."""
    form, row = await read_form(request, LONGEST), await find_schedule(request)
    if form.get("step") != "save":
        return render(request, "schedules/form.html", await _page(request, row, form, is_review=form.get("step") == "review"))
    try:
        wanted = await wanted_of(request, form, row)
        await services(request).schedules.edit(request.scope["identity"], row, wanted, form.get("reason", ""))
    except (BadInput, NotFound, NotAllowed, AgentGone, Unsupported, WrongState, SealError) as error:
        refused(request, error.message)
        return render(request, "schedules/form.html", await _page(request, row, form, notice=_notice(error)))
    notice = f"{wanted.name} was updated." if row.is_own or row.is_by_override else RULES["save_schedule"].notice
    return see_other(f"/schedules/{row.id}", Notice("good", notice))


async def preview_part(request: Request) -> Response:
    """POST /schedules/preview: the preview, updated while the form is filled in."""
    form = await read_form(request, LONGEST)
    row = None
    if form.get("id", "").isdecimal() and len(form["id"]) < 18:
        row = await schedules.get_schedule(services(request).store, int(form["id"]))
    return respond(request, to_html("schedules/_preview.html", PreviewPart(await preview(request, form, row))))


def _notice(error: Z4jError) -> str:
    return error.explanation


# -- the page -----------------------------------------------------------------------------------------------------
async def _page(
    request: Request, row: ScheduleRow | None, values: dict[str, str], *, choices: tuple[SchedulerChoice, ...] = (), notice: str = "",
    is_review: bool = False, is_first: bool = False,
) -> FormPage:  # fmt: skip
    store, scheduler = services(request).store, row.scheduler if row else values.get("scheduler", "")
    dialect = DIALECTS.get(scheduler, DIALECTS[OWN])
    app, environment = (row.app, row.environment) if row else (values.get("app", ""), values.get("environment", ""))
    one_zone = "" if dialect.has_zones or not scheduler else await _zone(request, app, environment, scheduler)
    engine = "" if scheduler == OWN and not row else await engine_of(request, row, values)
    engines, environments = await _own_choices(request, app) if scheduler == OWN else ((), ())
    names = [
        task_name.name for task_name in await agents.list_task_names(store)
        if task_name.app == app and engine in ("", task_name.engine) and environment in ("", task_name.environment)
    ]  # fmt: skip
    if not names:  # a scheduler that runs functions has no task names
        names = [listed.task_name for listed in await schedules.list_schedules(store) if (listed.app, listed.scheduler) == (app, scheduler)]
    seen = await preview(request, values, row) if scheduler and (row is not None or not is_first or values.get("name")) else Preview()
    return FormPage(
        shell=await make_shell(request, "schedules"),
        row=row,
        choices=choices,
        scheduler=scheduler,
        word=WORDS.get(scheduler, scheduler),
        values={"app": app, "environment": environment, "scheduler": scheduler} | values | ({"notice": notice} if notice else {}),
        kinds=tuple((kind, word) for kind, word in KINDS if kind in dialect.kinds or kind == "built"),
        zones=("UTC", *zones()),
        one_zone=one_zone,
        has_seconds=dialect.has_seconds,
        environments=environments,
        engines=engines,
        names=tuple(dict.fromkeys(names)),
        brokers=await _brokers(request, app, values) if scheduler == OWN else (),
        preview=seen,
        is_review=is_review and not seen.wrong,
        action=f"/schedules/{row.id}/edit" if row else "/schedules/new",
    )


async def _scheduler_choices(request: Request) -> tuple[SchedulerChoice, ...]:
    """Returns every scheduler that accepts new schedules, z4j's own for each app first."""
    store = services(request).store
    choices = [
        SchedulerChoice(app.name, "", OWN, "z4j", "Built into z4j; runs tasks of any engine of the app.", "")
        for app in await apps.list_apps(store)
    ]
    seen = set()
    for process in await schedules.list_schedulers(store):
        key = (process.app, process.environment, process.scheduler)
        if process.can_create and key not in seen:
            seen.add(key)
            note = (
                "Stored by z4j, in addition to the schedules in code."
                if process.store == "code"
                else f"Stored by the scheduler ({process.store})."
            )
            note += "" if process.left_at is None else " Not connected."
            choices.append(
                SchedulerChoice(
                    process.app, process.environment, process.scheduler, WORDS.get(process.scheduler, process.scheduler), note, ""
                )
            )
    return tuple(
        dataclasses.replace(
            each, href="/schedules/new?" + urlencode({"app": each.app, "environment": each.environment, "scheduler": each.scheduler})
        )
        for each in choices
    )  # fmt: skip


async def _zone(request: Request, app: str, environment: str, scheduler: str) -> str:
    blank = ScheduleRequest(app, environment, scheduler, "", "", "", "", "", "")
    return await services(request).schedules.zone_of(blank) or "UTC"


async def _own_choices(request: Request, app: str) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """Returns the engines and environments of an app, from its registered tasks and its connected agents."""
    server = services(request)
    engines = {task_name.engine for task_name in await agents.list_task_names(server.store) if task_name.app == app}
    app_id = next((row.id for row in await apps.list_apps(server.store) if row.name == app), 0)
    environments = {link.environment for link in server.hub.of_app(app_id)}
    if len(environments) < 2:
        environments |= {""}
    return tuple((name, name) for name in sorted(engines)), tuple((name, name or "any") for name in sorted(environments))


async def _brokers(request: Request, app: str, values: dict[str, str]) -> tuple[tuple[str, str], ...]:
    server = services(request)
    app_id = next((row.id for row in await apps.list_apps(server.store) if row.name == app), 0)
    same, named = server.hub.same_brokers(), values.get("broker", "")
    engines = {engine for link in server.hub.of_app(app_id) for engine in link.brokers if values.get("engine", "") in ("", engine)}
    known = {same.get((app_id, engine, each), each) for engine in engines for each in server.hub.brokers_of(app_id, engine)}
    known |= {named} if named else set()
    return (("", "any broker with the task"), *((each, each) for each in sorted(known))) if len(known) > 1 or named else ()


# -- preview ----------------------------------------------------------------------------------------------------------
async def preview(request: Request, form: dict[str, str], row: ScheduleRow | None) -> Preview:
    """Returns the preview of the form; `wrong` is the reason why it cannot be saved."""
    viewer, now = reader_zone(), clock.now()
    form = form | {name: form.get(name) or "?" for name in ("name", "task_name")}
    try:
        wanted = await services(request).schedules.checked(await wanted_of(request, form, row))
    except (BadInput, NotFound) as error:
        return Preview(wrong=error.message.replace(" No changes were made.", ""), hint=error.hint)
    dialect = DIALECTS[wanted.scheduler]
    timing = schedules.timing_of(
        wanted.scheduler, wanted.kind, wanted.expression, wanted.timezone, wanted.starts_at or now, wanted.starts_at, wanted.ends_at
    )
    own = wanted.scheduler == OWN
    warned = []
    for change in clock_changes(timing, now):
        day, _, time = change.local.partition(" ")
        many = f" (and {change.count - 1} more)" if change.count > 1 else ""
        if change.is_gap:
            then = "the run is delayed by the skipped time" if own else f"the behavior depends on {dialect.word}"
            warned.append(f"On {day}, {time} does not exist in {wanted.timezone}{many}: {then}.")
        else:
            then = "only the first one is run" if own else f"the behavior depends on {dialect.word}"
            warned.append(f"On {day}, {time} occurs twice in {wanted.timezone}{many}: {then}.")
    parameters = await command_requests.parameters_of(
        services(request).store, wanted.app, wanted.engine, wanted.task_name, wanted.environment
    )
    if parameters is None and wanted.task_name != "?":
        warned.append(f"No connected worker has registered {wanted.task_name}. A run of an unregistered task fails.")
    return Preview(
        description=sentence(wanted.kind, wanted.expression, day_or=dialect.day_or),
        zone=wanted.timezone or "UTC",
        viewer=viewer,
        times=tuple(two_times(at, wanted.timezone, viewer) for at in timing.upcoming(now, NEXT)),
        warnings=tuple(warned),
        changes=changes_of(row, wanted) if row is not None else {},
    )
