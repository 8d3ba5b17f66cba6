# SPDX-License-Identifier: AGPL-3.0-or-later
"""Maintenance: times at which no alert of an app or an environment fires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.exceptions import BadInput, Z4jError
from z4j.rules.alerts.quiet_hours import Maintenance
from z4j.rules.findings.finding import Scope
from z4j.rules.permissions import may_act
from z4j.rules.rollups import DAY_US
from z4j.rules.schedules.due_times import zone_of
from z4j.store.alerts import alert_rules
from z4j.store.alerts.alert_rules import MaintenanceRow
from z4j.store.tasks.counters import count_scopes, values_of
from z4j.web.frame.forms import read_form
from z4j.web.frame.render import Notice, Shell, render, see_other
from z4j.web.frame.shell import make_shell
from z4j.web.frame.times import reader_zone, when, with_offset
from z4j.web.services import services

HERE: Final = "/alerts/maintenance"
SHOWN_US: Final = 30 * DAY_US
LASTS: Final = (
    ("1800", "30 minutes"),
    ("3600", "1 hour"),
    ("7200", "2 hours"),
    ("28800", "8 hours"),
    ("86400", "1 day"),
    ("604800", "1 week"),
)


@dataclass(frozen=True, slots=True)
class MaintenancePage:
    """The context of alerts/maintenance.html."""

    shell: Shell
    tab: str
    rows: tuple[MaintenanceRow, ...]
    apps: tuple[str, ...]
    environments: tuple[str, ...]
    lasts: tuple[tuple[str, str], ...]
    may_change: bool


async def page(request: Request) -> Response:
    """GET /alerts/maintenance."""
    store, at = services(request).store, request.scope["came_at"]
    known = await count_scopes(store)
    rows = sorted(await alert_rules.list_maintenance(store, at - SHOWN_US), key=lambda row: -row.window.ends_at)
    may = may_act(request.scope["identity"].role, "change_maintenance")
    shell = await make_shell(request, "alerts")
    apps, environments = values_of(known.by_app), values_of(known.by_environment)
    return render(request, "alerts/maintenance.html", MaintenancePage(shell, "maintenance", tuple(rows), apps, environments, LASTS, may))


async def create(request: Request) -> Response:
    """POST /alerts/maintenance: begins at `from` (in the reader's time zone), now if that is empty, for `lasts` seconds."""
    form, now = await read_form(request), clock.now()
    try:
        begin = _moment(with_offset(form.get("from", ""), zone_of(reader_zone())), now)
        seconds = form.get("lasts", "")
        if not (seconds.isascii() and seconds.isdecimal() and len(seconds) < 9):
            raise BadInput("Choose how long the maintenance lasts. No changes were made.")
        window = Maintenance(Scope(form.get("app", ""), form.get("environment", "")), begin, begin + int(seconds) * 1_000_000)
        await services(request).alerts.add_maintenance(request.scope["identity"], window, form.get("reason", ""))
    except Z4jError as error:
        return see_other(HERE, Notice("bad", error.explanation))
    return see_other(HERE, Notice("good", "Maintenance began. Alerts are delayed until it ends; findings that are still open then fire."))


def _moment(text: str, now: int) -> int:
    try:
        return when(text, now) if text else now
    except ValueError as error:
        raise BadInput(f"“{text[:30]}” is not a date and time. No changes were made.") from error


async def end(request: Request) -> Response:
    """POST /alerts/maintenance/{id}/end."""
    try:
        await services(request).alerts.end_maintenance(request.scope["identity"], request.path_params["id"])
    except Z4jError as error:
        return see_other(HERE, Notice("warn", error.explanation))
    return see_other(HERE, Notice("good", "Maintenance ended."))
