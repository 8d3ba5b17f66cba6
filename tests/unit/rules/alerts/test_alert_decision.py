# SPDX-License-Identifier: AGPL-3.0-or-later
"""What becomes of an alert: it fires, grows, reminds, escalates and is resolved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.unit.rules.alerts.examples import HOUR, MINUTE, SECOND, SHOP, T, at_once, match
from z4j.rules.alerts.alert_decision import Alert, Decision, Item, Match, decide, next_at
from z4j.rules.alerts.alert_rule import AlertRule
from z4j.rules.alerts.quiet_hours import Maintenance
from z4j.rules.findings.finding import Scope


def step(rule: AlertRule, alert: Alert | None, *matches: Match, at: int = T, last: int | None = None, maintenance: Any = ()) -> Decision:
    found = decide(rule, SHOP, alert, {each.key: each for each in matches}, at, last_fired_at=last, maintenance=maintenance)
    assert found is not None
    return found


def nothing(rule: AlertRule, *matches: Match, at: int) -> bool:
    return decide(rule, SHOP, None, {each.key: each for each in matches}, at, last_fired_at=None, maintenance=()) is None


def test_a_finding_fires_once_and_is_resolved_when_it_is_over() -> None:
    rule = at_once()
    fired, messages = step(rule, None, match())
    assert (messages, fired.opened_at, fired.fired_at, fired.level) == (("fired",), T, T, "bad")
    again, messages = step(rule, fired, match(), at=T + MINUTE)
    assert (again, messages) == (fired, ())
    over, messages = step(rule, again, at=T + HOUR)
    assert (messages, over.resolved_at, over.items[0].ended_at) == (("resolved",), T + HOUR, T + HOUR)


def test_a_finding_has_to_last() -> None:
    rule = at_once(for_s=120)
    assert nothing(rule, match(), at=T + 119 * SECOND)
    fired, messages = step(rule, None, match(), at=T + 120 * SECOND)
    assert (messages, fired.fired_at) == (("fired",), T + 120 * SECOND)
    late, _ = step(rule, None, match(found_at=T + HOUR), at=T + HOUR)
    assert late.fired_at == T + HOUR, "one that began long ago fires when it is found"
    assert nothing(rule, at=T)


def test_many_findings_are_one_message() -> None:
    rule = at_once()
    fired, messages = step(rule, None, *(match(f"f{n}") for n in range(200)))
    assert (messages, len(fired.items)) == (("fired",), 200)
    more, messages = step(rule, fired, *(match(f"f{n}") for n in range(201)), at=T + MINUTE)
    assert (messages, len(more.items), more.items[-1].joined_at) == ((), 201, T + MINUTE)
    fewer, messages = step(rule, more, match("f7"), at=T + 2 * MINUTE)
    assert (messages, len(fewer.open_items)) == ((), 1)
    back, messages = step(rule, fewer, match("f7"), match("f8"), at=T + 3 * MINUTE)
    assert (messages, len(back.open_items), len(back.items)) == ((), 2, 201)


def test_it_says_when_it_gets_worse_but_not_when_it_gets_better() -> None:
    rule = at_once()
    fired, _ = step(rule, None, match(level="warn"))
    worse, messages = step(rule, fired, match(level="warn"), match("b", level="bad"), at=T + MINUTE)
    assert (messages, worse.level) == (("worse",), "bad")
    better, messages = step(rule, worse, match(level="warn"), at=T + 2 * MINUTE)
    assert (messages, better.level) == ((), "bad")


def test_a_cooldown_and_maintenance_hold_it_back() -> None:
    rule = at_once(cooldown_s=300)
    held, messages = step(rule, None, match(), last=T - MINUTE)
    assert (messages, held.fired_at) == ((), None)
    fired, messages = step(rule, held, match(), at=T + 4 * MINUTE, last=T - MINUTE)
    assert (messages, fired.fired_at) == (("fired",), T + 4 * MINUTE)
    window = Maintenance(Scope("shop"), T + 3 * MINUTE, T + HOUR)
    held, messages = step(rule, held, match(), at=T + 5 * MINUTE, last=T - MINUTE, maintenance=[window])
    assert (messages, held.fired_at) == ((), None), "the cooldown ends during maintenance"
    fired, messages = step(rule, held, match(), at=T + 2 * HOUR, last=T - MINUTE, maintenance=[window])
    assert (messages, fired.fired_at) == (("fired",), T + HOUR)
    over, messages = step(rule, held, at=T + 6 * MINUTE)
    assert (messages, over.resolved_at) == ((), T + 6 * MINUTE), "an alert that was never announced ends without a message"


def test_reminders_come_until_somebody_acknowledges() -> None:
    rule = at_once(reminder_s=600)
    alert, _ = step(rule, None, match())
    reminded, messages = step(rule, alert, match(), at=T + 10 * MINUTE)
    assert (messages, reminded.reminded_at) == (("reminder",), T + 10 * MINUTE)
    assert step(rule, reminded, match(), at=T + 20 * MINUTE - 1).messages == ()
    after_a_pause, messages = step(rule, reminded, match(), at=T + 55 * MINUTE)
    assert (messages, after_a_pause.reminded_at) == (("reminder",), T + 50 * MINUTE)
    known = Alert(SHOP, T, "bad", reminded.items, T, acknowledged_at=T + MINUTE)
    assert step(rule, known, match(), at=T + HOUR).messages == ()


def test_an_alert_that_nobody_acknowledges_is_escalated_once() -> None:
    rule = at_once(escalate_s=900, escalate_to=(2,))
    alert, _ = step(rule, None, match())
    assert step(rule, alert, match(), at=T + 15 * MINUTE - 1).messages == ()
    escalated, messages = step(rule, alert, match(), at=T + 15 * MINUTE)
    assert (messages, escalated.escalated_at) == (("escalated",), T + 15 * MINUTE)
    assert step(rule, escalated, match(), at=T + HOUR).messages == ()
    known = Alert(SHOP, T, "bad", alert.items, T, acknowledged_at=T + MINUTE)
    assert step(rule, known, match(), at=T + HOUR).messages == ()


def following(rule: AlertRule, alert: Alert | None, *matches: Match, last: int | None = None, maintenance: Any = ()) -> int | None:
    return next_at(rule, alert, matches, last_fired_at=last, maintenance=maintenance)


def test_the_next_time_is_when_something_happens_by_itself() -> None:
    rule = at_once(for_s=60, reminder_s=600, escalate_s=900, escalate_to=(2,))
    assert following(rule, None) is None
    assert following(rule, None, match(), match("b", T - SECOND)) == T + 59 * SECOND
    alert, _ = step(rule, None, match(), at=T + MINUTE)
    assert following(rule, alert, match()) == T + 11 * MINUTE
    assert following(rule, alert, match(), match("b", T + MINUTE)) == T + 2 * MINUTE
    reminded, _ = step(rule, alert, match(), at=T + 11 * MINUTE)
    assert following(rule, reminded, match()) == T + 16 * MINUTE
    held, _ = step(at_once(cooldown_s=300), None, match(), last=T - MINUTE)
    assert following(at_once(cooldown_s=300), held, match(), last=T - MINUTE) == T + 4 * MINUTE
    window = [Maintenance(Scope(), T, T + HOUR)]
    assert following(at_once(), held, match(), maintenance=window) == T + HOUR
    known = Alert(SHOP, T, "bad", alert.items, T, acknowledged_at=T)
    assert following(rule, known, match()) is None


def test_what_is_next_without_an_escalation_and_without_findings() -> None:
    fired = Alert(SHOP, T, "bad", (Item(match(), T),), T)
    assert next_at(at_once(), fired, [match()], last_fired_at=None, maintenance=()) is None
    assert next_at(at_once(escalate_s=60, escalate_to=(1,)), fired, [match()], last_fired_at=None, maintenance=()) == T + MINUTE
    assert (
        next_at(at_once(escalate_s=60, escalate_to=(1,)), replace(fired, escalated_at=T), [match()], last_fired_at=None, maintenance=())
        is None
    )
    over = replace(fired, items=(Item(match(), T, T + 1),), fired_at=None)
    assert next_at(at_once(cooldown_s=600), over, [], last_fired_at=None, maintenance=()) is None, "nothing is open"
    assert fired.acknowledged_by == ""


def test_an_alert_opens_with_the_first_of_its_findings() -> None:
    opened, _ = step(at_once(for_s=60), None, match("a", since=T), match("b", since=T + 30 * SECOND), at=T + 90 * SECOND)
    assert opened.opened_at == T + MINUTE
