# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which role may do what, and that unknown roles and actions are refused."""

from __future__ import annotations

import pytest

from z4j.rules.permissions import ACTIONS, ALLOWED, ROLES, is_allowed, may_act, weaker


@pytest.mark.parametrize(
    ("role", "reads", "audits", "acts", "administers"),
    [
        ("viewer", True, False, False, False),
        ("auditor", True, True, False, False),
        ("operator", True, False, True, False),
        ("admin", True, True, True, True),
        ("", False, False, False, False),
        ("root", False, False, False, False),
    ],
)
def test_roles(role: str, reads: bool, audits: bool, acts: bool, administers: bool) -> None:
    found = [is_allowed(role, needed) for needed in ("viewer", "auditor", "operator", "admin")]
    assert found == [reads, audits, acts, administers]
    assert is_allowed(role, "public")
    assert not is_allowed(role, "emperor")
    assert may_act(role, "retry_task") is acts
    assert not may_act(role, "launch_rocket")


def test_every_role_is_known() -> None:
    assert ROLES == ("viewer", "auditor", "operator", "admin")


@pytest.mark.parametrize("role", ROLES)
def test_each_action_is_for_operators_or_for_admins_and_for_nobody_else(role: str) -> None:
    of_operators = {action for action, needed in ACTIONS.items() if needed == "operator"}
    allowed = {"operator": of_operators, "admin": set(ACTIONS)}
    assert {action for action in ACTIONS if may_act(role, action)} == allowed.get(role, set())
    assert set(ACTIONS) - of_operators == {"change_alert_rule", "change_alert_channel", "change_forwarding", "change_link"}


def test_deleting_history_needs_the_same_as_an_action_on_a_task() -> None:
    assert may_act("operator", "delete_task")
    assert may_act("operator", "undelete_task")
    assert not may_act("auditor", "delete_task")
    assert not may_act("auditor", "undelete_task")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("other", ROLES)
def test_the_weaker_of_two_roles_may_what_both_may(role: str, other: str) -> None:
    both = {needed for needed in ALLOWED if is_allowed(role, needed) and is_allowed(other, needed)}
    assert {needed for needed in ALLOWED if is_allowed(weaker(role, other), needed)} == both
    assert weaker(role, "king") == weaker("king", role) == ("king" if role == "admin" else "")
