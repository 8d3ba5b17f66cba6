# SPDX-License-Identifier: AGPL-3.0-or-later
"""What no scheduler would hold is refused; what an edit would change is named, with both values."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.support.scheduling import schedule_request
from z4j.exceptions import BadInput
from z4j.operations.schedule_request import changes_of, placeholder_row, spec_of, validate_schedule


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""}, {"name": "x" * 201}, {"name": "two\nlines"}, {"task_name": ""}, {"task_name": "x" * 256}, {"catch_up": "some"},
        {"overlap": "maybe"}, {"jitter_s": -0.1}, {"jitter_s": 3_600.1}, {"jitter_s": float("nan")}, {"broker": "x" * 256},
        {"broker": "redis://a\x00"}, {"starts_at": 5, "ends_at": 5}, {"starts_at": 6, "ends_at": 5},
    ],
    ids=str,
)  # fmt: skip
def test_what_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"No changes were made\.$"):
        validate_schedule(schedule_request(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"name": "x" * 200}, {"name": "<b>Bericht</b> ☂"}, {"task_name": "x" * 255}, {"catch_up": "all", "overlap": "skip"},
        {"jitter_s": 3_600}, {"starts_at": 5}, {"ends_at": 5}, {"starts_at": 5, "ends_at": 6}, {"broker": "redis://a:6379/0"},
    ],
    ids=str,
)  # fmt: skip
def test_the_limits_themselves_are_allowed(changes: dict[str, Any]) -> None:
    validate_schedule(schedule_request(**changes))


def test_an_agent_is_told_what_its_scheduler_has_and_nothing_of_ours() -> None:
    spec = spec_of(schedule_request(catch_up="all", jitter_s=5, args=[1], priority=3), "nightly")
    assert (spec["key"], spec["args"], spec["priority"], spec["expression"]) == ("nightly", [1], 3, "60")
    assert spec.keys().isdisjoint({"catch_up", "overlap", "jitter_s", "starts_at", "ends_at", "app", "environment"})


def test_an_edit_names_what_it_would_change_with_both_values() -> None:
    asked = schedule_request()
    row = dataclasses.replace(placeholder_row(1, asked, "k"), args="[1]", kwargs='{"fast": true}')
    assert changes_of(row, asked) == {}
    edited = dataclasses.replace(asked, expression="90", is_enabled=False, args=[2], kwargs=None, jitter_s=1.5)
    assert changes_of(row, edited) == {
        "expression": ["60", "90"], "is_enabled": [True, False], "args": ["[1]", "[2]"], "jitter_s": [0.0, 1.5],
    }  # fmt: skip


def test_arguments_that_were_not_typed_stay_as_they_are() -> None:
    asked = schedule_request(args=None, kwargs=None)
    row = dataclasses.replace(placeholder_row(1, asked, "k"), args='["•••"]', kwargs='{"token": "•••"}')
    assert changes_of(row, asked) == {}


def test_of_another_scheduler_only_what_it_has_counts() -> None:
    asked = schedule_request(
        scheduler="celery_beat", catch_up="all", overlap="skip", starts_at=1, broker="b", jitter_s=9, args=None, kwargs=None
    )
    row = dataclasses.replace(placeholder_row(1, schedule_request(), "k"), scheduler="celery_beat")
    assert changes_of(row, asked) == {}
    assert changes_of(row, dataclasses.replace(asked, queue="bulk")) == {"queue": ["work", "bulk"]}


def test_of_a_new_one_it_is_named_what_it_is() -> None:
    assert changes_of(None, schedule_request()) == {
        "kind": [None, "interval"], "expression": [None, "60"], "timezone": [None, "UTC"], "task_name": [None, "shop.report"],
    }  # fmt: skip
