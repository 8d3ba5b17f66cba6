# SPDX-License-Identifier: AGPL-3.0-or-later
"""Groups of failures that are new, came back or rise; and which findings of task names they explain."""

from __future__ import annotations

import random
from bisect import bisect_left
from dataclasses import replace
from typing import Any

import pytest

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


# -- limits and words, each at its edge ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("earlier", "limit"),
    [
        ((0,) * 22, 8),  # bursts of a rare error
        ((10,) * 22, 30),  # three times the median
        ((10, 30) * 11, 80),  # six absolute deviations (10) above the median (20)
        ((25,) * 5 + (0,) * 17, 46),  # 25 in the busiest quarter of the hours, and four times the square root of 26
        ((25,) * 4 + (0,) * 18, 39),  # 20 in the busiest quarter, and four times the square root of 21
    ],
)
def test_a_known_group_rises_at_its_limit(earlier: tuple[int, ...], limit: int) -> None:
    for failures, is_found in ((limit - 1, False), (limit, True)):
        group = replace(old(failures, every_s=5), hours=(*earlier, 90, failures))
        assert (find(group, {}, T) is not None) is is_found, failures


def test_new_is_what_was_first_seen_within_an_hour() -> None:
    for first_at, word in ((T - HOUR_US, "new"), (T - HOUR_US - 1, "rising")):
        finding = find(error(first_at=first_at), {}, T)
        assert finding is not None
        assert finding.text.startswith(f"{word}, 14 failures")
        assert (finding.level, finding.since) == (("bad", first_at) if word == "new" else ("warn", None))
        assert finding.weight == (420 if word == "new" else 360)
    again = find(error(state="regressed"), {}, T)
    assert again is not None
    assert again.text.startswith("new, "), "a group that is new has not come back"


@pytest.mark.parametrize(("failures", "level"), [(49, "warn"), (50, "bad")])
def test_fifty_failures_of_a_known_group_are_bad(failures: int, level: str) -> None:
    finding = find(old(failures, hourly=0), {}, T)
    assert finding is not None
    assert finding.level == level


@pytest.mark.parametrize(
    ("read", "hours", "text", "weight"),
    [
        (499, (9_000, 9_000, 9_000), "499 failures", 460),
        (500, (9_000, 300, 400), "over 700 failures", 460),
        (500, (9_000, 10, 10), "over 500 failures", 460),
        (500, (9_000, 1_000, 0), "over 1,000 failures", 500),
        (500, (9_000, 10_000, 5), "over 10,005 failures", 540),
        (500, (9_000, 100_000, 0), "over 100,000 failures", 560),  # no more than that
    ],
)
def test_with_five_hundred_failures_whole_hours_count(read: int, hours: tuple[int, ...], text: str, weight: int) -> None:
    finding = find(error(read, every_s=1, hours=(0,) * 21 + hours, has_releases=False), {}, T)
    assert finding is not None
    assert (finding.text, finding.weight) == (f"new, {text} in the last hour", weight)


@pytest.mark.parametrize(
    ("failures", "every_s", "quiet_s"),
    [
        (30, 10, 300),  # frequent: five minutes
        (8, 400, 1_680),  # rare: at 1,680 s the mean time between two is 560 s
    ],
)
def test_the_finding_ends_after_the_longer_of_two_times(failures: int, every_s: int, quiet_s: int) -> None:
    group = error(failures, every_s=every_s)
    assert find(group, {}, group.last_at + quiet_s * SECOND) is not None
    assert find(group, {}, group.last_at + quiet_s * SECOND + SECOND) is None


def test_the_name_with_the_most_failures_is_first_and_of_equal_ones_the_first_by_name() -> None:
    scopes = {"b.two": 3, "a.one": 3, "c.most": 5, "d.least": 1}
    finding = find(error(names={(SHOP, name): count for name, count in scopes.items()}), {}, T)
    assert finding is not None
    assert finding.title == "ConnectionError in c.most and 3 more names"
    assert [link.text for link in finding.evidence] == ["the error", "failed c.most", "failed a.one"]
    killed = find(error(2, error_type="child_killed", hours=(0,) * 22 + (1, 1), names={(SHOP, "b"): 2, (SHOP, "a"): 2}), {}, T)
    assert killed is not None
    assert killed.subject == "a"


def test_long_messages_are_cut_and_without_one_nothing_is_said_of_it() -> None:
    for message, why in (("x" * 161, "x" * 160 + " · first seen"), ("", "first seen")):
        finding = find(error(message=message), {}, T)
        assert finding is not None
        assert finding.why == f"{why} within the last hour"


@pytest.mark.parametrize(
    ("failures", "others", "bad", "is_explained"),
    [(12, 0, 15, True), (11, 0, 15, False), (12, 12, 7, True), (12, 12, 8, False), (14, 0, 0, True)],
)
def test_a_name_is_explained_by_four_fifths_of_its_failures(failures: int, others: int, bad: int, is_explained: bool) -> None:
    """`others`: failures of the group under another name."""
    whole = (Counts(90, 90, bad), *(Counts(),) * 59)
    names = {SUBJECT: failures} | ({(SHOP, "other"): others} if others else {})
    finding = find(error(failures, names=names), {SUBJECT: replace(name(), minutes=whole)}, T)
    assert finding is not None
    assert finding.explains == ((key_of("failing_more", *SUBJECT),) if is_explained else ())


def test_a_name_is_explained_by_whole_hours_where_more_failed_than_are_read() -> None:
    activity = replace(name(), minutes=(Counts(900, 900, 800), *(Counts(),) * 59))
    for hours, is_explained in (((9_000, 300, 340), True), ((9_000, 300, 339), False)):
        finding = find(error(MOST, every_s=1, hours=(0,) * 21 + hours), {SUBJECT: activity}, T)
        assert finding is not None
        assert bool(finding.explains) is is_explained
    assert not find(error(499, every_s=1, hours=(0,) * 22 + (300, 340)), {SUBJECT: activity}, T).explains  # type: ignore[union-attr]


# -- a group that is over ----------------------------------------------------------------------------------------------------
def is_over(ended: dict[int, int], failed: dict[int, int], *, usual: int = 10, late: tuple[int, ...] = ()) -> bool:
    """`ended` and `failed`: runs and failures of this group by minute, 0 for the newest; `usual`: runs in every other minute.
    `late`: seconds after the newest minute began, of failures that the runs do not show yet."""
    minutes = tuple(Counts(ended.get(ago, usual), ended.get(ago, usual)) for ago in reversed(range(60)))
    newest = tuple(sorted((
        *(T + second * SECOND for second in late), *(T - ago * MINUTE_US + 1 for ago, count in failed.items() for _ in range(count))
    ), reverse=True))  # fmt: skip
    group = error(newest=newest, first_at=newest[-1], last_at=newest[0])
    return find(group, {SUBJECT: replace(name(), minutes=minutes)}, max(T + SECOND, newest[0])) is None


@pytest.mark.parametrize("newest", [2, 4, 8, 15])
def test_twenty_runs_without_a_failure_in_the_newest_minutes_end_it(newest: int) -> None:
    """All runs of the four minutes before these failed. One failure now shows that it is not the silence that ends it."""
    failed = dict.fromkeys(range(newest, newest + 4), 10) | {0: 1}
    for runs, ends in ((20, True), (19, False)):
        ended = dict.fromkeys(range(newest), 0) | {newest - 1: runs}
        assert is_over(ended, failed) is ends, runs


def test_six_failures_have_to_be_missing() -> None:
    """Three of ten runs failed in each of four minutes, so that six of the newest twenty were to fail."""
    assert is_over({}, {2: 3, 3: 3, 4: 3, 5: 3})
    assert not is_over({}, {2: 3, 3: 3, 4: 3, 5: 2})


@pytest.mark.parametrize(("failures", "ends"), [(5, True), (6, False)])
def test_a_fourth_of_what_was_to_fail_may_fail(failures: int, ends: bool) -> None:
    before = dict.fromkeys(range(2, 6), 10)
    assert is_over({}, before | {0: failures}) is ends
    assert is_over({}, before | {1: failures}) is ends
    assert is_over({}, before, late=(9,) * failures) is ends
    assert is_over({}, before, late=(90,) * failures) is ends, "the activity of the name is older than the failure"
    assert is_over(dict.fromkeys(range(2, 60), 0), before | {0: failures}) is ends, "at most every run was to fail"


def test_the_worst_minutes_are_four_in_a_row_with_five_failures() -> None:
    quiet_since = dict.fromkeys(range(2, 16), 0) | dict.fromkeys(range(16, 20), 100)
    assert is_over(quiet_since, {20: 3, 21: 3, 22: 3, 23: 3, 0: 1}), "many runs after it and before it change nothing"
    assert is_over(dict.fromkeys(range(2, 60), 0), {59: 5, 0: 1}), "the oldest minutes count"
    assert is_over(dict.fromkeys(range(2, 60), 0) | {2: 5}, {2: 5}), "and those right before the newest"
    assert not is_over(dict.fromkeys(range(2, 60), 0) | {2: 4}, {2: 4, 0: 1}), "four failures are too few to expect any"
    assert not is_over(dict.fromkeys(range(2, 60), 0), {60: 9, 0: 1}), "failures before the first of these minutes are not compared"


def test_runs_of_all_names_of_the_group_count() -> None:
    other = (SHOP, "emails.other")
    newest = tuple(T - 3 * MINUTE_US + second * SECOND for second in range(20, 0, -1))
    group = error(newest=newest, first_at=newest[-1], last_at=newest[0], names={SUBJECT: 10, other: 10, (SHOP, "gone"): 1})
    each = replace(name(), minutes=(Counts(0, 0),) * 56 + (Counts(10, 10),) * 2 + (Counts(5, 5),) * 2)
    assert find(group, {SUBJECT: each, other: each}, T + SECOND) is None
    assert find(group, {SUBJECT: each}, T + SECOND) is not None


# -- killed processes ----------------------------------------------------------------------------------------------------------
def kills(*hours: int, **changes: Any) -> ErrorActivity:
    return error(2, **({"error_type": "child_killed", "hours": (0,) * (24 - len(hours)) + hours} | changes))


def test_two_kills_in_two_hours_are_reported_and_how_much_they_weigh() -> None:
    assert find(kills(1, 1), {}, T) is not None
    assert find(kills(9, 1, 0), {}, T) is None, "hours before these do not count"
    for count, weight in ((2, 660), (11, 840), (12, 850)):
        finding = find(kills(count), {}, T)
        assert finding is not None
        assert (finding.text, finding.weight) == (f"{count} times in this hour and the previous one", weight)
        assert (finding.curve[-1], finding.action) == (count, Link("Review these tasks…", "/errors/7"))


def test_since_when_it_is_known_for_an_hour() -> None:
    for first_at, since in ((T - HOUR_US, T - HOUR_US), (T - HOUR_US - 1, None)):
        finding = find(kills(2, first_at=first_at), {}, T)
        assert finding is not None
        assert finding.since == since


@pytest.mark.parametrize(
    ("killed_s", "ran", "ends"),
    [
        (-36, {1: Counts(1, 1)}, True),  # in the minute of the last kill
        (-36, {2: Counts(9, 9)}, False),  # before it
        (-36, {0: Counts(5, 5, 5)}, False),  # all of them failed
        (5, {0: Counts(1, 1)}, True),
        (5, {1: Counts(9, 9)}, False),  # the newest minute is the one of the kill
        (65, {0: Counts(1, 1)}, True),  # runs are known until before the kill
        (65, {1: Counts(9, 9)}, False),
    ],
)
def test_only_runs_since_the_last_kill_show_that_workers_run_again(killed_s: int, ran: dict[int, Counts], ends: bool) -> None:
    newest = (T + killed_s * SECOND, T + killed_s * SECOND - SECOND)
    group = kills(2, newest=newest, first_at=newest[-1], last_at=newest[0])
    minutes = tuple(ran.get(ago, Counts()) for ago in reversed(range(60)))
    assert (find(group, {SUBJECT: replace(name(), minutes=minutes)}, newest[0] + 40 * SECOND) is None) is ends


def test_a_single_kill_that_is_known_by_its_time_is_not_over() -> None:
    newest = (T - 36 * SECOND,)
    assert find(kills(2, newest=newest, last_at=newest[0]), {SUBJECT: name()}, T + MINUTE_US) is not None
    pair = (T - 36 * SECOND, T - 38 * SECOND)
    assert find(kills(2, newest=pair, last_at=pair[0]), {SUBJECT: name()}, T + MINUTE_US) is None
