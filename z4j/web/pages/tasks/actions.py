# SPDX-License-Identifier: AGPL-3.0-or-later
"""The actions on one task: their forms on its page, and the requests they send. The page itself: detail.py."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import AgentGone, BadInput, NotAllowed, Unsupported, WrongState
from z4j.operations.commands import AvailableAction, find_task
from z4j.rules import task_signatures
from z4j.rules.commands import RULES
from z4j.rules.plans import LEVELS
from z4j.rules.queries.arguments import arguments_of
from z4j.store.fleet import queues
from z4j.store.tasks.tasks import TaskDetail
from z4j.web import command_requests
from z4j.web.frame import values
from z4j.web.frame.forms import local_path, read_form
from z4j.web.frame.render import Notice, see_other
from z4j.web.services import services

KEYS: Final = {
    "retry_task": "r", "edit_task": "e", "restore_task": "b", "cancel_task": "c", "release_task": "u", "prioritise_task": "o",
    "move_task": "m", "terminate_task": "s", "inspect_task": "i",
}  # fmt: skip
"""action → the key that requests it or opens its form."""
NOTES: Final = {
    "terminate_task": "The process that runs the task is stopped immediately. Work that it has already done is not undone.",
    "edit_task": "The task runs again under a new ID. Values shown as ••• were masked; they are kept unless you change them. "
    "Dates, UUIDs and decimals are written as text and keep their type.",
    "prioritise_task": "“Next” puts the task ahead of all queued tasks. An engine with fewer levels uses the nearest one, or refuses.",
    "inspect_task": "Shows files, lines and functions, but no values. The task is not interrupted.",
    "move_task": "The task goes to the end of the other queue and keeps its ID.",
}
WORDS: Final = {"next": "next: ahead of all queued tasks", "high": "high", "normal": "normal", "low": "low"}
LONGEST: Final = 20_000
"""Characters of one edited argument."""


@dataclass(frozen=True, slots=True)
class Field:
    """One argument of the edit form: its label, and its value as JSON."""

    name: str
    label: str
    value: str

    @property
    def rows(self) -> int:
        return min(self.value.count("\n") + 1, 12)


@dataclass(frozen=True, slots=True)
class Action:
    """An available action and its form. `kind`: plain (a button), word (must be typed), edit, level or queue."""

    offer: AvailableAction
    href: str
    key: str
    kind: str
    word: str
    note: str
    fields: tuple[Field, ...] = ()
    choices: tuple[tuple[str, str], ...] = ()
    """Options of a level or a queue: (value, label)."""


async def actions_of(request: Request, task: TaskDetail, offers: list[AvailableAction]) -> tuple[Action, ...]:
    """Returns the actions that the page of a task shows, each with its form."""
    return tuple([await _action(request, task, offer) for offer in offers])


async def _action(request: Request, task: TaskDetail, offer: AvailableAction) -> Action:
    action, row = offer.action, task.row
    kind = "word" if RULES[action].word else {"edit_task": "edit", "prioritise_task": "level", "move_task": "queue"}.get(action, "plain")
    fields: tuple[Field, ...] = ()
    choices: tuple[tuple[str, str], ...] = ()
    if kind == "edit" and offer.is_allowed:
        fields = edit_fields(row.args, await parameters_of(request, row.app, row.engine, row.name, row.environment))
    elif kind == "level":
        choices = tuple((level, WORDS[level]) for level in LEVELS)
    elif kind == "queue" and offer.is_allowed:
        known = await queues.list_queues(services(request).store, app=row.app, environment=row.environment, engine=row.engine)
        here = {queue.name for queue in known if queue.environment == row.environment and queue.name not in ("", row.queue)}
        choices = tuple((name, name) for name in sorted(here))
    path = action.removesuffix("_task")
    return Action(
        offer, f"/tasks/{row.id}/{path}", KEYS[action], kind, RULES[action].word, offer.note or NOTES.get(action, ""), fields, choices
    )


async def parameters_of(request: Request, app: str, engine: str, name: str, environment: str) -> tuple[task_signatures.Parameter, ...]:
    """Returns the parameters of a registered task, () when its signature is unknown or cannot be parsed."""
    return await command_requests.parameters_of(services(request).store, app, engine, name, environment) or ()


def edit_fields(args: str, parameters: tuple[task_signatures.Parameter, ...]) -> tuple[Field, ...]:
    """Returns a field for each argument shown, () when the text is truncated and cannot be parsed."""
    parsed = arguments_of(args)
    if parsed is None:
        return ()
    positional, named = parsed
    names = [parameter.name for parameter in parameters if parameter.kind in ("positional", "either")]
    labels = [names[index] if index < len(names) else f"argument {index + 1}" for index in range(len(positional))]
    return (
        *(Field(f"arg.{index}", labels[index], values.pretty(value)) for index, value in enumerate(positional)),
        *(Field(f"kw.{name}", name, values.pretty(value)) for name, value in named.items()),
    )


def read_edit(form: dict[str, str], args: str) -> dict[str, Any]:
    """Returns only the arguments that differ from those shown; the others keep the value that the application sent. Raises BadInput."""
    edit: dict[str, Any] = {"args": {}, "kwargs": {}}
    before = {field.name: field.value for field in edit_fields(args, ())}
    for name, text in form.items():
        part, _, key = name.partition(".")
        if part not in ("arg", "kw") or not key:
            continue
        value = read_value(key, text)
        if name not in before or json.loads(before[name]) != value:
            edit["args" if part == "arg" else "kwargs"][key] = value
    if form.get("changes"):
        more = read_value("“Changes”", form["changes"])
        if not isinstance(more, dict) or not all(isinstance(more.get(part, {}), dict) for part in ("args", "kwargs")):
            raise BadInput('Changes must be a JSON object such as {"args": {"0": 1}, "kwargs": {"name": "value"}}. No changes were made.')
        edit = {part: edit[part] | more.get(part, {}) for part in ("args", "kwargs")}
    if not edit["args"] and not edit["kwargs"]:
        raise BadInput("No argument was changed. No task was run.", "Use Retry to run the task with the same arguments.")
    return edit


def read_value(name: str, text: str) -> Any:
    """Parses JSON that a person typed. Raises BadInput with the position of the error."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        raise BadInput(f"{name[:60]} is not valid JSON{where}: strings need double quotes. No changes were made.") from None


# -- requests of the forms -----------------------------------------------------------------------------------------------------
def _endpoint(action: str) -> Callable[[Request], Awaitable[Response]]:
    async def ask(request: Request) -> Response:
        return await _ask(request, action)

    ask.__doc__ = f"POST /tasks/{{id}}/{action.removesuffix('_task')}."
    return ask


retry, edit, restore, cancel = (_endpoint(f"{word}_task") for word in ("retry", "edit", "restore", "cancel"))
release, prioritise, move, terminate = (_endpoint(f"{word}_task") for word in ("release", "prioritise", "move", "terminate"))
inspect = _endpoint("inspect_task")


async def _ask(request: Request, action: str) -> Response:
    server, form = services(request), await read_form(request, LONGEST)
    task, rule = await find_task(server.store, request.path_params["id"]), RULES[action]
    page = local_path(form.get("back", ""), f"/tasks/{task.row.id}")
    if rule.word and form.get("confirm", "") != rule.word:
        return see_other(page, Notice("warn", f"No changes were made. Type “{rule.word}” to confirm."))
    try:
        params = await task_params(request, action, task, form)
        await server.dispatch.ask(request.scope["identity"], action, task, form.get("reason", ""), params)
    except (WrongState, Unsupported, AgentGone, NotAllowed, BadInput) as error:
        return see_other(page, Notice("bad", error.explanation))
    return see_other(page, Notice("good", rule.notice, "" if page.startswith("/tasks/") else f"/tasks/{task.row.id}"))


async def task_params(request: Request, action: str, task: TaskDetail, form: dict[str, str]) -> dict[str, Any]:
    """Returns the parameters of an action, besides the task. Raises BadInput."""
    match action:
        case "edit_task":
            edit = read_edit(form, task.row.args)
            await _check_names(request, task, edit)
            return {"edit": edit}
        case "prioritise_task":
            if form.get("level") not in LEVELS:
                raise BadInput(f"Unknown priority. Use one of {', '.join(LEVELS)}. No changes were made.")
            return {"level": form["level"]}
        case "move_task":
            return {"queue": read_queue(form)}
    return {}


async def _check_names(request: Request, task: TaskDetail, edit: dict[str, Any]) -> None:
    """Checks new keywords against the signature. The number of arguments is checked by the agent, which has the original."""
    parameters = await parameters_of(request, task.row.app, task.row.engine, task.row.name, task.row.environment)
    names = {parameter.name for parameter in parameters if parameter.kind in ("either", "keyword")}
    if parameters and not any(parameter.kind == "named_rest" for parameter in parameters):
        for name in edit["kwargs"]:
            if name not in names:
                raise BadInput(f"{task.row.name} has no parameter {name[:60]}. No task was run.")


def read_queue(form: dict[str, str]) -> str:
    """Returns the name of a queue. Raises BadInput."""
    queue = form.get("queue", "")
    if not queue or len(queue) > 255 or not queue.isprintable():
        raise BadInput("The queue name is missing or not valid. No changes were made.", "Enter up to 255 printable characters.")
    return queue
