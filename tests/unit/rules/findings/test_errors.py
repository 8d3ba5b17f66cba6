# SPDX-License-Identifier: AGPL-3.0-or-later
"""Groups of failures that are new, came back or rise; and which findings of task names they explain."""

from __future__ import annotations

import random
from bisect import bisect_left
from dataclasses import replace
from typing import Any

from tests.unit.rules.findings.examples import SHOP, USUAL, T, name
from z4j.rules.findings.activity import Counts
from z4j.rules.findings.errors import MOST, ErrorActivity, find
from z4j.rules.findings.finding import Link, Scope, key_of
from z4j.rules.rollups import DAY_US, HOUR_US, MINUTE_US

SECOND = 1_000_000
SUBJECT = (SHOP, "emails.send")


def error(failures: int = 14, every_s: int = 20, **changes: Any) -> ErrorActivity:
    newest = tuple(T - 10 * SECOND - n * every_s * SECOND for n in range(failures))
    fields: dict[str, Any] = {
        "id": 7, "app": "shop", "error_type": "ConnectionError", "message": "no route to *", "state": "unresolved",
        "first_at": min(newest, default=T), "last_at": max(newest, default=T), "hours": (0,) * 23 + (failures,), "newest": newest,
        "releases": ("2.1",) * min(failures, 20), "has_releases": True, "names": {SUBJECT: failures},
    }  # fmt: skip
    return ErrorActivity(**(fields | changes))


def old(failures: int = 14, hourly: int = 2, **changes: Any) -> ErrorActivity:
    return error(failures, first_at=T - 9 * DAY_US, hours=(hourly,) * 23 + (failures,), **changes)


def test_a_new_group_with_its_release() -> None:
    finding = find(error(), {}, T)
    assert finding is not None
    assert (finding.kind, finding.subject, finding.level, finding.scope) == ("error", "7", "bad", SHOP)
    assert finding.title == "ConnectionError in emails.send"
    assert finding.text == "new, 14 failures in the last hour; the newest 14 are all on release 2.1"
    assert finding.why == "no route to * · first seen within the last hour"
    assert finding.since == T - 10 * SECOND - 13 * 20 * SECOND
    assert finding.action == ("Review 14 and retry…", "/errors/7", "operator")
    assert finding.evidence[0] == Link("the error", "/errors/7"), "who may not retry may look at it"
    assert find(error(4), {}, T) is None
    assert find(error(5), {}, T) is not None


def test_releases_that_differ_or_are_not_known_are_not_named() -> None:
    for changes in ({"releases": ("2.1", "2.0")}, {"releases": ("2.1", "")}, {"releases": ()}, {"has_releases": False}):
        finding = find(error(**changes), {}, T)
        assert finding is not None
        assert finding.text == "new, 14 failures in the last hour"


def test_an_old_group_is_found_when_it_rises_or_came_back() -> None:
    rising = find(old(), {}, T)
    assert rising is not None
    assert (rising.text.partition(",")[0], rising.level, rising.since) == ("rising", "warn", None)
    assert rising.why.endswith("usually 2 per hour, in the last 22 hours")
    assert find(old(14, hourly=5), {}, T) is None, "14 is less than three times 5"
    assert find(old(9), {}, T) is not None
    assert find(old(8), {}, T) is None, "2 in most hours, and now and then 8"
    assert find(old(8, hourly=0), {}, T) is not None
    assert find(old(7, hourly=0), {}, T) is None
    back = find(old(14, hourly=5, state="regressed"), {}, T)
    assert back is not None
    assert back.text.startswith("regressed, 14 failures")
    assert find(old(50), {}, T).level == "bad"  # type: ignore[union-attr]


def test_an_evening_with_more_failures_than_a_day_has_is_not_rising() -> None:
    """A night of eleven hours, five hours of four failures, and the same again now: nine are within chance, fourteen are not."""
    evening = (4,) * 5 + (1,) * 6 + (0,) * 11
    seen = {failures: find(replace(old(failures), hours=(*evening, 4, failures)), {}, T) for failures in (9, 12, 13, 14)}
    assert [failures for failures, finding in seen.items() if finding] == [13, 14]
    once = replace(old(14), hours=(90, *(0,) * 21, 0, 14))
    assert find(once, {}, T) is None, "an hour of a known cause this morning is one of the busiest"
    assert find(replace(once, hours=(9, *(0,) * 21, 0, 14)), {}, T) is not None


def test_it_is_over_when_no_failure_follows() -> None:
    frequent = error(30, every_s=10)
    assert find(frequent, {}, frequent.last_at + 5 * MINUTE_US) is not None
    assert find(frequent, {}, frequent.last_at + 5 * MINUTE_US + 200 * SECOND) is None
    rare = error(6, every_s=500)
    assert find(rare, {}, rare.last_at + 6 * MINUTE_US) is not None


def test_more_failures_than_are_looked_at() -> None:
    finding = find(error(MOST, every_s=1, hours=(0,) * 22 + (700, 473)), {}, T)
    assert finding is not None
    assert finding.text.startswith("new, over 1,173 failures in the last hour")


def test_groups_without_an_exception_are_left_to_other_rules() -> None:
    for word in ("unknown_task", "lost"):
        assert find(error(error_type=word), {}, T) is None


def test_the_scope_is_what_its_names_have_in_common() -> None:
    names = {SUBJECT: 3, (Scope("shop", "staging", "celery"), "emails.other"): 9}
    finding = find(error(names=names), {}, T)
    assert finding is not None
    assert (finding.title, finding.scope) == ("ConnectionError in emails.other and 1 more name", Scope("shop", "", "celery"))
    nowhere = find(error(names={}), {}, T)
    assert nowhere is not None
    assert (nowhere.title, nowhere.scope) == ("ConnectionError in shop", Scope("shop"))


def test_a_name_whose_failures_are_this_group_is_explained() -> None:
    key = key_of("failing_more", *SUBJECT)
    few, many = name(Counts(10, 10, 1)), name(Counts(10, 10, 2))  # 15 and 30 failures in the last hour
    for activity, explains in ((few, (key,)), (many, ())):
        finding = find(error(), {SUBJECT: activity}, T)
        assert finding is not None
        assert finding.explains == explains
    assert find(error(first_at=T - HOUR_US), {}, T) is not None


def test_a_message_that_kills_each_process_counts_by_its_attempts() -> None:
    poison = error(1, error_type="child_killed", message="", hours=(0,) * 22 + (1, 3))
    finding = find(poison, {}, T)
    assert finding is not None
    assert (finding.kind, finding.subject, finding.scope, finding.level) == ("killed", "emails.send", SHOP, "bad")
    assert (finding.title, finding.text) == ("emails.send kills its worker process", "4 times in this hour and the previous one")
    assert finding.explains == (key_of("failing_more", *SUBJECT),)
    assert find(poison, {}, poison.last_at + 15 * MINUTE_US) is not None
    assert find(poison, {}, poison.last_at + 15 * MINUTE_US + 1) is None
    assert find(error(1, error_type="child_killed", hours=(9,) * 22 + (0, 1)), {}, T) is None
    assert find(error(1, error_type="child_killed", hours=(0,) * 23 + (2,), names={}), {}, T) is None


def test_kills_are_over_when_none_is_delivered_again_and_others_run() -> None:
    kills = tuple(T - 36 * SECOND - n * 12 * SECOND for n in range(4))
    poison = error(1, error_type="child_killed", hours=(0,) * 23 + (4,), newest=kills, first_at=kills[-1], last_at=kills[0])
    names = {SUBJECT: name()}
    assert find(poison, names, T) is None
    assert find(poison, names, T - SECOND) is not None, "three times the mean time between two"
    assert find(poison, {}, T) is not None, "nothing shows that workers run again"
    assert find(poison, {SUBJECT: name(Counts(0, 0, 0))}, T) is not None
    assert find(replace(poison, unended=1), names, T) is not None, "it is delivered again"


def test_a_group_is_over_when_much_fewer_fail_than_at_its_worst() -> None:
    def found(latest: Counts = USUAL, since: tuple[int, ...] = (), failures: int = 14, **changes: Any) -> bool:
        newest = (*since, *(T - (200 + n * 10) * SECOND for n in range(failures)))
        group = error(newest=newest, first_at=newest[-1], last_at=newest[0], **changes)
        return find(group, {SUBJECT: name(Counts(10, 10, 3), latest)}, T + 30 * SECOND) is not None

    assert not found(), "twenty runs, of which a third was to fail"
    assert not found(since=(T + 20 * SECOND,)), "one of them did"
    assert found(since=(T + 20 * SECOND, *(T - n * SECOND for n in range(9)))), "a fourth of them did"
    assert found(latest=Counts(0, 0, 0)), "nothing ran since"
    assert found(failures=4, hours=(0,) * 23 + (9,), since=(T - 190 * SECOND,)), "it was never so frequent that its absence says much"
    assert found(names={(SHOP, "other"): 14}), "nothing is known of its runs"


def test_a_quiet_week_of_sporadic_errors_raises_less_than_one_finding_a_day() -> None:
    """Thirty known errors, each with a rate of its own, looked at every ten minutes."""
    chance, begun = random.Random(5), 0
    for _ in range(30):
        rate = chance.choice((0.2, 0.5, 0.8, 1.5, 3, 8, 20))
        times = sorted(chance.uniform(0, 8 * DAY_US) for _ in range(int(rate * 8 * 24)))
        was_found = False
        for at in range(DAY_US, 8 * DAY_US, 10 * MINUTE_US):
            newest = times[bisect_left(times, at - HOUR_US) : bisect_left(times, at)][::-1][:MOST]
            first = at // HOUR_US - 23
            hours = [0] * 24
            for time in times[bisect_left(times, first * HOUR_US) : bisect_left(times, at)]:
                hours[int(time // HOUR_US) - first] += 1
            last_at = int(max(newest, default=0))
            seen = error(newest=tuple(map(int, newest)), hours=tuple(hours), first_at=0, last_at=last_at)
            is_found = find(seen, {}, at) is not None
            begun, was_found = begun + (is_found and not was_found), is_found
    assert begun <= 7
