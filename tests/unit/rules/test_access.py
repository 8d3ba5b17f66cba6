# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest

from z4j.rules.access import ALLOWED, ROLES, is_allowed, may_act, weaker
from z4j.rules.commands import ENDED, RULES, TASK_ACTIONS, WAITING, why_not
from z4j.rules.states import STATES
from z4j_agent.adapter import ACTION_LEVEL
from z4j_agent.schedules import LEVEL as SCHEDULE_LEVEL


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


@pytest.mark.parametrize("state", sorted(STATES))
def test_every_state_offers_at_most_what_makes_sense(state: str) -> None:
    offered = {action for action in TASK_ACTIONS if why_not(action, state, "plain") is None}
    expected: set[str] = set()
    if state in ENDED:
        expected = {"retry_task", "edit_task"} | ({"restore_task"} if state == "cancelled" else set())
    elif state in WAITING:
        expected = {"cancel_task"}
        expected |= {"release_task"} if state in ("scheduled", "retrying") else set()
        expected |= {"move_task"} if state in ("scheduled", "queued") else set()
        expected |= {"prioritise_task"} if state == "queued" else set()
    elif state == "running":
        expected = {"terminate_task"}
    assert offered == expected | {"lookup_task"}


@pytest.mark.parametrize(("kept", "word"), [("none", "not kept"), ("too_large", "64 KB"), ("no_key", "seal key")])
def test_retry_needs_the_original(kept: str, word: str) -> None:
    assert word in (why_not("retry_task", "failed", kept) or "")
    assert why_not("cancel_task", "queued", kept) is None


def test_unknown_actions_are_refused_and_known_ones_expire() -> None:
    assert why_not("launch_rocket", "failed", "plain") == "there is no action launch_rocket"
    assert why_not("pause_queue", "failed", "plain") == "there is no action pause_queue"
    assert all(rule.expires_us > 0 and rule.said and rule.level in ("read", "operate", "all") for rule in RULES.values())


def test_rules_are_those_of_the_agents() -> None:
    of_agents = ACTION_LEVEL | {action: level for action, level in SCHEDULE_LEVEL.items() if action != "apply_overrides"}
    assert {action: rule.level for action, rule in RULES.items()} == of_agents


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("other", ROLES)
def test_the_weaker_of_two_roles_may_what_both_may(role: str, other: str) -> None:
    both = {needed for needed in ALLOWED if is_allowed(role, needed) and is_allowed(other, needed)}
    assert {needed for needed in ALLOWED if is_allowed(weaker(role, other), needed)} == both
    assert weaker(role, "king") == weaker("king", role) == ("king" if role == "admin" else "")
