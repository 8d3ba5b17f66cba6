# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs a registered task by its name, with a form that is built from its signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from z4j.agents.connections import Hub, Need
from z4j.exceptions import AgentGone, BadInput, NotAllowed, NotFound, Unsupported
from z4j.operations.commands import CommandRequest
from z4j.rules.commands import RULES
from z4j.rules.task_signatures import Parameter, parse
from z4j.store.fleet.agents import TaskNameRow, find_task_name, list_task_names
from z4j.web import command_requests
from z4j.web.auth.audit_trail import refused
from z4j.web.frame.forms import read_form
from z4j.web.frame.render import Notice, Shell, render, see_other
from z4j.web.frame.shell import make_shell
from z4j.web.pages.tasks.actions import LONGEST, read_value
from z4j.web.pages.tasks.filters import Filters
from z4j.web.services import services

SHOWN: Final = 500


@dataclass(frozen=True, slots=True)
class Choice:
    """A registered task and the URL of its form."""

    row: TaskNameRow
    href: str
    is_on: bool


@dataclass(frozen=True, slots=True)
class RunPage:
    """The context of tasks/run.html. `parameters` is None while no task is chosen."""

    shell: Shell
    choices: tuple[Choice, ...]
    more: int
    wanted: str
    chosen: TaskNameRow | None
    parameters: tuple[Parameter, ...] | None
    why_not: str
    values: dict[str, str]
    brokers: tuple[tuple[str, str], ...] = ()
    """(value, label); empty where the agents that can run the task use one broker."""


def href_of(row: TaskNameRow) -> str:
    """Returns the URL of the form of a registered task."""
    return "/tasks/run?" + urlencode({"app": row.app, "environment": row.environment, "engine": row.engine, "name": row.name})


async def page(request: Request) -> Response:
    """GET /tasks/run: every registered task, and the form of the chosen one."""
    return await _page(request, {})


async def _page(request: Request, values: dict[str, str], notice: Notice | None = None) -> Response:
    server, query = services(request), values or dict(request.query_params)
    wanted = query.get("q", "").strip().lower()
    known = await list_task_names(server.store)
    app, environment, engine, name = (query.get(key, "") for key in ("app", "environment", "engine", "name"))
    chosen = await find_task_name(server.store, app, engine, name, environment)
    shown = [row for row in known if wanted in row.name.lower()]
    why_not, parameters, brokers = "", None, list[str]()
    if chosen is not None:
        parameters = parse(chosen.signature) or ()
        app_id = await command_requests.app_id_of(server.store, chosen.app)
        brokers = _brokers(server.hub, app_id, chosen)
        why_not = server.hub.find(Need(app_id, chosen.engine, "run_task", chosen.environment))[1]
    shell = await make_shell(request, "tasks", Filters())
    made = RunPage(
        shell=shell,
        choices=tuple(Choice(row, href_of(row), row == chosen) for row in shown[:SHOWN]),
        more=len(shown[SHOWN:]),
        wanted=query.get("q", ""),
        chosen=chosen,
        parameters=parameters,
        why_not=why_not,
        values=values | ({"notice": notice.text} if notice else {}),
        brokers=(("", "default broker of the task"), *((each, each) for each in brokers)) if len(brokers) > 1 else (),
    )
    return render(request, "tasks/run.html", made)


def _brokers(hub: Hub, app_id: int, chosen: TaskNameRow) -> list[str]:
    """Returns the brokers of the agents that can run the task, without duplicates."""
    same, engine = hub.same_brokers(), chosen.engine
    able = [link for link in hub.able(app_id, engine, "run_task") if link.environment == chosen.environment]
    return sorted({same.get((app_id, engine, each), each) for link in able for each in link.brokers.get(engine, ())})


async def run(request: Request) -> Response:
    """POST /tasks/run. Shows the form again, with its values, when the request is refused."""
    server, form = services(request), await read_form(request, LONGEST)
    try:
        command_request = await _command_request(request, form)
        command = (await server.dispatch.submit(request.scope["identity"], command_request))[0]
    except (BadInput, NotFound, AgentGone, Unsupported, NotAllowed) as error:
        refused(request, error.message)
        return await _page(request, form, Notice("bad", error.explanation))
    href = Filters(task_id=str(command.params["new_id"]), engine=command.engine).href()
    return see_other(href, Notice("good", RULES["run_task"].notice))


async def _command_request(request: Request, form: dict[str, str]) -> CommandRequest:
    store = services(request).store
    app, environment, engine, name = (form.get(key, "") for key in ("app", "environment", "engine", "name"))
    parameters = await command_requests.parameters_of(store, app, engine, name, environment)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for parameter in parameters or ():
        text = form.get(f"of.{parameter.name}", "")
        if parameter.kind not in ("rest", "named_rest") and text:
            value = read_value(parameter.name, text)
            if parameter.kind == "positional":
                args.append(value)
            else:
                kwargs[parameter.name] = value
    more, named = form.get("args", ""), form.get("kwargs", "")
    if more:
        parsed = read_value("“Positional arguments”", more)
        if not isinstance(parsed, list):
            raise BadInput("Positional arguments must be a JSON list. No task was run.")
        args += parsed
    if named:
        parsed = read_value("“Named arguments”", named)
        if not isinstance(parsed, dict):
            raise BadInput("Named arguments must be a JSON object. No task was run.")
        kwargs |= parsed
    queue, reason, broker = (form.get(key, "") for key in ("queue", "reason", "broker"))
    return await command_requests.run_request(store, app, environment, engine, name, args, kwargs, queue, reason, broker)
