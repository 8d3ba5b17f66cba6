# SPDX-License-Identifier: AGPL-3.0-or-later
"""What was due between two looks happens at its own time, in order."""

from __future__ import annotations

from tests.unit.rules.alerts.examples import HOUR, MINUTE, SECOND, SHOP, T, at_once, match
from z4j.rules.alerts.alert_progress import STEPS, Progress


def test_between_two_looks_everything_happens_at_its_time() -> None:
    progress = Progress(at_once(for_s=60, reminder_s=120, escalate_s=300, escalate_to=(2,)), SHOP)
    assert progress.look({"a": match()}, T) == []
    steps = progress.look({"a": match()}, T + 6 * MINUTE + SECOND)
    assert [(step.at - T, step.messages) for step in steps] == [
        (MINUTE, ("fired",)), (3 * MINUTE, ("reminder",)), (5 * MINUTE, ("reminder",)), (6 * MINUTE, ("escalated",)),
    ]  # fmt: skip
    assert progress.last_fired_at == T + MINUTE


def test_a_finding_that_lasted_long_enough_fires_even_if_it_is_over_at_the_next_look() -> None:
    progress = Progress(at_once(for_s=60), SHOP)
    progress.look({"a": match()}, T + 55 * SECOND)
    steps = progress.look({}, T + 65 * SECOND)
    assert [(step.at - T, step.messages) for step in steps] == [(60 * SECOND, ("fired",)), (65 * SECOND, ("resolved",))]
    assert progress.alert is None


def test_one_that_comes_back_is_another_alert_after_the_cooldown() -> None:
    progress = Progress(at_once(cooldown_s=600), SHOP)
    assert [step.messages for step in progress.look({"a": match()}, T)] == [("fired",)]
    assert [step.messages for step in progress.look({}, T + MINUTE)] == [("resolved",)]
    [held] = progress.look({"a": match(since=T + 2 * MINUTE)}, T + 2 * MINUTE)
    assert (held.messages, held.alert.opened_at) == ((), T + 2 * MINUTE)
    [fired] = progress.look({"a": match(since=T + 2 * MINUTE)}, T + HOUR)
    assert (fired.messages, fired.at, progress.last_fired_at) == (("fired",), T + 10 * MINUTE, T + 10 * MINUTE)


def test_nothing_happens_without_findings() -> None:
    progress = Progress(at_once(), SHOP)
    assert progress.look({}, T) == []
    assert progress.look({}, T + HOUR) == []


def test_what_is_due_at_the_time_of_the_look_is_decided_with_its_findings() -> None:
    assert STEPS == 10_000
    progress = Progress(at_once(for_s=60), SHOP)
    progress.look({"a": match()}, T)
    assert progress.look({}, T + MINUTE) == [], "it was over at the moment at which it would have fired"
    assert progress.last_fired_at is None


def test_a_reminder_does_not_begin_another_cooldown() -> None:
    progress = Progress(at_once(reminder_s=60, cooldown_s=600), SHOP)
    progress.look({"a": match()}, T)
    [reminder] = progress.look({"a": match()}, T + MINUTE)
    assert (reminder.messages, progress.last_fired_at) == (("reminder",), T)
