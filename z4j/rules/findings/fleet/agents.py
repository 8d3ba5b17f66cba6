# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reports gaps in the reports of agents: events that were dropped, refused, are late or have a wrong time, and internal errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

from z4j.formats import duration, number, plural, size
from z4j.rules.findings.finding import Finding, Link, Scope, workers_href
from z4j.rules.findings.fleet.process import SECOND_US, Process

SKEW_US: Final = 2 * SECOND_US
BEHIND_BYTES: Final = 4_000_000
"""A spool that is sent as fast as it grows holds a few batches of 256 KB."""
WINDOW: Final = "in the last hour"


class GapReport(NamedTuple):
    """Events of an app that were dropped before they could be sent. Times are microseconds UTC."""

    app: str
    at: int
    events: int
    first_at: int
    last_at: int
    cause: str


class FaultReport(NamedTuple):
    """An internal error of an agent of an app."""

    app: str
    at: int
    place: str
    error: str
    events: int


class RefusedReport(NamedTuple):
    """Records of an app that could not be used or were stored under another name: how many in total, why, and when the last one arrived."""

    app: str
    text: str
    last_at: int


Report = TypeVar("Report", GapReport, FaultReport, RefusedReport)


def find_dropped(gaps: Sequence[GapReport]) -> list[Finding]:
    """Returns a finding for each app with a gap in its events."""
    found = []
    for app, of_app in _by_app(gaps).items():
        events = sum(gap.events for gap in of_app)
        first_at, last_at = min(gap.first_at for gap in of_app), max(gap.last_at for gap in of_app)
        causes = ", ".join(sorted({gap.cause.replace("_", " ") for gap in of_app if gap.cause}))
        found.append(
            Finding(
                kind="dropped_events", subject=app, level="blind", weight=min(400 + 50 * len(str(events)), 900),
                title=f"Events of {app} were dropped",
                text=f"{plural(events, 'event')} within {duration(last_at - first_at)}: what tasks did in that time is unknown",
                why=f"reported by its agents {WINDOW}" + (f"; cause: {causes}" if causes else ""),
                scope=Scope(app), since=first_at, action=Link("Open the reports of the agents", workers_href(Scope(app))),
            )
        )  # fmt: skip
    return found


def find_faults(faults: Sequence[FaultReport]) -> list[Finding]:
    """Returns a finding for each app whose agents had internal errors."""
    found = []
    for app, of_app in _by_app(faults).items():
        newest = max(of_app, key=lambda fault: fault.at)
        found.append(
            Finding(
                kind="agent_faults", subject=app, level="blind", weight=250,
                title=f"Agents of {app} had internal errors", text=f"{plural(sum(fault.events for fault in of_app), 'time')} {WINDOW}",
                why=f"last in {newest.place}: {newest.error[:200]}. The application was not affected; some events may be missing",
                scope=Scope(app), since=min(fault.at for fault in of_app),
                action=Link("Open the reports of the agents", workers_href(Scope(app))),
            )
        )  # fmt: skip
    return found


def find_refused(refused: Sequence[RefusedReport]) -> list[Finding]:
    """Returns a finding for each app of which records were refused."""
    return [
        Finding(
            kind="refused_events", subject=app, level="blind", weight=200,
            title=f"Reports of {app} were refused", text="; ".join(report.text for report in of_app),
            why="totals since the first refusal; the last one was within the last hour",
            scope=Scope(app), action=Link("Open the reports of the agents", workers_href(Scope(app))),
        )
        for app, of_app in _by_app(refused).items()
    ]  # fmt: skip


def find_clocks(processes: Sequence[Process]) -> list[Finding]:
    """Returns a finding for each host whose clock is off by two seconds or more."""
    hosts: dict[tuple[Scope, str], int] = {}
    for process in processes:
        if process.is_connected and abs(process.skew_us) >= SKEW_US:
            key = process.scope, process.host
            hosts[key] = max(hosts.get(key, 0), process.skew_us, key=abs)
    return [
        Finding(
            kind="clock", subject=host, level="blind", weight=min(180 + abs(skew) / SECOND_US, 400),
            title=f"The clock of {host} is off", text=f"{duration(abs(skew))} {'behind' if skew > 0 else 'ahead of'} this server",
            why="measured when its processes connected. Wait times, and the order of events of two hosts, are off by as much",
            scope=scope, action=Link("Open the workers", workers_href(scope)),
        )
        for (scope, host), skew in hosts.items()
    ]  # fmt: skip


def find_behind(processes: Sequence[Process]) -> list[Finding]:
    """Returns a finding for each host whose agents have too many unsent events."""
    hosts: dict[tuple[Scope, str], list[Process]] = {}
    for process in processes:
        if process.is_connected and process.spool_bytes >= BEHIND_BYTES:
            hosts.setdefault((process.scope, process.host), []).append(process)
    return [
        Finding(
            kind="behind", subject=host, level="blind", weight=350,
            title=f"Events of {host} arrive late", text=f"{size(max(process.spool_bytes for process in of_host))} waiting to be sent",
            why=f"reported by {number(len(of_host))} of its processes. Until then, pages show an earlier state of their tasks",
            scope=scope, action=Link("Open the workers", workers_href(scope)),
        )
        for (scope, host), of_host in hosts.items()
    ]  # fmt: skip


def _by_app(reports: Iterable[Report]) -> dict[str, list[Report]]:
    by_app: dict[str, list[Report]] = {}
    for report in reports:
        by_app.setdefault(report.app, []).append(report)
    return by_app
