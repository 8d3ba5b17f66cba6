# SPDX-License-Identifier: AGPL-3.0-or-later
"""When tasks are found to be missing in the broker, and dead letters to grow."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from tests.unit.rules.findings.examples import T, queue
from z4j.rules.findings.activity import QueueActivity, QueueMinute
from z4j.rules.findings.finding import Scope
from z4j.rules.findings.queue_losses import LEAST_DEAD, LEAST_MISSING, LEAST_SHARE, LEAST_UNACCOUNTED, find, queued_href
from z4j.rules.history.queue_ledger import Balance, Ledger, LedgerHour
from z4j.rules.rollups import HOUR_US

FULL, EMPTY = QueueMinute(400, 0, 0, 0), QueueMinute(0, 0, 0, 0)


def test_a_broker_that_was_emptied() -> None:
    [found] = find(queue(FULL, EMPTY, EMPTY, depth=0, queued=400))
    assert (found.kind, found.level) == ("broker_loss", "bad")
    assert found.text == "400 tasks were enqueued but not received; the broker has 0"
    assert "it had up to 400 within the last hour" in found.why
    assert find(queue(FULL, EMPTY, depth=0, queued=400)) == [], "one report may be older than the receipts"
    assert find(queue(FULL, EMPTY, EMPTY, depth=0, queued=400, reported_us=600_000_000)) == [], "an old report"
    assert find(queue(FULL, EMPTY, EMPTY, depth=0, queued=400, delayed=400)) == []
    assert find(queue(depth=None, queued=400)) == []
    assert find(queue(QueueMinute(398, 0, 0, 0), depth=398, queued=400)) == []
    assert [each.kind for each in find(queue(FULL, EMPTY, EMPTY, depth=0, queued=27, ahead=16))] == ["broker_loss"]
    assert find(queue(FULL, EMPTY, EMPTY, depth=0, queued=26, ahead=16)) == [], "workers may have taken them ahead"


def test_a_broker_that_was_emptied_is_found_at_the_second_look() -> None:
    now = queue(FULL, EMPTY, depth=0, queued=400)
    [found] = find(now, queue(FULL, EMPTY, depth=0, queued=400))
    assert found.kind == "broker_loss"
    assert find(now, queue(FULL, depth=400, queued=400)) == [], "the look before saw them in the broker"
    assert find(now, queue(FULL, EMPTY, depth=None, queued=400)) == []
    assert find(queue(FULL, EMPTY, depth=0, queued=0), now) == [], "their receipts have arrived"


def test_dead_letters() -> None:
    minutes = [QueueMinute(0, 1, 1, 3)] * 30 + [QueueMinute(0, 1, 1, 9)]
    [found] = find(queue(*minutes, dead=9))
    assert (found.kind, found.text) == ("dead_letters", "6 more in the last hour, 9 in total")
    assert found.action is not None
    assert found.action.href.endswith("place=dead")
    assert find(queue(*minutes, dead=None)) == []
    assert find(queue(dead=0)) == []


def test_what_an_empty_broker_does_not_have_is_unaccounted_for() -> None:
    busy = QueueMinute(0, 10, 10, 0)
    now = queue(busy, *(EMPTY,) * 15, depth=0, queued=4)
    [finding] = find(now)
    assert (finding.kind, finding.level, finding.title) == ("unaccounted", "warn", "Tasks of emails are unaccounted for")
    assert finding.text == "4 queued tasks have neither started nor ended and are not in the broker"
    assert finding.why.startswith("4 tasks are queued; the broker had at most 0 in the last 15 minutes.")
    assert finding.action is not None
    assert (finding.action.text, "since=" in finding.action.href) == ("Review 4 tasks…", False)
    assert finding.evidence[0].href.endswith("#ledger")
    first, last = LedgerHour(T - 2 * HOUR_US, 300, 3, 0, 0, 297), LedgerHour(T - HOUR_US, 100, 5, 0, 0, 95)
    [dated] = find(queue(busy, *(EMPTY,) * 15, depth=0, queued=8), None, Ledger((first, last)))
    assert dated.text.startswith("8 of 400 tasks enqueued between 09:06 and 11:06 UTC have neither started nor ended"), dated.text
    assert dated.since == first.at
    [exact] = find(now, None, Ledger((first, last), last.at + 5))
    assert exact.action is not None
    assert parse_qs(urlsplit(exact.action.href).query)["until"] == ["2026-11-18T10:06:00.000005Z"]
    [older] = find(queue(busy, *(EMPTY,) * 15, depth=0, queued=9), None, Ledger((last,)))
    assert (older.since, older.text[:15]) == (None, "9 queued tasks "), "some of them are older than the ledger"


def test_a_ledger_that_balances_or_cannot_be_judged() -> None:
    def kinds(*minutes: QueueMinute, **changes: int | bool | None) -> list[str]:
        return [found.kind for found in find(queue(*minutes, **({"depth": 0, "queued": 4} | changes)))]

    some, unknown = QueueMinute(1, 0, 0, 0), QueueMinute(None)
    assert kinds(EMPTY) == ["unaccounted"]
    assert kinds(EMPTY, queued=2) == [], "two may be on their way"
    assert kinds(EMPTY, QueueMinute(0, 2, 0, 0)) == [], "and so may what was enqueued meanwhile"
    assert kinds(EMPTY, some, *(EMPTY,) * 14) == ["unaccounted"], "three of them, at least"
    assert kinds(EMPTY, some, *(EMPTY,) * 14, queued=3) == [], "one was there a quarter of an hour ago"
    assert kinds(EMPTY, some, *(EMPTY,) * 15) == ["unaccounted"]
    assert kinds(unknown, *(EMPTY,) * 7) == [], "the broker reported too seldom"
    assert kinds(unknown, *(EMPTY,) * 8) == ["unaccounted"]
    for changes in ({"delayed": 4}, {"is_paused": True}, {"depth": 2}, {"reported_us": 91_000_000}, {"reported_us": None}):
        assert kinds(EMPTY, **changes) == []
    assert kinds(EMPTY, queued=1_000) == ["broker_loss"], "not twice"


def lost(*minutes: QueueMinute, before: QueueActivity | None = None, **changes: int | None) -> bool:
    fields = {"depth": 0, "queued": 400} | changes
    return [each.kind for each in find(queue(*minutes, **fields), before)] == ["broker_loss"]


def test_limits_are_those_of_the_documents() -> None:
    assert (LEAST_MISSING, LEAST_SHARE, LEAST_DEAD, LEAST_UNACCOUNTED) == (10, 0.2, 5, 3)


def test_the_last_two_reports_of_three_minutes_count() -> None:
    unknown = QueueMinute(None)
    assert lost(FULL, EMPTY, EMPTY, reported_us=90_000_000), "a report that is just fresh enough"
    assert lost(FULL, EMPTY, unknown, EMPTY)
    assert not lost(FULL, EMPTY, unknown, unknown, EMPTY), "the one before is older"
    assert not lost(FULL, FULL, unknown, EMPTY)
    assert not lost(FULL, unknown, unknown, EMPTY), "one report"
    assert lost(FULL, EMPTY, EMPTY, depth=320), "a fifth is missing"
    assert not lost(FULL, EMPTY, EMPTY, depth=321)


def test_a_look_before_that_saw_just_as_many_missing() -> None:
    def seen(depth: int | None, delayed: int | None = 0) -> QueueActivity:
        return queue(FULL, EMPTY, depth=depth, queued=400, delayed=delayed)

    assert lost(FULL, EMPTY, before=seen(320))
    assert not lost(FULL, EMPTY, before=seen(321))
    assert not lost(FULL, EMPTY, before=seen(None))
    assert lost(FULL, EMPTY, before=seen(320, None), delayed=None)
    assert not lost(FULL, EMPTY, before=seen(0), ahead=400), "workers may have taken them ahead"


def test_what_the_broker_had_before() -> None:
    def why(*minutes: QueueMinute) -> str:
        return find(queue(*minutes, depth=0, queued=400))[0].why

    some = QueueMinute(30, 0, 0, 0)
    assert "; it had up to 400 within the last hour." in why(EMPTY, some, FULL, some, *(EMPTY,) * 3)
    assert "had up to" not in why(*(EMPTY,) * 60)
    assert "had up to" not in why(*(QueueMinute(None),) * 58, EMPTY, EMPTY)
    [first] = find(queue(*(EMPTY,) * 58, some, EMPTY, depth=0, queued=400))
    assert "had up to" not in first.why, "the last two minutes are those that count as now"


def test_how_many_the_broker_had_at_most() -> None:
    def why(*minutes: QueueMinute, depth: int = 0, queued: int = 9) -> str:
        [found] = find(queue(*minutes, depth=depth, queued=queued))
        assert found.kind == "unaccounted"
        return found.why

    three = QueueMinute(3, 0, 0, 0)
    assert "at most 3 in the last 15 minutes" in why(EMPTY, three, *(EMPTY,) * 14)
    assert "at most 0 in the last 15 minutes" in why(EMPTY, three, *(EMPTY,) * 15)
    assert "at most 4 in the last 15 minutes" in why(*(three,) * 60, depth=4)


def test_weights_and_hours() -> None:
    def weight(queued: int) -> float:
        return find(queue(EMPTY, depth=0, queued=queued, ahead=0))[0].weight

    assert [weight(queued) for queued in (3, 9)] == [200, 200]
    hours = [Balance(LedgerHour(T - 3 * HOUR_US, 5, 5), 5), Balance(LedgerHour(T - 2 * HOUR_US, 5, 5), 5)]
    query = parse_qs(urlsplit(queued_href(Scope("shop"), "emails", hours)).query)
    assert (query["since"], query["until"]) == (["2026-11-18T08:06:00.000000Z"], ["2026-11-18T10:06:00.000000Z"])
    assert queued_href(Scope(), "a", []) == "/tasks?queue=a&state=queued"


def test_dead_letters_since_the_first_report_of_the_hour() -> None:
    minutes = [QueueMinute(0), *[QueueMinute(0, 1, 1, 3)] * 29, QueueMinute(0, 1, 1, 9)]
    [five] = find(queue(*minutes, dead=8))
    assert (five.text, five.weight) == ("5 more in the last hour, 8 in total", 140)
    assert find(queue(*minutes, dead=7)) == []
    assert find(queue(*[QueueMinute(0)] * 60, dead=9)) == [], "not reported before"
    assert find(queue(*minutes, dead=99_999_999))[0].weight == 400


def test_weights_and_the_first_report_and_the_last_hour() -> None:
    def weight(depth: int, queued: int) -> float:
        [found] = find(queue(QueueMinute(depth, 0, 0, 0), depth=depth, queued=queued))
        assert found.kind == "unaccounted"
        return found.weight

    assert [weight(60, 74), weight(10_000_000, 11_500_000)] == [240, 400]
    assert "; it had up to 30 within" in find(queue(*(EMPTY,) * 57, QueueMinute(30, 0, 0, 0), EMPTY, EMPTY, depth=0, queued=400))[0].why
    minutes = [QueueMinute(0, 1, 1, 3), *[QueueMinute(0, 1, 1, 4)] * 59]
    assert find(queue(*minutes, dead=9))[0].text == "6 more in the last hour, 9 in total"
    hours = tuple(LedgerHour(T - ago * HOUR_US, 9, 3, 0, 0, 6) for ago in (4, 3, 2))
    [dated] = find(queue(EMPTY, depth=0, queued=9), None, Ledger(hours))
    assert "enqueued between 07:06 and 10:06 UTC" in dated.text
    assert dated.action is not None
    assert parse_qs(urlsplit(dated.action.href).query)["until"] == ["2026-11-18T10:06:00.000000Z"]
