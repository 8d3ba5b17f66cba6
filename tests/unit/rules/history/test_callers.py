# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who sent a task, and what is more than it was."""

from __future__ import annotations

from z4j.rules.history.callers import UNKNOWN, Caller, Part, caller_of, compare


def test_a_schedule_comes_before_a_task_a_route_and_a_line_of_code() -> None:
    sent = {"route": "POST /orders", "code": "shop/views.py:31"}
    assert caller_of((7, "nightly"), "shop.root", sent) == Caller("schedule", "nightly", 7)
    assert caller_of(None, "shop.root", sent) == Caller("parent", "shop.root")
    assert caller_of(None, None, sent) == Caller("route", "POST /orders")
    assert caller_of(None, "", {"code": "shop/views.py:31", "priority": 4}) == Caller("code", "shop/views.py:31")
    assert caller_of(None, None, {"route": 5}) == UNKNOWN


def test_what_is_twice_as_much_is_marked_and_little_is_not() -> None:
    parts = compare({"a": 100, "b": 9, "c": 50}, {"a": 50, "c": 26, "gone": 70}, 10)
    assert list(parts) == ["a", "c", "b", "gone"]
    assert parts["a"] == Part(100, 50, True)
    assert not parts["b"].is_more  # too few
    assert not parts["c"].is_more  # not twice
    assert parts["gone"] == Part(0, 70, False)


def test_nothing_is_more_where_nothing_is_known_of_before() -> None:
    assert compare({"a": 100}, None, 10) == {"a": Part(100, None, False)}
    assert list(compare({"a": 1, "b": 2}, {"c": 3}, 2)) == ["b", "c"]  # the largest, now or before


def test_where_an_increase_begins() -> None:
    assert (UNKNOWN.kind, UNKNOWN.text, UNKNOWN.key) == ("", "", 0)
    assert caller_of(None, None, {"route": "", "code": "a.py:1"}) == Caller("code", "a.py:1")
    assert compare({"a": 10}, {}, 9)["a"] == Part(10, 0.0, True), "ten tasks where there were none"
    assert compare({"a": 9.9}, {}, 9)["a"].is_more is False
    assert compare({"a": 20}, {"a": 10}, 9)["a"].is_more, "exactly twice as many"
    assert compare({}, {"a": 0.0}, 9) == {"a": Part(0, 0.0, False)}
    assert compare({}, {"a": 70}, 9)["a"].now == 0
    assert list(compare({"b": 0.5, "c": 0.25}, {"a": 0.0, "d": 0.4}, 3)) == ["b", "c", "d"], "little is more than nothing"
    assert list(compare({"b": 0.5, "c": 0.25}, {"d": 0.75}, 2)) == ["b", "d"]
