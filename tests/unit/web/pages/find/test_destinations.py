# SPDX-License-Identifier: AGPL-3.0-or-later
"""Pages and actions that can be found exist, and nobody is shown one that the route would refuse."""

from __future__ import annotations

import pytest

from z4j.rules.permissions import ROLES, is_allowed
from z4j.web.pages.find.destinations import DESTINATIONS, VERBS, Destination, destinations_for, verbs_for
from z4j.web.routes import all_rows

PAGES = {row.path: row.role for row in all_rows() if row.method == "GET"}


@pytest.mark.parametrize("destination", DESTINATIONS, ids=lambda each: f"{each.text} {each.href}")
def test_a_destination_is_a_page_for_the_same_people(destination: Destination) -> None:
    path = destination.href.partition("#")[0]
    allowed = {role for role in ROLES if is_allowed(role, destination.role)}
    assert allowed <= {role for role in ROLES if is_allowed(role, PAGES[path])}
    if destination.kind == "page":
        assert destination.role == PAGES[path]


def test_a_viewer_sees_fewer_than_an_administrator() -> None:
    viewer, admin = ({each.text for each in destinations_for(role)} for role in ("viewer", "admin"))
    assert "Users" not in viewer
    assert "Run a task…" not in viewer
    assert viewer < admin


def test_a_verb_is_found_by_its_beginning() -> None:
    assert [(verb.word, verb.kind, rest) for verb, rest in verbs_for("operator", "pause emails")] == [("pause", "queue", "emails")]
    assert [(verb.word, rest) for verb, rest in verbs_for("admin", "shut down w1")] == [("shut down", "w1")]
    assert [(verb.word, rest) for verb, rest in verbs_for("operator", "Pau my queue")] == [("pause", "my queue")]
    for query in ("pause", "pa emails", "emails"):
        assert verbs_for("operator", query) == []
    assert verbs_for("viewer", "pause emails") == []
    assert {verb.role for verb in VERBS} == {"operator"}
