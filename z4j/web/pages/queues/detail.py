# SPDX-License-Identifier: AGPL-3.0-or-later
"""One queue: its tasks in the order of the broker, and the actions on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from z4j.agents.connections import Need
from z4j.exceptions import AgentGone, BadInput, NotAllowed, NotFound, Unsupported, WrongState
from z4j.rules.commands import RULES
from z4j.rules.history.ranges import choose
from z4j.rules.permissions import may_act
from z4j.store.fleet import paused_queues
from z4j.store.fleet.paused_queues import PausedQueueRow
from z4j.store.fleet.queues import QueueRow, list_queues
from z4j.store.operations import commands, plans
from z4j.store.operations.commands import CommandRow
from z4j.web import command_requests
from z4j.web.frame import export
from z4j.web.frame.forms import read_form
from z4j.web.frame.render import Choice, Notice, Shell, render, see_other
from z4j.web.frame.shell import make_shell
from z4j.web.pages.queues.history import QueueHistory, history_of, plain_queue
from z4j.web.pages.queues.ledger import LedgerTable, ledger_of
from z4j.web.pages.queues.list import QueueLine, href_of, line
from z4j.web.pages.tasks.filters import Filters
from z4j.web.services import services

SECTIONS: Final = (("waiting", "Waiting"), ("delayed", "Delayed"), ("dead", "Dead"))
STATES_IN: Final = {"waiting": ("queued",), "delayed": ("scheduled", "retrying"), "dead": ("failed",)}
"""States of the tasks in the filter of a plan for a section."""
UNANSWERED: Final = {"expired": "No agent executed the request in time. Request the list again."}
"""Status of a request that no broker answered → the message in place of its list."""
ACTIONS: Final = ("pause_queue", "resume_queue", "peek_queue", "purge_queue")


@dataclass(frozen=True, slots=True)
class Peeked:
    """The answer of the broker. `tasks` are as the adapter reported them; `is_open` until it has answered."""

    section: str
    at: int
    is_open: bool
    error: str
    tasks: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class QueueCommand:
    """A command for the queue; `undo` is the plan that was created to restore a purge, `can_undo` whether one can be created."""

    row: CommandRow
    can_undo: bool
    undo: int | None


@dataclass(frozen=True, slots=True)
class QueuePage:
    """The context of queues/detail.html."""

    shell: Shell
    line: QueueLine
    pause: PausedQueueRow | None
    unreported_pauses: tuple[PausedQueueRow, ...]
    """Pauses of this name in brokers that no agent reports with it now."""
    sections: tuple[Choice, ...]
    section: str
    peeked: Peeked | None
    commands: tuple[QueueCommand, ...]
    why_not: dict[str, str]
    """action → why it is not possible, "" when it is."""
    hidden: tuple[tuple[str, str], ...]
    here: str
    plan_href: str
    history: QueueHistory | None
    ledger: LedgerTable | None


async def find_queue(request: Request) -> QueueRow:
    """Returns the queue of a URL. Raises NotFound."""
    query = request.query_params
    name = request.path_params.get("name") or query.get("queue", "")
    server = services(request)
    for row in await list_queues(server.store, app=query.get("app", ""), name=name, same=server.hub.same_brokers()):
        wanted = all(query.get(key) in (None, getattr(row, key)) for key in ("app", "environment", "engine", "broker"))
        if row.name == name and wanted:
            return row
    raise NotFound(f"Unknown queue “{name[:80]}”.", "The Queues page lists all queues.")


async def detail_page(request: Request) -> Response:
    """GET /queues/{name}."""
    server, row = services(request), await find_queue(request)
    shell = await make_shell(request, "queues", Filters(app=row.app, environment=row.environment, engine=row.engine))
    app_id = await command_requests.app_id_of(server.store, row.app)
    sent = await commands.list_of_queue(server.store, app_id, row.environment, row.engine, row.name)
    section = request.query_params.get("place", "waiting")
    section = section if section in dict(SECTIONS) else "waiting"
    listing = next((command for command in sent if _is_listing(command, row, section)), None)
    pauses = paused_queues.of_queue(await paused_queues.list_paused(server.store, server.hub.same_brokers()), row)
    pause = paused_queues.find_pause(pauses, row)
    listed = {queue.broker for queue in await list_queues(server.store, app=row.app, name=row.name, same=server.hub.same_brokers())}
    role = request.scope["identity"].role
    page = QueuePage(
        shell=shell,
        line=line(row, shell.now, is_paused=pause is not None),
        pause=pause,
        unreported_pauses=tuple(each for each in pauses if each is not pause and each.broker not in listed),
        sections=tuple(Choice(word, href_of(row, place=key), key == section) for key, word in SECTIONS),
        section=section,
        peeked=_peeked(listing) if listing else None,
        commands=tuple([await _command(request, command) for command in sent if command.action != "peek_queue"][:20]),
        why_not={action: _why_not(request, role, app_id, row, action) for action in ACTIONS},
        hidden=(("app", row.app), ("environment", row.environment), ("engine", row.engine), ("queue", row.name), *_broker_of(row)),
        here=href_of(row, place=section, range=choose(request.query_params.get("range"))),
        plan_href=Filters(state=STATES_IN[section], queue=row.name, engine=row.engine, app=row.app, environment=row.environment).href(
            "/plans/new"
        ),
        history=await history_of(request, row, sent, shell.now),
        ledger=await ledger_of(request, row, shell.now),
    )
    return render(request, "queues/detail.html", page)


async def history_json(request: Request) -> Response:
    """GET /history/queue.json and GET /api/v1/queues/history."""
    return export.to_json(await plain_queue(request, await find_queue(request)))


def _why_not(request: Request, role: str, app_id: int, row: QueueRow, action: str) -> str:
    if not may_act(role, action):
        return f"your role is {role}"
    need = Need(app_id, row.engine, action, row.environment, queue=row.name, broker=row.needed_broker)
    return "" if services(request).dispatch.paused_queues.may_be_stored(need) else services(request).hub.find(need)[1]


def _broker_of(row: QueueRow) -> tuple[tuple[str, str], ...]:
    """Returns the hidden field that distinguishes this queue from others of the same name."""
    return (("broker", row.needed_broker),) if row.needed_broker else ()


def _is_listing(command: CommandRow, row: QueueRow, section: str) -> bool:
    """Whether the command listed this section of the queue; it names no broker where only one with the queue was known."""
    broker = command.params.get("broker", "")
    return command.action == "peek_queue" and command.params.get("place") == section and broker == row.needed_broker


def _peeked(row: CommandRow) -> Peeked:
    tasks = row.detail.get("tasks")
    is_answered = row.ended_at is None or row.status == "done"
    error = row.detail.get("error") or ("" if is_answered else UNANSWERED.get(row.status, f"The request ended as {row.status}."))
    shown = tuple(task for task in tasks if isinstance(task, dict)) if isinstance(tasks, list) else ()
    return Peeked(
        str(row.params.get("place", "waiting")),
        row.ended_at or row.created_at,
        row.ended_at is None,
        str(error),
        shown,
    )


async def _command(request: Request, row: CommandRow) -> QueueCommand:
    if row.action != "purge_queue" or row.status != "done":
        return QueueCommand(row, False, None)
    undo = await plans.find_undo(services(request).store, f"command {row.id}")
    return QueueCommand(row, undo is None and bool(row.detail.get("tasks")), undo)


async def act(request: Request) -> Response:
    """POST /queues/act: the forms of the page."""
    server, form = services(request), await read_form(request)
    action = form.get("action", "")
    names = {key: form.get(key, "") for key in ("app", "environment", "engine")}
    names |= {"broker": form["broker"]} if form.get("broker") else {}
    section = form.get("place", "waiting")
    page = f"/queues/{quote(form.get('queue', ''), safe='')}?{urlencode(names | {'place': section})}"
    rule = RULES.get(action)
    if rule is not None and rule.word and form.get("confirm") != rule.word:
        return see_other(page, Notice("warn", f"No changes were made. Type “{rule.word}” to confirm."))
    try:
        command_request = await command_requests.queue_request(
            server.store, action, names["app"], names["environment"], names["engine"], form.get("queue", ""), form, form.get("reason", ""),
            server.hub.same_brokers(),
        )  # fmt: skip
        await server.dispatch.submit(request.scope["identity"], command_request)
    except (WrongState, Unsupported, AgentGone, NotAllowed, BadInput) as error:
        return see_other(page, Notice("bad", error.explanation))
    return see_other(page, None if action == "peek_queue" else Notice("good", RULES[action].notice))


async def undo(request: Request) -> Response:
    """POST /commands/{id}/undo: creates a plan that restores a purge, and shows its preview."""
    server = services(request)
    command = await commands.get_command(server.store, request.path_params["id"])
    if command is None:
        raise NotFound("Command not found. It may have been deleted after the retention period.")
    try:
        plan = await server.plans.undo_purge(request.scope["identity"], command)
    except (WrongState, NotAllowed) as error:
        return see_other("/changes", Notice("bad", error.explanation))
    return see_other(f"/plans/{plan.id}")
