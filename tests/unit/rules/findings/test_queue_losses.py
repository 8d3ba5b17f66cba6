# SPDX-License-Identifier: AGPL-3.0-or-later
"""When tasks are found to be missing in the broker, and dead letters to grow."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from tests.unit.rules.findings.examples import T, queue
from z4j.rules.findings.activity import QueueMinute
from z4j.rules.findings.queue_losses import find
from z4j.rules.history.queue_ledger import Ledger, LedgerHour
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
