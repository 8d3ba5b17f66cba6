# SPDX-License-Identifier: AGPL-3.0-or-later
"""A dry run fires when the server did: any findings, looked at every ten seconds or replayed afterwards."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.rules.alerts.examples import HOUR, MINUTE, SECOND, SHOP, T, at_once, match
from z4j.rules.alerts.alert_progress import Progress
from z4j.rules.alerts.dry_run import PastFinding, dry_run
from z4j.rules.alerts.quiet_hours import Maintenance
from z4j.rules.findings.finding import Scope

LOOK = 10 * SECOND
LOOKS = 400


def past(key: str, begun: int, ended: int | None, scope: Scope = SHOP, before: int = 0) -> PastFinding:
    return PastFinding(scope, match(key, begun - before, found_at=begun), ended)


def test_alerts_are_in_the_order_in_which_they_opened_and_by_app() -> None:
    blog = Scope("blog", "production", "celery")
    found = dry_run(
        at_once(), [past("a", T + MINUTE, T + HOUR), past("b", T, None, blog), past("c", T + 2 * MINUTE, T + HOUR)], T + 2 * HOUR
    )
    assert [(alert.scope.app, alert.fired_at, len(alert.items), alert.resolved_at) for alert in found.fired] == [
        ("blog", T, 1, None), ("shop", T + MINUTE, 2, T + HOUR),
    ]  # fmt: skip
    assert found.messages == 3


def test_what_was_over_before_it_was_due_never_fired() -> None:
    found = dry_run(at_once(for_s=600), [past("a", T, T + 5 * MINUTE)], T + HOUR)
    assert (found.fired, found.alerts, found.messages) == ((), (), 0)
    assert dry_run(at_once(), [], T) == dry_run(at_once(), iter(()), T + HOUR)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, LOOKS - 2), st.integers(1, 120), st.integers(0, 600)), max_size=8
    ),
    st.sampled_from([0, 7, 60, 333]), st.sampled_from([0, 90, 600]), st.sampled_from([0, 60, 601]), st.sampled_from([0, 100, 900]),
    st.lists(st.tuples(st.integers(0, LOOKS), st.integers(1, 100)), max_size=2),
)  # fmt: skip
@settings(deadline=None)
def test_a_replay_does_what_the_looks_did(
    findings: list[tuple[str, int, int, int]], for_s: int, cooldown_s: int, reminder_s: int, escalate_s: int, pauses: list[tuple[int, int]]
) -> None:
    rule = at_once(for_s=for_s, cooldown_s=cooldown_s, reminder_s=reminder_s, escalate_s=escalate_s, escalate_to=(2,) if escalate_s else ())
    maintenance = [Maintenance(Scope(), T + begin * LOOK, T + (begin + looks) * LOOK) for begin, looks in pauses]
    spans: dict[str, list[tuple[int, int]]] = {}
    known: list[PastFinding] = []
    for key, begin, looks, before in findings:  # of one key they follow one another
        if all(begin > end for _, end in spans.get(key, [])) or not spans.get(key):
            end = min(begin + looks, LOOKS)
            spans.setdefault(key, []).append((begin, end))
            known.append(past(key, T + begin * LOOK, T + end * LOOK if end < LOOKS else None, before=before * SECOND))
    progress, lived, messages = Progress(rule, SHOP), {}, 0
    for number in range(LOOKS):
        at = T + number * LOOK
        present = {
            each.match.key: each.match for each in known if each.match.found_at <= at and (each.ended_at is None or at < each.ended_at)
        }
        for step in progress.look(present, at, maintenance):
            lived[step.alert.opened_at] = step.alert
            messages += len(step.messages)
    replayed = dry_run(rule, known, T + (LOOKS - 1) * LOOK, maintenance)
    assert [(a.opened_at, a.fired_at, a.resolved_at, a.escalated_at) for a in replayed.alerts] == [
        (a.opened_at, a.fired_at, a.resolved_at, a.escalated_at) for _, a in sorted(lived.items())
    ]
    assert replayed.messages == messages
