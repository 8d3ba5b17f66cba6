# SPDX-License-Identifier: Apache-2.0
"""How much waits. Huey's messages do not say when they were enqueued, so the oldest one's age cannot be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from z4j_agent import green
from z4j_agent.adapter import QueueInfo
from z4j_agent.guard import faults, let_through
from z4j_huey.brokers import identity_of, keep_fingerprint, place_of

if TYPE_CHECKING:
    from z4j_huey.capture import Capture


def list_queues(captures: Sequence[Capture]) -> list[QueueInfo]:
    """The queue of each Huey object, and the schedule beside it. One broker that cannot be reached does not hide the others'."""
    by_place = {place_of(capture.huey): capture for capture in reversed(captures)}
    found = []
    for capture in reversed(by_place.values()):
        try:
            found.append(_measure(capture))
        except Exception as error:
            if len(by_place) == 1:
                raise
            let_through(error)
            faults.report(f"what waits in {capture.huey.name}", error)
            found.append(QueueInfo(capture.huey.name, None, broker=identity_of(capture.huey)))
    return found


def _measure(capture: Capture) -> QueueInfo:
    """Huey keeps no list of consumers, and nothing that has failed."""
    huey = capture.huey
    depth, delayed = green.ask(capture.hub, lambda: (int(huey.pending_count()), int(huey.scheduled_count())))
    green.ask(capture.hub, lambda: keep_fingerprint(capture))
    return QueueInfo(huey.name, depth, delayed=delayed, broker=identity_of(huey))
