# SPDX-License-Identifier: AGPL-3.0-or-later
"""What each finding offers to whom: every kind × every role, against the real table of routes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from urllib.parse import urlsplit

import pytest
from starlette.requests import Request

from tests.unit.rules.findings.every import each
from z4j.rules.findings.finding import Finding, Link
from z4j.rules.permissions import ROLES, is_allowed
from z4j.web.frame.middleware import role_finder
from z4j.web.pages.finding_items import action_of
from z4j.web.routes import all_rows

EVERY = each()
KINDS = {finding.kind: finding for finding in EVERY}
role_of = role_finder((row.method, row.path, row.role) for row in all_rows())
OPERATE = Path(__file__).parents[4] / "docs" / "operate.md"
DEEDS = ("retry", "Run now")
"""Words of what only an operator may do."""


def request_of(role: str) -> Request:
    state = SimpleNamespace(services=SimpleNamespace(role_of=role_of))
    scope = {"type": "http", "identity": SimpleNamespace(role=role), "app": SimpleNamespace(state=state)}
    return cast("Request", Request(scope))


def test_every_kind_is_in_the_manual_with_when_it_ends_and_there_is_one_here() -> None:
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \| ([^|]+) \| ([^|]+) \|", OPERATE.read_text(), re.M)
    documented = {kind for kinds, _, _ in rows for kind in re.findall(r"`([a-z_]+)`", kinds)}
    assert all(ends.strip() for _, _, ends in rows)
    assert documented == set(KINDS)


def links() -> Iterator[tuple[Finding, Link]]:
    for finding in EVERY:
        for link in (*finding.evidence, *([finding.action] if finding.action else ())):
            yield finding, link


def test_every_link_leads_to_a_page_and_evidence_is_for_everybody() -> None:
    for finding, link in links():
        role = role_of("GET", urlsplit(link.href).path)
        assert role is not None, (finding.kind, link)
        assert link is finding.action or role == "viewer", (finding.kind, link)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_action_is_offered_to_those_who_may_carry_it_out(kind: str, role: str) -> None:
    action = KINDS[kind].action
    assert action is not None
    offer = action_of(request_of(role), action)
    assert offer is not None
    route = role_of("GET", urlsplit(action.href).path)
    assert route is not None
    may = is_allowed(role, route) and (is_allowed(role, "operator") or not any(word in action.text for word in DEEDS))
    assert (offer.lacks == "", offer.href != "") == (may, may), (action, offer)
    if not may:
        assert not is_allowed(role, offer.lacks)
