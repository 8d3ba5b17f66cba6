# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a plan takes in and leaves out, how fast it goes, and when it stops automatically."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from z4j.exceptions import BadInput
from z4j.rules import plans
from z4j.rules.plans import (
    ACTIONS,
    CANARY_LIMIT,
    ITEM_OF,
    SERVER_ACTIONS,
    WINDOW,
    Item,
    Pace,
    add_item,
    allowance,
    digest_of,
    is_over_limit,
    is_stage_over,
    pack_pace,
    read_pace,
    unpack_pace,
    why_excluded,
)

MINUTE = 60_000_000


# -- pace ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("text", "limit", "pace"), [
    ("", "", Pace()),
    ("all", "", Pace(limit=CANARY_LIMIT)),
    ("canary", "30", Pace(is_canary=True, limit=30)),
    ("60/m", "0", Pace(60, limit=0)),
    ("1/m", "", Pace(1)),
    ("7/min", "100", Pace(7, limit=100)),
    ("123456/m", "", Pace(123_456)),
])  # fmt: skip
def test_a_pace_is_read_and_kept(text: str, limit: str, pace: Pace) -> None:
    assert read_pace(text, limit) == pace
    assert unpack_pace(pack_pace(pace)) == pace


def test_without_a_word_a_plan_goes_all_at_once_and_stops_at_a_fifth_of_failures() -> None:
    assert read_pace("") == Pace(0, False, 20)


@pytest.mark.parametrize(("text", "limit", "reason"), [
    ("fast", "", "not a valid pace"), ("0/m", "", "not a valid pace"), ("-1/m", "", "not a valid pace"), ("60/h", "", "not a valid pace"),
    ("1234567/m", "", "not a valid pace"),
    ("a" * 50, "", f"“{'a' * 20}”"),
    ("all", "x", "from 0 to 100"), ("all", "101", "from 0 to 100"), ("all", "-1", "from 0 to 100"), ("all", "٣", "from 0 to 100"),
    ("all", "9" * 5_000, "from 0 to 100"), ("all", "0" * 5_000, "from 0 to 100"), ("all", "00005000", "from 0 to 100"),
    ("٦٠/m", "", "not a valid pace"),
])  # fmt: skip
def test_what_is_no_pace_is_refused_with_what_is_wrong(text: str, limit: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason) as caught:
        read_pace(text, limit)
    assert ("60/m" in caught.value.hint) == (text != "all")


def test_a_plan_hands_over_as_many_as_may_be_unanswered_at_once() -> None:
    assert WINDOW == 200
    assert allowance(Pace(), 0, 0, 0, 0) == 200
    assert allowance(Pace(), 500, 150, 0, 0) == 50
    assert allowance(Pace(), 500, 200, 0, 0) == 0
    assert allowance(Pace(), 500, 230, 0, 0) == 0


@pytest.mark.parametrize(("elapsed", "begun", "already", "room"), [
    (0, 0, 0, 1),  # the first goes at once
    (0, 1, 0, 0),
    (MINUTE // 60 - 1, 1, 0, 0),
    (MINUTE // 60, 1, 0, 1),
    (MINUTE, 1, 0, 60),
    (MINUTE, 61, 0, 0),
    (MINUTE, 80, 0, 0),  # never less than none
    (MINUTE, 80, 75, 56),  # what went before a pause is no part of this stretch
    (60 * MINUTE, 0, 0, 200),  # nor does a long one exceed what may be unanswered
])  # fmt: skip
def test_a_pace_spreads_items_over_a_minute(elapsed: int, begun: int, already: int, room: int) -> None:
    assert allowance(Pace(60), begun, 0, elapsed, already) == room


def test_a_pace_and_the_window_both_hold() -> None:
    assert allowance(Pace(60), 0, 190, MINUTE, 0) == 10
    assert allowance(Pace(60), 0, 100, MINUTE, 0) == 61


@pytest.mark.parametrize(("begun", "room"), [(0, 5), (3, 2), (5, 45), (49, 1), (50, 200), (51, 200)])
def test_a_canary_stops_after_five_and_after_fifty(begun: int, room: int) -> None:
    canary = Pace(is_canary=True)
    assert allowance(canary, begun, 0, 0, 0) == room
    assert is_stage_over(canary, begun) is (begun in (5, 50))
    assert allowance(Pace(), begun, 0, 0, 0) == 200
    assert not is_stage_over(Pace(), begun)


def test_a_canary_with_many_unanswered_waits_for_them() -> None:
    assert allowance(Pace(is_canary=True), 5, 190, 0, 0) == 10


@pytest.mark.parametrize(
    ("failures", "ended", "stops"), [(0, 0, False), (1, 5, False), (2, 5, True), (20, 100, False), (21, 100, True), (1, 1, True)]
)
def test_a_plan_stops_when_more_than_its_share_failed(failures: int, ended: int, stops: bool) -> None:
    assert is_over_limit(Pace(limit=20), failures, ended) is stops


def test_a_limit_of_nothing_stops_at_the_first_failure_and_one_of_a_hundred_never() -> None:
    assert is_over_limit(Pace(limit=0), 1, 1_000)
    assert not is_over_limit(Pace(limit=0), 0, 1_000)
    assert not is_over_limit(Pace(limit=100), 5, 5)


# -- what is taken in ----------------------------------------------------------------------------------------------------
ENDED = {"succeeded", "failed", "cancelled", "expired", "rejected", "lost"}
WAITING = {"scheduled", "queued", "received", "retrying"}


def test_a_plan_takes_the_tasks_its_action_makes_sense_for() -> None:
    assert {action: set(states) for action, (_, states) in ACTIONS.items()} == {
        "cancel_task": WAITING,
        "release_task": {"scheduled", "retrying"},
        "prioritise_task": {"queued"},
        "move_task": {"queued", "scheduled"},
        "terminate_task": {"running"},
        "restore_task": {"cancelled"},
        "retry_task": ENDED - {"succeeded"},
        "delete_task": ENDED,
        "undelete_task": set(),
    }
    assert all(label for label, _ in ACTIONS.values())


def excluded(action: str, state: str, original: str = "plain", *, is_retried: bool = False, can: str = "") -> str | None:
    return why_excluded(action, state, original, is_retried=is_retried, can=can)


def test_a_task_in_another_state_is_left_out_with_its_state() -> None:
    assert excluded("retry_task", "running") == "state: running"
    assert excluded("retry_task", "succeeded") == "state: succeeded"
    assert excluded("delete_task", "queued") == "state: queued"
    assert excluded("undelete_task", "failed") == "state: failed"


def test_a_task_that_was_run_again_is_not_run_a_second_time() -> None:
    assert excluded("retry_task", "failed", is_retried=True) == "already retried"
    assert excluded("restore_task", "cancelled", is_retried=True) == "already retried"
    assert excluded("retry_task", "failed") is None
    assert excluded("restore_task", "cancelled") is None
    assert excluded("cancel_task", "queued", is_retried=True) is None


def test_a_task_without_its_original_is_left_out_and_so_is_one_that_no_agent_can_serve() -> None:
    assert "64 KB" in (excluded("retry_task", "failed", "too_large") or "")
    assert "64 KB" in (excluded("retry_task", "failed", "too_large", can="no agent") or "")
    assert excluded("retry_task", "failed", can="no agent") == "no agent"
    assert excluded("cancel_task", "queued", "none", can="no agent") == "no agent"


def test_deleting_from_history_needs_neither_agent_nor_original() -> None:
    assert {"delete_task", "undelete_task"} == SERVER_ACTIONS
    assert excluded("delete_task", "failed", "none", is_retried=True, can="no agent") is None


# -- the account ---------------------------------------------------------------------------------------------------------
def test_stored_codes_of_items_never_change() -> None:
    assert {item.name: item.value for item in Item} == {
        "WAITING": 0, "SENT": 1, "DONE": 2, "CHANGED": 3, "REFUSED": 4, "FAILED": 5, "EXPIRED": 6, "UNKNOWN": 7, "ABORTED": 8,
    }  # fmt: skip


def test_every_answer_of_an_agent_ends_an_item() -> None:
    assert ITEM_OF == {
        "done": Item.DONE, "refused": Item.REFUSED, "unsupported": Item.REFUSED, "failed": Item.FAILED, "expired": Item.EXPIRED,
        "unknown": Item.UNKNOWN,
    }  # fmt: skip
    assert all(item >= Item.DONE for item in ITEM_OF.values())


def test_a_plan_goes_from_frozen_to_running_and_can_be_aborted_until_it_has_ended() -> None:
    assert {"frozen"} == plans.CAN_EXECUTE
    assert {"running"} == plans.CAN_PAUSE
    assert {"paused"} == plans.CAN_RESUME
    assert {"frozen", "running", "paused"} == plans.CAN_ABORT


def test_limits_of_a_plan() -> None:
    assert plans.MAX_ITEMS == 200_000
    assert plans.UNDO_US == 7 * 24 * 60 * MINUTE, "seven days"
    assert plans.LEVELS == ("next", "high", "normal", "low")


# -- the digest ----------------------------------------------------------------------------------------------------------
def digest(
    action: str = "retry_task", params: dict[str, Any] | None = None, nonce: str = "n", items: tuple[Any, ...] = ((1, 7, b"id"),)
) -> str:
    found = digest_of(action, params or {}, nonce)
    for item in items:
        add_item(found, *item)
    return found.hexdigest()


def test_what_was_confirmed_is_exactly_what_is_carried_out() -> None:
    """Another action, parameter, task, order or cut between fields is another digest."""
    same = digest()
    assert digest() == same
    others = [
        digest(action="cancel_task"), digest(params={"queue": "a"}), digest(nonce="m"), digest(items=()), digest(items=((2, 7, b"id"),)),
        digest(items=((1, 8, b"id"),)), digest(items=((1, 7, b"ie"),)), digest(items=((1, 7, b"id2 8 1 x"),)),
        digest(items=((1, 7, b"id"), (2, 8, b"x"))), digest(items=((2, 8, b"x"), (1, 7, b"id"))),
    ]  # fmt: skip
    assert len({same, *others}) == len(others) + 1


def test_the_order_of_parameters_does_not_matter() -> None:
    assert digest(params={"a": 1, "b": 2}) == digest(params={"b": 2, "a": 1})


def test_the_digest_is_sha256_so_that_a_stored_one_can_be_checked_by_any_release() -> None:
    text = b'["n", "retry_task", {"a": 1}]' + b"1 7 2 id"
    assert digest(params={"a": 1}) == hashlib.sha256(text).hexdigest()
