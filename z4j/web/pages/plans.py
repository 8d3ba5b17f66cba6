# SPDX-License-Identifier: AGPL-3.0-or-later
"""Plans: created from a list of tasks, shown as a preview, then executed and shown with their results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.exceptions import BadInput, NotAllowed, WrongState
from z4j.formats import number, plural
from z4j.rules import plans as rules
from z4j.rules.permissions import is_allowed, may_act
from z4j.rules.plans import ACTIONS, Item
from z4j.store.fleet import queues
from z4j.store.operations import plans
from z4j.store.operations.plans import GroupRow, ItemRow, PlanRow
from z4j.store.tasks.counters import count_tasks
from z4j.web.api.plans import source_of
from z4j.web.frame.forms import read_form
from z4j.web.frame.paging import before_of
from z4j.web.frame.render import Notice, Shell, is_refresh, render, see_other
from z4j.web.frame.shell import make_shell
from z4j.web.frame.times import reader_zone
from z4j.web.pages.tasks.actions import WORDS
from z4j.web.pages.tasks.filters import from_query, located
from z4j.web.services import services

PAGE: Final = 50
ITEMS: Final = 100
GROUPS: Final = 12
LEAST: Final = 4
"""Smallest width of a status in the bar, in thousandths."""
STATES: Final = {
    "waiting": "queued", "sent": "running", "done": "succeeded", "changed": "cancelled", "refused": "rejected", "failed": "failed",
    "expired": "expired", "unknown": "unknown", "aborted": "paused",
}  # fmt: skip
"""Status of an item → the state whose color and icon are used."""
MEANINGS: Final = {
    "waiting": "not sent yet", "sent": "no result yet", "done": "done", "changed": "skipped, state had changed",
    "refused": "by agent or engine", "failed": "failed", "expired": "not executed in time",
    "unknown": "sent, outcome unknown", "aborted": "not executed",
}  # fmt: skip
VERBS: Final = {
    "retry_task": "Retry", "cancel_task": "Cancel", "release_task": "Run now", "prioritise_task": "Change the priority of",
    "move_task": "Move", "terminate_task": "Stop", "restore_task": "Restore", "delete_task": "Delete", "undelete_task": "Restore",
}  # fmt: skip
OFFERED: Final = ("retry_task", "cancel_task", "prioritise_task", "move_task", "release_task", "terminate_task", "delete_task")
PLAN_STATES: Final = {"frozen": "scheduled", "running": "running", "paused": "paused", "done": "succeeded", "aborted": "cancelled"}


@dataclass(frozen=True, slots=True)
class Share:
    """One status of the results: the number of items, and its segment of the bar in thousandths."""

    word: str
    meaning: str
    state: str
    items: int
    x: int
    width: int
    href: str


@dataclass(frozen=True, slots=True)
class NewPage:
    """The context of plans/new.html."""

    shell: Shell
    source: str
    about: str
    hidden: tuple[tuple[str, str], ...]
    """Hidden fields of the form: the filter, or the rows."""
    actions: tuple[tuple[str, str], ...]
    levels: tuple[tuple[str, str], ...]
    queues: tuple[tuple[str, str], ...]
    back: str


@dataclass(frozen=True, slots=True)
class PlanPage:
    """The context of plans/detail.html."""

    shell: Shell
    plan: PlanRow
    title: str
    state: str
    verb: str
    shares: tuple[Share, ...]
    ended: int
    groups: tuple[GroupRow, ...]
    more_groups: int
    excluded: tuple[tuple[str, int], ...]
    items: tuple[ItemRow, ...]
    item_states: dict[str, str]
    status: str
    after_href: str
    list_href: str
    pace: str
    may_act: bool
    can: frozenset[str]
    """Those of execute, pause, resume, abort and undo that are possible now."""
    undone: int | None


@dataclass(frozen=True, slots=True)
class PlansPage:
    """The context of plans/list.html."""

    shell: Shell
    rows: tuple[PlanRow, ...]
    titles: tuple[str, ...]
    states: tuple[str, ...]
    older_href: str
    may_audit: bool


def title_of(plan: PlanRow) -> str:
    """Returns the title: a verb and the number of tasks."""
    extra = {"prioritise_task": f": {plan.params.get('level', '')}", "move_task": f" to {plan.params.get('queue', '')}"}.get(
        plan.action, ""
    )
    return f"{VERBS.get(plan.action, plan.action)} {plural(plan.items, 'task')}{extra}"


async def new_page(request: Request) -> Response:
    """GET /plans/new: from the filters of a list, or from the selected rows."""
    server, ids = services(request), request.query_params.getlist("id")
    filters = located(from_query(request.query_params, request.query_params.getlist("state")), reader_zone())
    rows = [int(id) for id in ids if id.isascii() and id.isdecimal() and len(id) < 19]
    if rows:
        about, hidden = plural(len(set(rows)), "selected task"), tuple(("id", str(row)) for row in sorted(set(rows)))
    elif filters.is_any:
        return see_other(
            "/tasks", Notice("warn", "Narrow the list first, at least to one state, or select tasks. A plan for all tasks is not allowed.")
        )
    else:
        counts = await count_tasks(server.store, filters.for_store(clock.now()))
        known = None if counts is None else sum(n for state, n in counts.by_state if not filters.state or state in filters.state)
        about = plural(known, "task") if known is not None else "all matching tasks"
        hidden = tuple(filters.pairs())
    role = request.scope["identity"].role
    names = sorted(
        {row.name for row in await queues.list_queues(server.store, app=filters.app, environment=filters.environment) if row.name}
    )
    page = NewPage(
        shell=await make_shell(request, "tasks"),
        source=filters.text(),
        about=about,
        hidden=hidden,
        actions=tuple((action, ACTIONS[action][0]) for action in OFFERED if may_act(role, action)),
        levels=tuple(WORDS.items()),
        queues=tuple((name, name) for name in names),
        back=filters.href(),
    )
    return render(request, "plans/new.html", page)


async def freeze(request: Request) -> Response:
    """POST /plans."""
    server = services(request)
    async with request.form(max_files=0, max_fields=6_000) as form:
        ids = [int(id) for id in form.getlist("id") if isinstance(id, str) and id.isascii() and id.isdecimal() and len(id) < 19]
        texts = {name: value.strip()[:4_000] for name, value in form.items() if isinstance(value, str)}
    filters = located(from_query(texts, [texts.get("state", "")]), reader_zone())
    action = texts.get("action", "")
    params = {name: texts[name] for name in ("level",) if texts.get(name)} | ({"queue": texts["to"]} if texts.get("to") else {})
    try:
        plan = await server.plans.freeze(
            request.scope["identity"], action, params, source_of(filters, ids, clock.now()), texts.get("reason", "")
        )
    except (BadInput, NotAllowed) as error:
        back = "/plans/new?" + urlencode([("id", id) for id in ids] or filters.pairs())
        return see_other(back, Notice("bad", error.explanation))
    return see_other(f"/plans/{plan.id}")


async def detail_page(request: Request) -> Response:
    """GET /plans/{id}: the preview of a frozen plan, the progress of a running one, the results of one that has ended."""
    server, query = services(request), request.query_params
    plan = await server.plans.get(request.path_params["id"])
    account = await plans.account(server.store, plan.id)
    groups = await plans.list_groups(server.store, plan.id)
    status = query.get("status", "") if query.get("status", "").upper() in Item.__members__ else ""
    after = int(query["after"]) if query.get("after", "").isdecimal() and len(query["after"]) < 10 else 0
    items = await plans.list_items(server.store, plan.id, status=Item[status.upper()] if status else None, after=after, limit=ITEMS + 1)
    role = request.scope["identity"].role
    undone = await plans.find_undo(server.store, f"plan {plan.id}")
    page = PlanPage(
        shell=await make_shell(request, "changes"),
        plan=plan,
        title=title_of(plan),
        state=PLAN_STATES.get(plan.status, "unknown"),
        verb=VERBS.get(plan.action, plan.action),
        shares=shares(plan, account),
        ended=plan.items - account["waiting"] - account["sent"],
        groups=tuple(groups[:GROUPS]),
        more_groups=len(groups[GROUPS:]),
        excluded=tuple(plan.excluded.items()),
        items=tuple(items[:ITEMS]),
        item_states=STATES,
        status=status,
        after_href=f"/plans/{plan.id}?" + urlencode({"status": status, "after": items[ITEMS - 1].seq}) if len(items) > ITEMS else "",
        list_href=_source_href(plan),
        pace=_pace(plan),
        may_act=may_act(role, plan.action),
        can=can(plan, account, is_undone=undone is not None),
        undone=undone,
    )
    return render(request, "plans/_detail.html" if is_refresh(request) else "plans/detail.html", page)


def shares(plan: PlanRow, account: dict[str, int]) -> tuple[Share, ...]:
    """Returns the results as segments of a bar, those that have ended first. Every segment with items is visible."""
    order = ("done", "changed", "refused", "failed", "expired", "unknown", "aborted", "sent", "waiting")
    widths = {word: max(account[word] * 1000 // plan.items, LEAST) for word in order if account[word] and plan.items}
    if (over := sum(widths.values()) - 1000) > 0:
        widths[max(widths, key=lambda word: widths[word])] -= over
    segments, x = [], 0
    for word, width in widths.items():
        segments.append(Share(word, MEANINGS[word], STATES[word], account[word], x, width, f"/plans/{plan.id}?status={word}"))
        x += width
    return tuple(segments)


def can(plan: PlanRow, account: dict[str, int], *, is_undone: bool) -> frozenset[str]:
    """Returns the actions that are possible now."""
    possible = set()
    if plan.status in rules.CAN_EXECUTE and plan.items:
        possible.add("execute")
    if plan.status in rules.CAN_PAUSE:
        possible.add("pause")
    if plan.status in rules.CAN_RESUME:
        possible.add("resume")
    if plan.status in ("running", "paused"):
        possible.add("abort")
    is_recent = clock.now() - (plan.started_at or plan.created_at) < rules.UNDO_US
    if (
        plan.action in ("cancel_task", "delete_task")
        and plan.status in ("done", "aborted")
        and account["done"]
        and is_recent
        and not is_undone
    ):
        possible.add("undo")
    return frozenset(possible)


def _pace(plan: PlanRow) -> str:
    if plan.started_at is None:
        return ""
    pace = rules.unpack_pace(plan.pace)
    if pace.is_canary:
        return f"canary: {', then '.join(map(str, rules.STAGES))}, then the rest; stops at {pace.limit} % failures"
    return f"{number(pace.per_minute)} per minute" if pace.per_minute else "all at once"


def _source_href(plan: PlanRow) -> str:
    return f"/tasks?{plan.source}" if "=" in plan.source else ""


async def list_page(request: Request) -> Response:
    """GET /plans."""
    before = before_of(request)
    rows = await plans.list_plans(services(request).store, before=before, limit=PAGE + 1)
    page = PlansPage(
        shell=await make_shell(request, "changes"),
        rows=tuple(rows[:PAGE]),
        titles=tuple(title_of(row) for row in rows[:PAGE]),
        states=tuple(PLAN_STATES.get(row.status, "unknown") for row in rows[:PAGE]),
        older_href=f"/plans?before={rows[PAGE - 1].created_at}" if len(rows) > PAGE else "",
        may_audit=is_allowed(request.scope["identity"].role, "auditor"),
    )
    return render(request, "plans/list.html", page)


# -- requests of the forms -----------------------------------------------------------------------------------------------------
async def execute(request: Request) -> Response:
    """POST /plans/{id}/execute."""
    form = await read_form(request)
    chosen = form.get("pace", "all")
    if chosen == "rate":
        chosen = f"{form.get('per_minute', '')}/m"
    return await _change(request, "execute", form.get("digest", ""), chosen, form.get("limit", ""))


async def pause(request: Request) -> Response:
    """POST /plans/{id}/pause."""
    return await _change(request, "pause")


async def resume(request: Request) -> Response:
    """POST /plans/{id}/resume."""
    return await _change(request, "resume")


async def abort(request: Request) -> Response:
    """POST /plans/{id}/abort."""
    return await _change(request, "abort")


async def undo(request: Request) -> Response:
    """POST /plans/{id}/undo: redirects to the new plan."""
    return await _change(request, "undo")


async def _change(request: Request, word: str, digest: str = "", pace: str = "", limit: str = "") -> Response:
    service, id, actor = services(request).plans, request.path_params["id"], request.scope["identity"]
    page = f"/plans/{id}"
    try:
        match word:
            case "execute":
                await service.execute(actor, id, digest, rules.read_pace(pace, limit))
            case "pause":
                await service.pause(actor, id)
            case "resume":
                await service.resume(actor, id)
            case "abort":
                await service.abort(actor, id)
            case _:
                page = f"/plans/{(await service.undo(actor, id)).id}"
    except (WrongState, NotAllowed, BadInput) as error:
        return see_other(page, Notice("bad", error.explanation))
    return see_other(page)
