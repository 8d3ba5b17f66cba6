# SPDX-License-Identifier: AGPL-3.0-or-later
"""The forms of the error pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from z4j.clock import DAY_US
from z4j.exceptions import BadInput, NotAllowed, NotFound, WrongState
from z4j.formats import HOUR, plural
from z4j.operations.commands import Actor
from z4j.operations.errors import ErrorService
from z4j.rules.errors.splits import CODE, MESSAGE, Split
from z4j.web.frame.forms import local_path, read_form
from z4j.web.frame.render import Notice, see_other
from z4j.web.services import services

MOST: Final = 100
"""Errors that are changed by one form."""
SPANS_US: Final = {"1h": HOUR, "1d": DAY_US, "7d": 7 * DAY_US, "30d": 30 * DAY_US}
SPLIT_OFF: Final = "Split off. New matching failures are counted here; stored ones are moved in the background, newest first."
Change = Callable[[ErrorService, Actor, int, Mapping[str, str]], Awaitable[str]]
"""Executes an action of a form and returns its notice."""


async def act(request: Request) -> Response:
    """POST /errors/{id}/act: the forms of one error."""
    server, form, id = services(request), await read_form(request), request.path_params["id"]
    here, actor = f"/errors/{id}", request.scope["identity"]
    try:
        if form.get("action") == "retry":
            plan = await server.errors.retry(actor, id, form.get("reason", ""))
            return see_other(f"/plans/{plan.id}")
        if form.get("action") == "split_off":
            part = await server.errors.split_off(actor, id, split_of(form.get("message"), form.get("code")), form.get("reason", ""))
            return see_other(f"/errors/{part}", Notice("good", SPLIT_OFF))
        text = await _change_of(form)(server.errors, actor, id, form)
    except (BadInput, NotAllowed, NotFound, WrongState) as error:
        return see_other(here, Notice("bad", error.explanation))
    return see_other(here, Notice("good", text))


async def act_on_many(request: Request) -> Response:
    """POST /errors/act: the same action on every selected error; `merge` makes one of them."""
    server, actor = services(request), request.scope["identity"]
    async with request.form(max_files=0, max_fields=MOST + 20) as sent:
        ids = [int(id) for id in sent.getlist("id") if isinstance(id, str) and id.isascii() and id.isdecimal() and len(id) < 19]
        form = {name: value.strip()[:4_000] for name, value in sent.items() if isinstance(value, str)}
    back = local_path(form.get("back", ""), "/errors")
    if not ids:
        return see_other(back, Notice("warn", "No changes were made. Select an error first, with x or its box."))
    chosen = sorted(set(ids))[:MOST]
    done = 0
    try:
        if form.get("action") == "merge":
            if len(chosen) < 2:
                raise BadInput("No changes were made. Select two or more errors of one app to merge them.")
            for id in chosen[1:]:
                await server.errors.merge(actor, id, chosen[0])
                done += 1
            return see_other(f"/errors/{chosen[0]}", Notice("good", f"{plural(len(chosen), 'error')} merged. Each can be split off again."))
        change = _change_of(form)
        for id in chosen:
            await change(server.errors, actor, id, form)
            done += 1
    except (BadInput, NotAllowed, NotFound, WrongState) as error:
        before = f" {plural(done, 'error')} changed before." if done else ""
        return see_other(back, Notice("bad", error.explanation + before))
    return see_other(back, Notice("good", f"{plural(done, 'error')} changed."))


def split_of(message: str | None, code: str | None) -> Split:
    """Returns the split that a form or a program asks for. Raises BadInput unless there is one of the two patterns."""
    if bool(message) == bool(code):
        raise BadInput("Choose a message pattern or a line of code to split by. No changes were made.")
    return Split(MESSAGE, message) if message else Split(CODE, code or "")


def _change_of(form: Mapping[str, str]) -> Change:
    change = CHANGES.get(form.get("action", ""))
    if change is None:
        raise BadInput("Unknown action. No changes were made.")
    return change


async def _resolve(errors: ErrorService, actor: Actor, id: int, form: Mapping[str, str]) -> str:
    await errors.resolve(actor, id, reason=form.get("reason", ""))
    return "Resolved. If it occurs again, it is marked as regressed."


async def _resolve_next(errors: ErrorService, actor: Actor, id: int, form: Mapping[str, str]) -> str:
    await errors.resolve(actor, id, is_by_release=True, reason=form.get("reason", ""))
    return "Resolved in the next release. Only a failure in a newer release marks it as regressed."


async def _reopen(errors: ErrorService, actor: Actor, id: int, form: Mapping[str, str]) -> str:
    await errors.reopen(actor, id, form.get("reason", ""))
    return "Unresolved again."


async def _ignore(errors: ErrorService, actor: Actor, id: int, form: Mapping[str, str]) -> str:
    span = form.get("for", "")
    if span and span not in SPANS_US:
        raise BadInput(f"Unknown time. Use one of {', '.join(SPANS_US)}. No changes were made.")
    await errors.ignore(
        actor, id, for_us=SPANS_US.get(span), rate=_number(form, "rate"), count=_number(form, "count"), reason=form.get("reason", "")
    )  # fmt: skip
    return "Ignored. It is counted, but not listed among the open errors."


async def _assign(errors: ErrorService, actor: Actor, id: int, form: Mapping[str, str]) -> str:
    await errors.assign(actor, id, form.get("user", ""))
    return f"Assigned to {form['user']}." if form.get("user") else "Unassigned."


async def _note(errors: ErrorService, actor: Actor, id: int, form: Mapping[str, str]) -> str:
    await errors.note(actor, id, form.get("note", ""), form.get("runbook", ""))
    return "Note saved."


async def _merge(errors: ErrorService, actor: Actor, id: int, form: Mapping[str, str]) -> str:
    other = _number(form, "other")
    if other is None:
        raise BadInput("Choose an error to merge into this one. No changes were made.")
    await errors.merge(actor, other, id)
    return f"Error {other} was merged into this one. It can be split off again."


async def _split(errors: ErrorService, actor: Actor, id: int, form: Mapping[str, str]) -> str:
    other = _number(form, "other")
    await errors.split(actor, id if other is None else other)
    return "Split off."


CHANGES: Final[dict[str, Change]] = {
    "resolve": _resolve, "resolve_next": _resolve_next, "reopen": _reopen, "ignore": _ignore, "assign": _assign, "note": _note,
    "merge": _merge, "split": _split,
}  # fmt: skip


def _number(form: Mapping[str, str], name: str) -> int | None:
    text = form.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise BadInput(f"“{text[:20]}” is not a number. No changes were made.")
    return int(text)
