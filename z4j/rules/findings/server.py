# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reports problems of this server: disk, database, certificate, backups, audit log, background duties, forwarding, and stopped or
stalled plans."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from z4j.formats import duration, number, plural, size
from z4j.rules.backups import OLD_US
from z4j.rules.findings.finding import Finding, Link
from z4j.rules.plans import NO_AGENT, STOPPED
from z4j.rules.rollups import DAY_US

LITTLE_SPACE: Final = 1_000_000_000
"""Free bytes on the disk of the data folder below which it is reported."""
URGENT_DAYS: Final = 14
STALLED_US: Final = 60_000_000
LATE_US: Final = 10 * 60_000_000
"""A row that was not forwarded for so long is late."""
OLD_PLAN_US: Final = 7 * DAY_US
PAGE: Final = "/settings/appliance"


class DutyState(NamedTuple):
    """A background duty that fails or has stalled. `failing_since` is microseconds UTC."""

    name: str
    state: str
    failing_since: int | None
    failures: int
    error: str


@dataclass(frozen=True, slots=True)
class ServerState:
    """The state of this server. Times are microseconds UTC."""

    free_bytes: int
    why_not_held: str = ""
    """Why retention cannot keep within its limits; "" if it does."""
    certificate_days: int | None = None
    """Days until the certificate expires, negative afterwards; None if no warning is due, or without TLS."""
    certificate_problem: str = ""
    """Why its new files could not be loaded."""
    has_backups: bool = False
    backup_problem: str = ""
    """Why the last nightly backup failed, or why the results cannot be read."""
    backups_since: int | None = None
    """Time of the last successful backup; without one, since when backups are enabled."""
    audit_row: int | None = None
    """The first altered row of the audit log."""
    audit_why: str = ""
    duties: tuple[DutyState, ...] = ()


class TargetState(NamedTuple):
    """An enabled target of forwarding. `waiting` rows have not been sent; the oldest of them was made `oldest_at` (microseconds UTC), None:
    none waits."""

    name: str
    shown: str
    failing_since: int | None
    error: str
    waiting: int
    oldest_at: int | None


class PlanState(NamedTuple):
    """A plan that is neither done nor aborted. Times are microseconds UTC."""

    id: int
    action: str
    status: str
    note: str
    items: int
    author: str
    created_at: int
    started_at: int | None


def find_server(server: ServerState, at: int) -> list[Finding]:
    """Returns the findings of the server."""
    found = [_audit(server), _disk(server), _certificate(server), _limits(server), _backup(server, at)]
    return [*(finding for finding in found if finding is not None), *(_duty(duty) for duty in server.duties)]


def _audit(server: ServerState) -> Finding | None:
    if server.audit_row is None:
        return None
    return Finding(
        kind="audit_alarm", subject="audit log", level="bad", weight=990,
        title="The audit log was altered", text=f"from row {number(server.audit_row)}: {server.audit_why}",
        why="compared with the checkpoints that this server and its agents keep. Find out who had access to the data folder",
        action=Link("Open the audit log", "/changes/audit"),
    )  # fmt: skip


def _disk(server: ServerState) -> Finding | None:
    if server.free_bytes >= LITTLE_SPACE:
        return None
    return Finding(
        kind="disk", subject="disk", level="bad", weight=950,
        title="The disk of the data folder is nearly full", text=f"{size(server.free_bytes)} free",
        why=f"reported below {size(LITTLE_SPACE)}. When the disk is full, nothing is stored and agents keep their events",
        action=Link("Show what uses the space", PAGE),
    )  # fmt: skip


def _certificate(server: ServerState) -> Finding | None:
    days, problem = server.certificate_days, server.certificate_problem
    if days is None and not problem:
        return None
    if days is not None and days < 0:
        text = "it has expired, and clients that verify it cannot connect"
    else:
        text = "its new files are not used" if days is None else f"it expires in {plural(days, 'day')}"
    is_urgent = bool(problem) or (days is not None and days < URGENT_DAYS)
    return Finding(
        kind="certificate", subject="certificate", level="bad" if is_urgent else "warn",
        weight=900 if days is not None and days < 0 else 400,
        title="The TLS certificate of this server", text=text, why=problem or "replace the file; the server reloads it automatically",
        action=Link("Open the certificate", f"{PAGE}#tls"),
    )  # fmt: skip


def _limits(server: ServerState) -> Finding | None:
    if not server.why_not_held:
        return None
    return Finding(
        kind="retention", subject="retention", level="warn", weight=300,
        title="Retention limits are exceeded", text=server.why_not_held, why="for more than two minutes",
        action=Link("Show what uses the space", PAGE),
    )  # fmt: skip


def _backup(server: ServerState, at: int) -> Finding | None:
    if not server.has_backups:
        return None
    age = None if server.backups_since is None else at - server.backups_since
    is_old = age is not None and age > OLD_US
    if not server.backup_problem and not is_old:
        return None
    last = "" if age is None else f"the last successful one is {duration(age)} old"
    return Finding(
        kind="backup", subject="backup", level="bad" if is_old else "warn", weight=450,
        title="The last nightly backup failed" if server.backup_problem else "There is no recent backup",
        text=last or "no backup yet", why=server.backup_problem or f"reported after {duration(OLD_US)}; a backup is made every night",
        action=Link("Open the backups", PAGE),
    )  # fmt: skip


def _duty(duty: DutyState) -> Finding:
    word = "is failing" if duty.state == "failing" else "is not running"
    return Finding(
        kind="duty", subject=duty.name, level="bad", weight=500,
        title=f"A background duty {word}", text=f"{duty.name}" + (f", {plural(duty.failures, 'time')} in a row" if duty.failures else ""),
        why=duty.error or "no run has finished in time; see the server log", since=duty.failing_since,
        action=Link("Open the duties", PAGE),
    )  # fmt: skip


def find_forwarding(targets: Iterable[TargetState], at: int) -> list[Finding]:
    """Returns a finding for each target whose oldest row has waited for too long."""
    found = []
    for target in targets:
        if target.oldest_at is None or at - target.oldest_at < LATE_US:
            continue
        waited = at - target.oldest_at
        found.append(
            Finding(
                kind="forwarding", subject=target.name, level="bad" if waited >= DAY_US else "warn", weight=260,
                title=f"Forwarding to {target.name} lags",
                text=f"{plural(target.waiting, 'row')} to send, the oldest is {duration(waited)} old",
                why=target.error or f"no errors, but {target.shown} accepts rows more slowly than they are recorded",
                since=target.failing_since or target.oldest_at, action=Link("Open forwarding", "/settings/forwarding"),
            )
        )  # fmt: skip
    return found


def find_plans(plans: Iterable[PlanState], at: int) -> list[Finding]:
    """Returns a finding for each plan that its canary stopped, or that has waited for an agent for a minute."""
    found = []
    for plan in plans:
        if at - plan.created_at > OLD_PLAN_US:
            continue
        is_stopped = plan.status == "paused" and plan.note.startswith(STOPPED)
        is_stalled = plan.status == "running" and plan.note.startswith(NO_AGENT) and at - (plan.started_at or at) >= STALLED_US
        if is_stopped or is_stalled:
            what = plan.action.replace("_", " ")
            found.append(
                Finding(
                    kind="stopped_plan" if is_stopped else "stalled_plan", subject=str(plan.id), level="bad" if is_stopped else "warn",
                    weight=480 if is_stopped else 220,
                    title=f"Plan {plan.id} {'stopped' if is_stopped else 'stalled'}",
                    text=f"{what} of {plural(plan.items, 'task')}: {plan.note.removeprefix(STOPPED if is_stopped else '')}",
                    why=f"started by {plan.author}" + ("; the remaining tasks wait until it is resumed or aborted" if is_stopped else ""),
                    action=Link("Open the plan", f"/plans/{plan.id}"),
                )
            )  # fmt: skip
    return found
