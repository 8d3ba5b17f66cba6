# SPDX-License-Identifier: AGPL-3.0-or-later
"""When tasks are found to be missing in the broker, and dead letters to grow."""

from __future__ import annotations

from tests.unit.rules.findings.examples import queue
from z4j.rules.findings.activity import QueueMinute
from z4j.rules.findings.queue_losses import find

FULL, EMPTY = QueueMinute(400, 0, 0, 0), QueueMinute(0, 0, 0, 0)


def test_a_broker_that_was_emptied() -> None:
    [found] = find(queue(FULL, EMPTY, EMPTY, depth=0, queued=400))
    assert (found.kind, found.level) == ("broker_loss", "bad")
    assert found.text == "400 tasks were enqueued and not received, the broker has 0"
    assert "it had up to 400 within the last hour" in found.why
    assert find(queue(FULL, EMPTY, depth=0, queued=400)) == [], "one report may be older than the receipts"
    assert find(queue(FULL, EMPTY, EMPTY, depth=0, queued=400, reported_us=600_000_000)) == [], "an old report"
    assert find(queue(FULL, EMPTY, EMPTY, depth=0, queued=400, delayed=400)) == []
    assert find(queue(depth=None, queued=400)) == []
    assert find(queue(QueueMinute(395, 0, 0, 0), depth=395, queued=400)) == []


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
    assert (found.kind, found.text) == ("dead_letters", "6 more in the last hour, 9 in all")
    assert found.action is not None
    assert found.action.href.endswith("place=dead")
    assert find(queue(*minutes, dead=None)) == []
    assert find(queue(dead=0)) == []


def test_what_an_empty_broker_does_not_have_is_unaccounted_for() -> None:
    busy = QueueMinute(0, 10, 10, 0)
    [finding] = find(queue(busy, *(EMPTY,) * 15, depth=0, queued=4))
    assert (finding.kind, finding.level, finding.title) == ("unaccounted", "warn", "Tasks of emails are unaccounted for")
    assert finding.text == "4 were enqueued more than 15 minutes ago and not received, and the broker has had none since"
    assert finding.why.startswith("450 were enqueued in the last hour.")
    assert finding.action is not None
    assert finding.action.text == "Review 4 waiting tasks…"


def test_a_ledger_that_balances_or_cannot_be_judged() -> None:
    def kinds(*minutes: QueueMinute, **changes: int | bool | None) -> list[str]:
        return [found.kind for found in find(queue(*minutes, **({"depth": 0, "queued": 4} | changes)))]

    some, unknown = QueueMinute(1, 0, 0, 0), QueueMinute(None)
    assert kinds(EMPTY) == ["unaccounted"]
    assert kinds(EMPTY, queued=2) == [], "two may be on their way"
    assert kinds(EMPTY, QueueMinute(0, 2, 0, 0)) == [], "and so may what was enqueued meanwhile"
    assert kinds(EMPTY, some, *(EMPTY,) * 14) == [], "something was there a quarter of an hour ago"
    assert kinds(EMPTY, some, *(EMPTY,) * 15) == ["unaccounted"]
    assert kinds(unknown, *(EMPTY,) * 7) == [], "the broker reported too seldom"
    assert kinds(unknown, *(EMPTY,) * 8) == ["unaccounted"]
    for changes in ({"delayed": 4}, {"is_paused": True}, {"depth": 1}, {"reported_us": 91_000_000}, {"reported_us": None}):
        assert kinds(EMPTY, **changes) == []
    assert kinds(EMPTY, queued=1_000) == ["broker_loss"], "not twice"
