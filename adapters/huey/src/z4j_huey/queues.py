# SPDX-License-Identifier: Apache-2.0
"""Depths of queues. Huey's messages do not contain their time, so the age of the oldest one is unknown."""

from __future__ import annotations

from z4j_agent.capture.guard import faults, let_through
from z4j_agent.contract.adapter import QueueInfo
from z4j_agent.runtime import gevent_bridge
from z4j_huey.broker_identity import HueyPart, broker_key_of, identity_of, keep_fingerprint
from z4j_huey.state import HueyState


def _measure(state: HueyState) -> QueueInfo:
    """The state of a queue. Huey stores no list of consumers and no failed tasks."""
    huey = state.huey
    depth, delayed = gevent_bridge.ask(state.hub, lambda: (int(huey.pending_count()), int(huey.scheduled_count())))
    gevent_bridge.ask(state.hub, lambda: keep_fingerprint(state))
    return QueueInfo(huey.name, depth, delayed=delayed, broker=identity_of(huey))


class Queues(HueyPart):
    """Depths of the queues of this process's Huey objects."""

    def list_queues(self) -> list[QueueInfo]:
        """Returns the queue of each Huey object with its schedule. A broker that cannot be reached does not affect the others."""
        by_broker = {broker_key_of(state.huey): state for state in reversed(self.states)}
        queues = []
        for state in reversed(by_broker.values()):
            try:
                queues.append(_measure(state))
            except Exception as error:
                if len(by_broker) == 1:
                    raise
                let_through(error)
                faults.report(f"reading the queue {state.huey.name}", error)
                queues.append(QueueInfo(state.huey.name, None, broker=identity_of(state.huey)))
        return queues
