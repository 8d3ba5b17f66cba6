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


def test_dead_letters() -> None:
    minutes = [QueueMinute(0, 1, 1, 3)] * 30 + [QueueMinute(0, 1, 1, 9)]
    [found] = find(queue(*minutes, dead=9))
    assert (found.kind, found.text) == ("dead_letters", "6 more in the last hour, 9 in all")
    assert found.action is not None
    assert found.action.href.endswith("place=dead")
    assert find(queue(*minutes, dead=None)) == []
    assert find(queue(dead=0)) == []
