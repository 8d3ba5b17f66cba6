# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of alerts: alerts, rules with their dry run, channels, and maintenance."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from z4j.operations.alerts.dry_run import dry_run_of
from z4j.rules.alerts.alert_decision import MessageKind
from z4j.rules.alerts.alert_rule import AlertRule, checked
from z4j.rules.alerts.quiet_hours import Maintenance
from z4j.rules.findings.finding import Scope
from z4j.store.alerts import alert_rules, channels
from z4j.store.alerts.channels import Channel, ChannelKind
from z4j.web.api.endpoints import Operation, Saved, answer, read_body
from z4j.web.frame import export
from z4j.web.pages.alerts.list import detail_json, list_json
from z4j.web.services import services

SECOND: Final = 1_000_000


class AlertFinding(Struct):
    """A finding in an alert. Times are microseconds UTC; `ended_at` is null while it is open."""

    key: str
    level: str
    title: str
    text: str
    href: str
    since: int
    ended_at: int | None


class AlertItem(Struct):
    """An alert. Times are microseconds UTC; `fired_at` is null while it is delayed, `resolved_at` while it is open."""

    id: int
    rule_id: int
    rule: str
    severity: str
    title: str
    app: str
    environment: str
    level: str
    opened_at: int
    fired_at: int | None
    escalated_at: int | None
    acknowledged_at: int | None
    acknowledged_by: str
    resolved_at: int | None
    findings: list[AlertFinding]


class AlertList(Struct):
    """`open` is on the first page only; `before` is the cursor of the next page, null at the end."""

    open: list[AlertItem]
    over: list[AlertItem]
    before: str | None


class AlertMessage(Struct):
    """A message of an alert to one channel. `outcome` is empty while it waits, then delivered, withdrawn or given up."""

    id: str
    channel: str
    kind: MessageKind
    created_at: int
    due_at: int
    attempts: int
    delivered_at: int | None
    outcome: str
    error: str


class AlertDetail(AlertItem):
    """An alert with its newest messages."""

    messages: list[AlertMessage]


class RuleItem(Struct):
    """A stored rule."""

    id: int
    rule: AlertRule
    changed_by: str
    changed_at: int


class DryRunBody(Struct, forbid_unknown_fields=True):
    """The rule to try; `id` is that of the stored rule it changes, 0 for a new one."""

    rule: AlertRule
    id: int = 0


class DryRunAlert(Struct):
    """An alert that a rule would have made. `findings` is their number, `title` that of the first."""

    app: str
    environment: str
    level: str
    fired_at: int | None
    resolved_at: int | None
    findings: int
    title: str


class DryRunAnswer(Struct):
    """The result of a dry run since a time (microseconds UTC), and why not since earlier."""

    since: int
    why: str
    messages: int
    fired: list[DryRunAlert]


class ChannelBody(Struct, forbid_unknown_fields=True):
    """A channel. When changing one, an empty `url` or `key` is kept."""

    name: str
    kind: ChannelKind = "apprise"
    url: str = ""
    key: str = ""
    weekly: bool = False


class MaintenanceBody(Struct, forbid_unknown_fields=True):
    """`begins_at` and `ends_at` are microseconds UTC; without `begins_at` it begins now."""

    ends_at: int
    begins_at: int | None = None
    app: str = ""
    environment: str = ""
    reason: str = ""


class RuleList(Struct):
    """Every rule."""

    rules: list[RuleItem]


class ChannelList(Struct):
    """Every channel, without its secrets."""

    channels: list[Channel]


class SentMessage(Struct):
    """The id of the test message."""

    message: str


async def acknowledge(request: Request) -> Response:
    """POST /api/v1/alerts/{id}/acknowledge."""
    await services(request).alerts.acknowledge(request.scope["identity"], request.path_params["id"])
    return await detail_json(request)


async def list_rules(request: Request) -> Response:
    """GET /api/v1/alert-rules."""
    rows = await alert_rules.list_rules(services(request).store)
    return export.to_json({"rules": [_plain(each) for each in rows]})


def _plain(stored: alert_rules.StoredRule) -> dict[str, Any]:
    rule = msgspec.to_builtins(stored.rule)
    return {"id": stored.id, "rule": rule, "changed_by": stored.changed_by, "changed_at": stored.changed_at}


async def create_rule(request: Request) -> Response:
    """POST /api/v1/alert-rules."""
    rule = await read_body(request, AlertRule)
    return answer({"id": await services(request).alerts.put_rule(request.scope["identity"], None, rule)}, 201)


async def change_rule(request: Request) -> Response:
    """POST /api/v1/alert-rules/{id}: replaces the whole rule."""
    rule = await read_body(request, AlertRule)
    return answer({"id": await services(request).alerts.put_rule(request.scope["identity"], request.path_params["id"], rule)})


async def delete_rule(request: Request) -> Response:
    """POST /api/v1/alert-rules/{id}/delete."""
    await services(request).alerts.delete_rule(request.scope["identity"], request.path_params["id"])
    return answer({"id": request.path_params["id"]})


async def try_rule(request: Request) -> Response:
    """POST /api/v1/alert-rules/dry-run."""
    store, body = services(request).store, await read_body(request, DryRunBody)
    known = {channel.id for channel in await channels.list_channels(store)}
    found = await dry_run_of(store, body.id, checked(body.rule, known), request.scope["came_at"])
    fired = [
        {"app": alert.scope.app, "environment": alert.scope.environment, "level": alert.level, "fired_at": alert.fired_at,
         "resolved_at": alert.resolved_at, "findings": len(alert.items), "title": alert.items[0].match.title}
        for alert in found.run.fired
    ]  # fmt: skip
    return export.to_json({"since": found.since, "why": found.why, "messages": found.run.messages, "fired": fired})


async def list_channels(request: Request) -> Response:
    """GET /api/v1/alert-channels."""
    return export.to_json({"channels": [export.plain(each) for each in await channels.list_channels(services(request).store)]})


async def create_channel(request: Request) -> Response:
    """POST /api/v1/alert-channels."""
    return answer({"id": await _put_channel(request, None)}, 201)


async def change_channel(request: Request) -> Response:
    """POST /api/v1/alert-channels/{id}."""
    return answer({"id": await _put_channel(request, request.path_params["id"])})


async def _put_channel(request: Request, id: int | None) -> int:
    body = await read_body(request, ChannelBody)
    return await services(request).alerts.put_channel(
        request.scope["identity"], id, name=body.name, kind=body.kind, url=body.url, key=body.key, is_weekly=body.weekly
    )  # fmt: skip


async def send_test(request: Request) -> Response:
    """POST /api/v1/alert-channels/{id}/test."""
    return answer({"message": await services(request).alerts.test_channel(request.scope["identity"], request.path_params["id"])})


async def begin_maintenance(request: Request) -> Response:
    """POST /api/v1/maintenance."""
    body = await read_body(request, MaintenanceBody)
    begins = request.scope["came_at"] if body.begins_at is None else body.begins_at
    window = Maintenance(Scope(body.app, body.environment), begins, body.ends_at)
    return answer({"id": await services(request).alerts.add_maintenance(request.scope["identity"], window, body.reason)}, 201)


async def end_maintenance(request: Request) -> Response:
    """POST /api/v1/maintenance/{id}/end."""
    await services(request).alerts.end_maintenance(request.scope["identity"], request.path_params["id"])
    return answer({"id": request.path_params["id"]})


BEFORE: Final = (("before", "Cursor of the next page."),)
OPERATIONS: Final = (
    Operation("GET", "/api/v1/alerts", list_json, "viewer", "Open and resolved alerts.", AlertList, query=BEFORE),
    Operation("GET", "/api/v1/alerts/{id:int}", detail_json, "viewer", "An alert.", AlertDetail),
    Operation("POST", "/api/v1/alerts/{id:int}/acknowledge", acknowledge, "operator", "Acknowledge an alert.", AlertDetail),
    Operation("GET", "/api/v1/alert-rules", list_rules, "viewer", "Alert rules.", RuleList),
    Operation("POST", "/api/v1/alert-rules", create_rule, "admin", "Add a rule.", Saved, AlertRule, status=201),
    Operation("POST", "/api/v1/alert-rules/dry-run", try_rule, "operator", "Dry run of a rule.", DryRunAnswer, DryRunBody),
    Operation("POST", "/api/v1/alert-rules/{id:int}", change_rule, "admin", "Replace a rule.", Saved, AlertRule),
    Operation("POST", "/api/v1/alert-rules/{id:int}/delete", delete_rule, "admin", "Delete a rule.", Saved),
    Operation("GET", "/api/v1/alert-channels", list_channels, "auditor", "Channels, without secrets.", ChannelList),
    Operation("POST", "/api/v1/alert-channels", create_channel, "admin", "Add a channel.", Saved, ChannelBody, status=201),
    Operation("POST", "/api/v1/alert-channels/{id:int}", change_channel, "admin", "Change a channel.", Saved, ChannelBody),
    Operation("POST", "/api/v1/alert-channels/{id:int}/test", send_test, "admin", "Send a test message.", SentMessage),
    Operation("POST", "/api/v1/maintenance", begin_maintenance, "operator", "Start maintenance.", Saved, MaintenanceBody, status=201),
    Operation("POST", "/api/v1/maintenance/{id:int}/end", end_maintenance, "operator", "End maintenance now.", Saved),
)  # fmt: skip
