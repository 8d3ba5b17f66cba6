# SPDX-License-Identifier: AGPL-3.0-or-later
"""Findings as shown by pages and the API: with the action, or the role that it requires if the user lacks it."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from msgspec import Struct
from starlette.requests import Request

from z4j.rules.findings.finding import Finding, Link, Scope
from z4j.rules.permissions import is_allowed
from z4j.web.frame.status_bar import scope_of
from z4j.web.services import services


class FindingAction(NamedTuple):
    """An action for the current user; `lacks` is the required role, "" if the user has it."""

    text: str
    href: str
    lacks: str


def action_of(request: Request, link: Link | None) -> FindingAction | None:
    """Returns the action of a link: both the role of its route and the one in `needs` are required. None without a link."""
    if link is None:
        return None
    route = services(request).role_of("GET", urlsplit(link.href).path) or "admin"
    role = request.scope["identity"].role
    lacks = next((needed for needed in (route, link.needs) if not is_allowed(role, needed)), "")
    return FindingAction(link.text, "" if lacks else link.href, lacks)


class LinkItem(Struct):
    """A link within this server. `needs` is the role that you lack for it, "" if you may follow it."""

    text: str
    href: str
    needs: str = ""


class FindingItem(Struct):
    """A finding: `title: text`, and the evidence in `why`. `key` is stable while it is open. `level` is bad, warn or blind (unknown).
    `since`, and when it was first seen (`found_at`), are microseconds UTC. `curve` has the last values, the newest last, null if
    unknown."""

    key: str
    kind: str
    subject: str
    level: str
    title: str
    text: str
    why: str
    app: str
    environment: str
    engine: str
    since: int | None
    found_at: int | None
    action: LinkItem | None
    evidence: list[LinkItem]
    curve: list[float | None]
    curve_of: str


class FindingList(Struct):
    """The findings of the last evaluation, the worst first, without muted ones. `checked_at` is microseconds UTC, null before the first
    evaluation."""

    checked_at: int | None
    findings: list[FindingItem]


def findings_of(request: Request) -> FindingList:
    """Returns the findings under the filters of every page."""
    found, scope = services(request).findings, scope_of(request)
    mine = Scope(scope.app, scope.environment, scope.engine)
    return FindingList(found.checked_at, [_item(request, each) for each in found.current if mine.holds(each.scope)])


def _item(request: Request, finding: Finding) -> FindingItem:
    return FindingItem(
        key=finding.key, kind=finding.kind, subject=finding.subject, level=finding.level, title=finding.title, text=finding.text,
        why=finding.why, **finding.scope._asdict(), since=finding.since, found_at=finding.found_at, action=_link(request, finding.action),
        evidence=[LinkItem(link.text, link.href) for link in finding.evidence], curve=list(finding.curve), curve_of=finding.curve_of,
    )  # fmt: skip


def _link(request: Request, link: Link | None) -> LinkItem | None:
    offer = action_of(request, link)
    return None if link is None or offer is None else LinkItem(link.text, link.href, offer.lacks)
