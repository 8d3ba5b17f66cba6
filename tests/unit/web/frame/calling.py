# SPDX-License-Identifier: AGPL-3.0-or-later
"""Pages of alerts, releases, incidents and documents for test_templates.py, with hostile text in every field that others fill."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from z4j.operations.alerts.dry_run import Answer
from z4j.rules.alerts.alert_decision import Alert, Item, Match
from z4j.rules.alerts.alert_rule import AlertRule
from z4j.rules.alerts.dry_run import DryRun
from z4j.rules.alerts.quiet_hours import Maintenance, Weekly
from z4j.rules.documents import Hit, Section
from z4j.rules.findings.finding import Scope
from z4j.rules.incidents.record import Curve, ErrorSeen, Event, Record
from z4j.rules.releases.verdicts import Side
from z4j.store.alerts.alert_rules import MaintenanceRow, StoredRule
from z4j.store.alerts.alerts import StoredAlert
from z4j.store.alerts.channels import Channel
from z4j.store.alerts.messages import Message
from z4j.store.incidents.incidents import Incident
from z4j.store.releases.release_runs import Comparison, NameRuns, NewError, Release
from z4j.web.frame.render import Shell
from z4j.web.pages import documents
from z4j.web.pages.alerts import acknowledge, channels, maintenance, rule_form, rules
from z4j.web.pages.alerts import list as alert_list
from z4j.web.pages.alerts import messages as alert_messages
from z4j.web.pages.incidents import detail as incident_detail
from z4j.web.pages.incidents import exports as incident_exports
from z4j.web.pages.incidents import list as incident_list
from z4j.web.pages.releases import detail as release_detail
from z4j.web.pages.releases import list as release_list


def pages(shell: Shell, evil: str, now: int) -> tuple[tuple[str, str, Any], ...]:
    """Returns (name, template, page) of each."""
    return (*_alerts(shell, evil, now), *_others(shell, evil, now))


def _alerts(shell: Shell, evil: str, now: int) -> tuple[tuple[str, str, Any], ...]:
    match = Match(evil, "bad", evil, evil, f"/x?{evil}", now - 60_000_000, now - 60_000_000)
    alert = Alert(Scope(evil, evil), now - 60_000_000, "bad", (Item(match, now), Item(match, now, now)), now, acknowledged_by=evil)
    over = Alert(Scope(evil, evil), now - 60_000_000, "bad", (Item(match, now, now),), now, resolved_at=now)
    lines = [alert_list.line_of(StoredAlert(7, 3, evil, "critical", evil, each), "operator") for each in (alert, over)]
    message = Message("4a1b", 7, 1, evil, "fired", {"title": evil}, now, now + 1, 2, now + 1, None, "", evil)
    items = tuple(map(alert_list.item_line, alert.items))
    rule = AlertRule(evil, "critical", app=evil, reminder_s=60, escalate_s=60, for_s=60, quiet=(Weekly((0,), 1, 2, "UTC"),))
    stored = StoredRule(3, rule, evil, now)
    channel = Channel(1, evil, "webhook", evil, True, True, now, evil, now, now, now, evil)
    answer = Answer(DryRun((alert,), 2), now, evil)
    row = MaintenanceRow(1, Maintenance(Scope(evil, evil), now - 1, now + 60_000_000), evil, evil, now)
    form = rule_form.of_rule(rule)
    full = alert_list.AlertsPage(shell, "alerts", (lines[0],), (lines[1],), "/alerts?before=1-1", True, True, True)
    return (
        ("alerts", "alerts/list.html", full),
        ("alerts without rules", "alerts/list.html", alert_list.AlertsPage(shell, "alerts", (), (), "", False, False, False)),
        ("alert", "alerts/detail.html", alert_list.AlertPage(shell, "alerts", lines[0], items, (alert_messages.line_of(message),))),
        ("alert rules", "alerts/rules.html", rules.RulesPage(shell, "rules", (rules.RuleLine(stored, evil, evil, evil),), True)),
        (
            "alert rule", "alerts/rule.html",
            rules.RulePage(shell, "rules", 3, form, (channel,), (evil,), (evil,), (evil,), True, answer, evil),
        ),
        ("channels", "alerts/channels.html", channels.ChannelsPage(shell, "channels", (channel,), True)),
        (
            "maintenance", "alerts/maintenance.html",
            maintenance.MaintenancePage(shell, "maintenance", (row,), (evil,), (evil,), maintenance.LASTS, True),
        ),
        (
            "messages", "alerts/messages.html",
            alert_messages.MessagesPage(shell, "messages", (alert_messages.line_of(message),), "/alerts/messages?before=1-a"),
        ),
        ("acknowledge", "alerts/acknowledge.html", acknowledge.AcknowledgePage("system", acknowledge.TITLE, evil, "code", "", evil, evil)),
    )  # fmt: skip


def _others(shell: Shell, evil: str, now: int) -> tuple[tuple[str, str, Any], ...]:
    release = Release(1, evil, 2, evil, 3, evil, now)
    side = Side(100, 9, 100, 5, {40: 100})
    comparison = Comparison((NameRuns(evil, evil, side, side),), now, now, 3)
    line = release_detail._line(release, comparison.names[0])
    page = release_detail.ReleasePage(
        shell, release, (line,), (("failed", "worse", 1),), comparison, (NewError(1, evil, 3),), evil, now, 9, f"/tasks?{evil}",
        f"/plans/new?{evil}", True, True,
    )  # fmt: skip
    events = (Event(now, "note", evil, evil, f"/x?{evil}"), Event(now, "finding", evil))
    record = Record(
        evil, evil, evil, now - 60_000_000, now, evil, evil, events, (ErrorSeen(1, evil, 3, True),), Curve(now, 60, (1, 2), (0, 1)), 1
    )
    lines = incident_detail.lines_of(record)
    incident = Incident(1, evil, evil, evil, now - 60_000_000, None, evil, evil)
    document = documents.Document("start", evil, evil, ())
    groups, titles = ((evil, (document,)),), {"start": evil}
    listed = release_list.ReleasesPage(shell, (release_list.ReleaseLine(release, f"/releases/{evil}"),), (evil,), "/x?before=1", True, True)
    hit = Hit(Section("start", evil, "a", evil), evil)
    return (
        ("releases", "releases/list.html", listed),
        ("release", "releases/detail.html", page),
        ("incidents", "incidents/list.html", incident_list.IncidentsPage(shell, (incident,), (evil,), "/incidents?before=1-1", True, True)),
        ("incident", "incidents/detail.html", incident_detail.IncidentPage(shell, incident, record, lines, True)),
        ("shared incident", "incidents/shared.html", incident_exports.RecordPage("system", record, lines)),
        ("incident file", "incidents/file.html", incident_exports.RecordPage("system", record, lines)),
        ("documents", "documents/page.html", documents.DocumentsPage(shell, groups, None, Markup(), "", (), titles)),
        ("document", "documents/page.html", documents.DocumentsPage(shell, groups, document, Markup("<h1>Start</h1>"), "", (), titles)),
        ("found in documents", "documents/page.html", documents.DocumentsPage(shell, groups, None, Markup(), evil, (hit,), titles)),
    )  # fmt: skip
