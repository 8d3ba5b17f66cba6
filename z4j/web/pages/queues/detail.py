# SPDX-License-Identifier: AGPL-3.0-or-later
"""One queue: what waits in it, in its order, and what may be asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from z4j.agents.connections import Need
from z4j.exceptions import AgentGone, BadInput, NotAllowed, NotFound, Unsupported, WrongState
from z4j.rules.access import may_act
from z4j.rules.commands import RULES
from z4j.store.fleet import paused_queues
from z4j.store.fleet.paused_queues import PausedQueueRow
from z4j.store.fleet.queues import QueueRow, list_queues
from z4j.store.operations import commands, plans
from z4j.store.operations.commands import CommandRow
from z4j.web import command_requests
from z4j.web.frame.forms import read_form
from z4j.web.frame.render import Choice, Notice, Shell, render, see_other
from z4j.web.frame.shell import make_shell
from z4j.web.pages.queues.list import QueueLine, href_of, line
from z4j.web.pages.tasks.filters import Filters
from z4j.web.services import services

PLACES: Final = (("waiting", "Waiting"), ("delayed", "Delayed"), ("dead", "Dead"))
STATES_IN: Final = {"waiting": ("queued",), "delayed": ("scheduled", "retrying"), "dead": ("failed",)}
"""What a plan over a place of a queue begins with."""
ACTIONS: Final = ("pause_queue", "resume_queue", "peek_queue", "purge_queue")


@dataclass(frozen=True, slots=True)
class Peeked:
    """What the broker answered. `tasks` are as the adapter told them; `is_open` while it has not answered."""

    place: str
    at: int
    is_open: bool
    error: str
    tasks: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A command about the queue; `undo` is the plan that put a purge back, `can_undo` whether one could be made."""

    row: CommandRow
    can_undo: bool
    undo: int | None


@dataclass(frozen=True, slots=True)
class QueuePage:
    """The context of queues/detail.html."""

    shell: Shell
    line: QueueLine
    hold: PausedQueueRow | None
    left: tuple[PausedQueueRow, ...]
    """Pauses of this name in brokers that no agent reports with it now."""
    places: tuple[Choice, ...]
    place: str
    peeked: Peeked | None
    asked: tuple[Asked, ...]
    why_not: dict[str, str]
    """action → why it is not possible, "" when it is."""
    hidden: tuple[tuple[str, str], ...]
    here: str
    plan_href: str


async def find_queue(request: Request) -> QueueRow:
    """The queue a URL means. Raises NotFound."""
    name, query = request.path_params["name"], request.query_params
    found = services(request)
    for row in await list_queues(found.store, app=query.get("app", ""), name=name, same=found.hub.same_brokers()):
        wanted = all(query.get(key) in (None, getattr(row, key)) for key in ("app", "environment", "engine", "broker"))
        if row.name == name and wanted:
            return row
    raise NotFound(f"There is no queue “{name[:80]}” there.", "Queues lists them all.")


async def detail_page(request: Request) -> Response:
    """GET /queues/{name}."""
    found, row = services(request), await find_queue(request)
    shell = await make_shell(request, "queues", Filters(app=row.app, environment=row.environment, engine=row.engine))
    app_id = await command_requests.app_id_of(found.store, row.app)
    asked = await commands.list_of_queue(found.store, app_id, row.environment, row.engine, row.name)
    place = request.query_params.get("place", "waiting")
    place = place if place in dict(PLACES) else "waiting"
    looked = next((of for of in asked if _is_look(of, row, place)), None)
    held = paused_queues.of_queue(await paused_queues.list_paused(found.store, found.hub.same_brokers()), row)
    hold = paused_queues.find_pause(held, row)
    listed = {of.broker for of in await list_queues(found.store, app=row.app, name=row.name, same=found.hub.same_brokers())}
    role = request.scope["identity"].role
    page = QueuePage(
        shell=shell,
        line=line(row, shell.now, is_paused=hold is not None),
        hold=hold,
        left=tuple(of for of in held if of is not hold and of.broker not in listed),
        places=tuple(Choice(word, href_of(row, place=key), key == place) for key, word in PLACES),
        place=place,
        peeked=_peeked(looked) if looked else None,
        asked=tuple([await _asked(request, of) for of in asked if of.action != "peek_queue"][:20]),
        why_not={action: _why_not(request, role, app_id, row, action) for action in ACTIONS},
        hidden=(("app", row.app), ("environment", row.environment), ("engine", row.engine), ("queue", row.name), *_broker_of(row)),
        here=href_of(row, place=place),
        plan_href=Filters(state=STATES_IN[place], queue=row.name, engine=row.engine, app=row.app, environment=row.environment).href(
            "/plans/new"
        ),
    )
    return render(request, "queues/detail.html", page)


def _why_not(request: Request, role: str, app_id: int, row: QueueRow, action: str) -> str:
    if not may_act(role, action):
        return f"your role is {role}"
    need = Need(app_id, row.engine, action, row.environment, queue=row.name, broker=row.needed_broker)
    return "" if services(request).dispatch.paused_queues.may_be_stored(need) else services(request).hub.find(need)[1]


def _broker_of(row: QueueRow) -> tuple[tuple[str, str], ...]:
    """The field that tells this queue from one of the same name."""
    return (("broker", row.needed_broker),) if row.needed_broker else ()


def _is_look(command: CommandRow, row: QueueRow, place: str) -> bool:
    """Whether the command looked into this place of the queue; while only one broker with the queue was known, it named none."""
    broker = command.params.get("broker", "")
    return command.action == "peek_queue" and command.params.get("place") == place and broker == row.needed_broker


def _peeked(row: CommandRow) -> Peeked:
    tasks = row.detail.get("tasks")
    shown = tuple(of for of in tasks if isinstance(of, dict)) if isinstance(tasks, list) else ()
    return Peeked(
        row.params.get("place", "waiting"), row.ended_at or row.created_at, row.ended_at is None, str(row.detail.get("error") or ""), shown
    )


async def _asked(request: Request, row: CommandRow) -> Asked:
    if row.action != "purge_queue" or row.status != "done":
        return Asked(row, False, None)
    undo = await plans.find_undo(services(request).store, f"command {row.id}")
    return Asked(row, undo is None and bool(row.detail.get("tasks")), undo)


async def act(request: Request) -> Response:
    """POST /queues/act: what the forms of the page send."""
    found, form = services(request), await read_form(request)
    action = form.get("action", "")
    names = {key: form.get(key, "") for key in ("app", "environment", "engine")}
    names |= {"broker": form["broker"]} if form.get("broker") else {}
    place = form.get("place", "waiting")
    page = f"/queues/{quote(form.get('queue', ''), safe='')}?{urlencode(names | {'place': place})}"
    rule = RULES.get(action)
    if rule is not None and rule.word and form.get("confirm") != rule.word:
        return see_other(page, Notice("warn", f"Nothing was changed: type “{rule.word}” to confirm."))
    try:
        command_request = await command_requests.queue_request(
            found.store, action, names["app"], names["environment"], names["engine"], form.get("queue", ""), form, form.get("reason", ""),
            found.hub.same_brokers(),
        )  # fmt: skip
        await found.dispatch.submit(request.scope["identity"], command_request)
    except (WrongState, Unsupported, AgentGone, NotAllowed, BadInput) as error:
        return see_other(page, Notice("bad", f"{error.message} {error.hint}".strip()))
    return see_other(page, None if action == "peek_queue" else Notice("good", RULES[action].notice))


async def undo(request: Request) -> Response:
    """POST /commands/{id}/undo: a purge is put back by a plan, which is looked at first."""
    found = services(request)
    command = await commands.get_command(found.store, request.path_params["id"])
    if command is None:
        raise NotFound("There is no such command, or it is older than what is kept.")
    try:
        plan = await found.plans.undo_purge(request.scope["identity"], command)
    except (WrongState, NotAllowed) as error:
        return see_other("/changes", Notice("bad", f"{error.message} {error.hint}".strip()))
    return see_other(f"/plans/{plan.id}")
