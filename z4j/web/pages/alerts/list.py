# SPDX-License-Identifier: AGPL-3.0-or-later
"""Alerts: open ones first, then resolved ones, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import NotAllowed, NotFound, WrongState
from z4j.rules.alerts.alert_decision import Item
from z4j.rules.alerts.alert_rule import Severity
from z4j.rules.permissions import may_act
from z4j.store.alerts import alert_rules, alerts, channels, messages
from z4j.store.alerts.alerts import PAGE, StoredAlert
from z4j.web.frame import export
from z4j.web.frame.forms import local_path, read_form
from z4j.web.frame.paging import moment_from
from z4j.web.frame.render import Notice, Shell, render, see_other
from z4j.web.frame.shell import make_shell
from z4j.web.pages.alerts.messages import MessageLine
from z4j.web.pages.alerts.messages import line_of as message_line
from z4j.web.pages.now import STATES as LEVEL_STATES
from z4j.web.pages.now import WORDS as LEVEL_WORDS
from z4j.web.services import services

STATES: Final[dict[Severity, str]] = {"critical": "failed", "warning": "retrying", "info": "queued"}


@dataclass(frozen=True, slots=True)
class AlertLine:
    """An alert as one row. `state` determines its color, `word` is its status."""

    stored: StoredAlert
    state: str
    word: str
    lasting: int
    """Number of its open findings."""
    may_acknowledge: bool


@dataclass(frozen=True, slots=True)
class AlertsPage:
    """The context of alerts/list.html."""

    shell: Shell
    tab: str
    open: tuple[AlertLine, ...]
    over: tuple[AlertLine, ...]
    older_href: str
    has_rules: bool
    has_channels: bool
    may_change: bool


@dataclass(frozen=True, slots=True)
class ItemLine:
    """A finding of an alert, with the color and the word of its mark."""

    item: Item
    state: str
    word: str


@dataclass(frozen=True, slots=True)
class AlertPage:
    """The context of alerts/detail.html."""

    shell: Shell
    tab: str
    line: AlertLine
    items: tuple[ItemLine, ...]
    messages: tuple[MessageLine, ...]


def line_of(stored: StoredAlert, role: str) -> AlertLine:
    """Returns an alert as a row for a user with this role."""
    alert = stored.alert
    if alert.resolved_at is not None:
        state, word = ("succeeded", "resolved") if alert.fired_at is not None else ("cancelled", "never fired")
    elif alert.fired_at is None:
        state, word = "paused", "delayed"
    elif alert.acknowledged_at is not None:
        state, word = "running", "acknowledged"
    else:
        state, word = STATES[stored.severity], stored.severity
    may = may_act(role, "acknowledge_alert") and alert.resolved_at is None and alert.acknowledged_at is None
    return AlertLine(stored, state, word, len(alert.open_items), may)


def item_line(item: Item) -> ItemLine:
    """Returns a finding of an alert as a row."""
    if item.ended_at is not None:
        return ItemLine(item, "succeeded", "over")
    return ItemLine(item, LEVEL_STATES[item.match.level], LEVEL_WORDS[item.match.level])


async def list_page(request: Request) -> Response:
    """GET /alerts."""
    store, role = services(request).store, request.scope["identity"].role
    before = moment_from(request, "before")
    open_ = await alerts.list_open(store) if before is None else []
    listed = await alerts.list_alerts(store, before, PAGE)
    last = listed[-1] if len(listed) == PAGE else None
    page = AlertsPage(
        shell=await make_shell(request, "alerts"), tab="alerts", open=tuple(line_of(each, role) for each in open_),
        over=tuple(line_of(each, role) for each in listed if each.alert.resolved_at is not None),
        older_href=f"/alerts?before={last.alert.opened_at}-{last.id}" if last else "",
        has_rules=bool(await alert_rules.list_rules(store)), has_channels=bool(await channels.list_channels(store)),
        may_change=may_act(role, "change_alert_rule"),
    )  # fmt: skip
    return render(request, "alerts/list.html", page)


async def _get(request: Request) -> StoredAlert:
    found = await alerts.get_alert(services(request).store, request.path_params["id"])
    if found is None:
        raise NotFound("Alert not found. It may have been deleted after the retention period.")
    return found


async def detail_page(request: Request) -> Response:
    """GET /alerts/{id}."""
    stored = await _get(request)
    sent = await messages.list_of_alert(services(request).store, stored.id)
    page = AlertPage(
        shell=await make_shell(request, "alerts"), tab="alerts", line=line_of(stored, request.scope["identity"].role),
        items=tuple(map(item_line, stored.alert.items)), messages=tuple(map(message_line, sent)),
    )  # fmt: skip
    return render(request, "alerts/detail.html", page)


async def acknowledge(request: Request) -> Response:
    """POST /alerts/{id}/acknowledge."""
    server, form, id = services(request), await read_form(request), request.path_params["id"]
    back = local_path(form.get("back", ""), f"/alerts/{id}")
    try:
        await server.alerts.acknowledge(request.scope["identity"], id)
    except (NotAllowed, NotFound, WrongState) as error:
        return see_other(back, Notice("warn", error.explanation))
    return see_other(back, Notice("good", "Acknowledged. No more reminders are sent; you are notified when it is resolved."))


def plain(stored: StoredAlert) -> dict[str, Any]:
    """Returns an alert as JSON data. Times are microseconds UTC."""
    alert = stored.alert
    return {
        "id": stored.id, "rule_id": stored.rule_id, "rule": stored.rule, "severity": stored.severity, "title": stored.title,
        "app": alert.scope.app, "environment": alert.scope.environment, "level": alert.level, "opened_at": alert.opened_at,
        "fired_at": alert.fired_at, "escalated_at": alert.escalated_at, "acknowledged_at": alert.acknowledged_at,
        "acknowledged_by": alert.acknowledged_by, "resolved_at": alert.resolved_at,
        "findings": [
            {**{key: value for key, value in item.match._asdict().items() if key != "found_at"}, "ended_at": item.ended_at}
            for item in alert.items
        ],
    }  # fmt: skip


async def list_json(request: Request) -> Response:
    """GET /alerts.json and GET /api/v1/alerts."""
    store = services(request).store
    listed = await alerts.list_alerts(store, moment_from(request, "before"), PAGE)
    last = listed[-1] if len(listed) == PAGE else None
    open_ = [plain(each) for each in await alerts.list_open(store)] if "before" not in request.query_params else []
    over = [plain(each) for each in listed if each.alert.resolved_at is not None]
    return export.to_json({"open": open_, "over": over, "before": f"{last.alert.opened_at}-{last.id}" if last else None})


async def detail_json(request: Request) -> Response:
    """GET /alerts/{id}.json and GET /api/v1/alerts/{id}."""
    stored = await _get(request)
    sent = [
        {
            key: getattr(each, key)
            for key in ("id", "channel", "kind", "created_at", "due_at", "attempts", "delivered_at", "outcome", "error")
        }
        for each in await messages.list_of_alert(services(request).store, stored.id)
    ]
    return export.to_json({**plain(stored), "messages": sent})
