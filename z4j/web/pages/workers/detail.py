# SPDX-License-Identifier: AGPL-3.0-or-later
"""One worker: its current tasks, its configuration, and the actions on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from z4j.agents.connections import Need
from z4j.exceptions import AgentGone, BadInput, NotAllowed, Unsupported, WrongState
from z4j.formats import DAY
from z4j.rules.commands import RULES
from z4j.rules.permissions import may_act
from z4j.store.fleet import queues
from z4j.store.fleet.workers import WorkerRow
from z4j.store.operations import commands
from z4j.store.operations.commands import CommandRow
from z4j.web import command_requests
from z4j.web.frame import export
from z4j.web.frame.forms import read_form
from z4j.web.frame.render import Notice, Shell, render, see_other
from z4j.web.frame.shell import make_shell
from z4j.web.pages.error_panel import ErrorPanel, panel_of_worker
from z4j.web.pages.queues.list import href_of as queue_href
from z4j.web.pages.tasks.filters import Filters
from z4j.web.pages.workers.history import WorkerHistory, history_of, plain_worker
from z4j.web.pages.workers.list import notes
from z4j.web.services import services
from z4j.wire.frames import RunningItem

ACTIONS: Final = ("resize_worker", "consume_queue", "leave_queue", "restart_worker", "shutdown_worker")


@dataclass(frozen=True, slots=True)
class CurrentTask:
    """A task that the worker runs or has reserved; `for_us` is its runtime in microseconds, None while it is only reserved."""

    item: RunningItem
    href: str
    for_us: int | None


@dataclass(frozen=True, slots=True)
class WorkerPage:
    """The context of workers/detail.html."""

    shell: Shell
    row: WorkerRow
    tasks: tuple[CurrentTask, ...]
    notes: tuple[str, ...]
    engines: str
    why_not: dict[str, str]
    """action → why it is not possible, "" when it is."""
    action_notes: dict[str, str]
    queues: tuple[tuple[str, str], ...]
    queue_hrefs: tuple[tuple[str, str], ...]
    commands: tuple[CommandRow, ...]
    tasks_href: str
    failed_href: str
    history: WorkerHistory
    errors: ErrorPanel


def href_of(app: str, environment: str, name: str) -> str:
    """Returns the URL of a worker; it includes app and environment, because several workers may have one name."""
    return f"/workers/{quote(name, safe='')}?{urlencode({'app': app, 'environment': environment})}"


async def find_worker(request: Request) -> WorkerRow:
    """Returns the worker of a URL. Raises NotFound."""
    query = request.query_params
    name = request.path_params.get("name") or query.get("worker", "")
    return await command_requests.find_worker(services(request).store, query.get("app"), name, query.get("environment"))


async def history_json(request: Request) -> Response:
    """GET /history/worker.json and GET /api/v1/workers/history."""
    return export.to_json(await plain_worker(request, await find_worker(request)))


async def detail_page(request: Request) -> Response:
    """GET /workers/{name}."""
    server, row = services(request), await find_worker(request)
    shell = await make_shell(request, "workers", Filters(app=row.app, environment=row.environment))
    agent = row.agent
    role = request.scope["identity"].role
    known = [queue for queue in await queues.list_queues(server.store, app=row.app, environment=row.environment) if queue.name]
    here = Filters(worker=row.name, app=row.app, environment=row.environment)
    sent = await commands.list_of_worker(server.store, agent.app_id, row.environment, row.name, shell.now - DAY)
    page = WorkerPage(
        shell=shell,
        row=row,
        tasks=tuple(
            CurrentTask(
                item, Filters(task_id=item.task_id, engine=item.engine).href(), shell.now - item.started_at if item.started_at else None
            )
            for item in sorted(agent.running, key=lambda item: item.started_at or shell.now)
        )
        if row.state == "connected"
        else (),
        notes=notes(row),
        engines=", ".join(f"{engine} {version}" for engine, version in sorted(agent.engines.items())),
        why_not={action: _why_not(request, role, row, action) for action in ACTIONS},
        action_notes=dict.fromkeys(ACTIONS, "") | {item.action: item.note for item in agent.capabilities},
        queues=tuple(
            {
                queue.name: (queue.name, queue.name) for queue in known if queue.engine in agent.engines and queue.name not in agent.queues
            }.values()
        ),
        queue_hrefs=tuple((name, next((queue_href(queue) for queue in known if queue.name == name), "")) for name in agent.queues),
        commands=tuple(sent),
        tasks_href=here.href(),
        failed_href=here.but(state=("failed", "lost")).href(),
        history=await history_of(request, row, sent, shell.now),
        errors=await panel_of_worker(server.store, here, shell.now),
    )
    return render(request, "workers/detail.html", page)


def _why_not(request: Request, role: str, row: WorkerRow, action: str) -> str:
    if not may_act(role, action):
        return f"your role is {role}"
    engines = [item.engine for item in row.agent.capabilities if item.action == action]
    if row.state != "connected":
        return "the worker is not connected"
    if not engines:
        return f"{', '.join(sorted(row.agent.engines)) or 'its engine'} does not support this in this worker"
    return services(request).hub.find(Need(row.agent.app_id, engines[0], action, row.environment, row.name))[1]


async def act(request: Request) -> Response:
    """POST /workers/act: the forms of the page."""
    server, form = services(request), await read_form(request)
    action, app, worker = form.get("action", ""), form.get("app", ""), form.get("worker", "")
    environment = form.get("environment", "")
    page, rule = href_of(app, environment, worker), RULES.get(action)
    if rule is not None and rule.word and form.get("confirm") != rule.word:
        return see_other(page, Notice("warn", f"No changes were made. Type “{rule.word}” to confirm."))
    try:
        command_request = await command_requests.worker_request(
            server.store, action, app, worker, environment, form, form.get("reason", "")
        )
        await server.dispatch.submit(request.scope["identity"], command_request)
    except (WrongState, Unsupported, AgentGone, NotAllowed, BadInput) as error:
        return see_other(page, Notice("bad", error.explanation))
    return see_other(page, Notice("good", RULES[action].notice))
