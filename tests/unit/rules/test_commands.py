# SPDX-License-Identifier: AGPL-3.0-or-later
"""What each action is for: what it acts on, who must allow it, how long it waits, and when it makes no sense."""

from __future__ import annotations

import pytest

from z4j.rules.commands import ENDED, HELD, MINUTE_US, RULES, TASK_ACTIONS, WAITING, why_not
from z4j.rules.tasks.states import FINAL, STATES
from z4j_agent.contract.adapter import ACTION_LEVEL
from z4j_agent.contract.scheduler import LEVEL as SCHEDULE_LEVEL


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
        expected = {"terminate_task", "inspect_task"}
    assert offered == expected | {"lookup_task"}


@pytest.mark.parametrize(("kept", "word"), [("none", "not stored"), ("too_large", "64 KB"), ("no_key", "seal key")])
def test_retry_needs_the_original(kept: str, word: str) -> None:
    assert word in (why_not("retry_task", "failed", kept) or "")
    assert why_not("cancel_task", "queued", kept) is None


def test_unknown_actions_are_refused_and_known_ones_expire() -> None:
    assert why_not("launch_rocket", "failed", "plain") == "there is no action launch_rocket"
    assert why_not("pause_queue", "failed", "plain") == "there is no action pause_queue"
    assert all(rule.expires_us > 0 and rule.notice and rule.level in ("read", "operate", "all") for rule in RULES.values())


def test_rules_are_those_of_the_agents() -> None:
    of_agents = ACTION_LEVEL | {action: level for action, level in SCHEDULE_LEVEL.items() if action != "apply_overrides"}
    assert {action: rule.level for action, rule in RULES.items()} == of_agents


def test_each_action_is_about_one_kind_of_thing() -> None:
    subjects: dict[str, set[str]] = {}
    for action, rule in RULES.items():
        subjects.setdefault(rule.subject, set()).add(action)
    # A task that is run first is known by its name, and a worker takes or leaves a queue; all others are called after what they act on.
    for subject, actions in subjects.items():
        named = {action for action in actions if action.endswith(f"_{subject}")}
        assert actions - named == {"name": {"run_task"}, "worker": {"consume_queue", "leave_queue"}}.get(subject, set())
    assert set(subjects) == {"task", "queue", "worker", "name", "schedule"}


def test_a_page_offers_actions_on_a_task_in_this_order() -> None:
    assert TASK_ACTIONS == (
        "retry_task", "edit_task", "restore_task", "cancel_task", "release_task", "prioritise_task", "move_task", "terminate_task",
        "inspect_task", "lookup_task",
    )  # fmt: skip


def test_what_cannot_be_undone_needs_a_typed_word() -> None:
    assert {action: rule.word for action, rule in RULES.items() if rule.word} == {
        "terminate_task": "stop",
        "purge_queue": "purge",
        "shutdown_worker": "shutdown",
        "restart_worker": "restart",
        "delete_schedule": "delete",
    }


def test_a_command_waits_as_long_as_it_makes_sense() -> None:
    """Minutes. A stop that arrives late would stop another run; a cancel is useful as long as the task waits."""
    other = {"terminate_task": 1, "inspect_task": 1, "lookup_task": 1, "peek_queue": 1, "fire_schedule": 1}
    other |= {"shutdown_worker": 5, "restart_worker": 5, "resize_worker": 5, "cancel_task": 24 * 60}
    assert {action: rule.expires_us // MINUTE_US for action, rule in RULES.items()} == dict.fromkeys(RULES, 15) | other
    assert MINUTE_US == 60 * 1_000_000
    assert all(rule.expires_us % MINUTE_US == 0 for rule in RULES.values())


def test_only_what_runs_a_task_again_needs_its_original() -> None:
    assert {action for action, rule in RULES.items() if rule.needs_original} == {"retry_task", "edit_task", "restore_task"}


def test_pauses_and_limits_are_sent_to_every_worker() -> None:
    assert {action for action, rule in RULES.items() if rule.is_everywhere} == {"limit_name", "pause_queue", "resume_queue"}


def test_what_a_worker_may_hold_in_memory_is_asked_of_that_worker_first() -> None:
    assert {"release_task", "lookup_task"} == HELD


def test_every_action_has_a_button_and_a_sentence_for_afterwards() -> None:
    assert all(rule.label and rule.notice.endswith(".") for rule in RULES.values())


def test_a_task_that_is_running_is_neither_waiting_nor_ended() -> None:
    assert ENDED == FINAL
    assert WAITING | ENDED | {"running"} == set(STATES)
    assert not WAITING & ENDED


def test_a_reason_names_the_state_of_the_task() -> None:
    assert why_not("retry_task", "running", "plain") == "the task is running"
    assert why_not("retry_task", "failed", "sealed") is None
    assert "Z4J_URL" in (why_not("retry_task", "failed", "no_key") or "")
