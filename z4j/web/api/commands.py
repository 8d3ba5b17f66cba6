# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of commands: those sent to agents with their results, and undoing a purge."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import BadInput, NotFound
from z4j.rules.commands import RULES
from z4j.store.operations import commands
from z4j.store.operations.commands import CommandRow
from z4j.web.api.endpoints import PAGE, Operation, answer
from z4j.web.api.plans import BEFORE, PlanState, plan_state
from z4j.web.frame.paging import before_of
from z4j.web.services import services


class CommandList(Struct):
    """Newest first; `before` is the cursor of the next page."""

    commands: list[CommandRow]
    before: int | None


class Commands(Struct):
    """The commands of a request, one for each agent that it concerns."""

    commands: list[CommandRow]


def check_word(action: str, confirm: str) -> None:
    """Raises BadInput where the action requires a word and `confirm` is another one."""
    rule = RULES.get(action)
    if rule is not None and rule.word and confirm != rule.word:
        raise BadInput(f"`confirm` must be “{rule.word}”. No changes were made.")


async def list_commands(request: Request) -> Response:
    """GET /api/v1/commands."""
    rows = await commands.list_commands(services(request).store, before=before_of(request), limit=PAGE)
    return answer({"commands": rows, "before": rows[-1].created_at if len(rows) == PAGE else None})


async def find_command(request: Request) -> CommandRow:
    """Returns the command in the path. Raises NotFound."""
    command = await commands.get_command(services(request).store, request.path_params["id"])
    if command is None:
        raise NotFound("Command not found. It may have been deleted after the retention period.")
    return command


async def show_command(request: Request) -> Response:
    """GET /api/v1/commands/{id}."""
    return answer(await find_command(request))


async def undo_command(request: Request) -> Response:
    """POST /api/v1/commands/{id}/undo."""
    plan = await services(request).plans.undo_purge(request.scope["identity"], await find_command(request))
    return await plan_state(request, plan, 201)


OPERATIONS: Final = (
    Operation("GET", "/api/v1/commands", list_commands, "viewer", "Commands, newest first.", CommandList, query=BEFORE),
    Operation("GET", "/api/v1/commands/{id}", show_command, "viewer", "One command and its result.", CommandRow),
    Operation(
        "POST", "/api/v1/commands/{id}/undo", undo_command, "operator", "Create a plan that restores the tasks of a purge.", PlanState,
        status=201,
    ),
)  # fmt: skip
