# SPDX-License-Identifier: Apache-2.0
"""How much waits. Huey's messages do not say when they were enqueued, so the oldest one's age cannot be told."""

from __future__ import annotations

from z4j_agent.capture.guard import faults, let_through
from z4j_agent.contract.adapter import QueueInfo
from z4j_agent.runtime import gevent_bridge
from z4j_huey.broker_identity import HueyPart, broker_key_of, identity_of, keep_fingerprint
from z4j_huey.state import HueyState


def _measure(state: HueyState) -> QueueInfo:
    """Huey keeps no list of consumers, and nothing that has failed."""
    huey = state.huey
    depth, delayed = gevent_bridge.ask(state.hub, lambda: (int(huey.pending_count()), int(huey.scheduled_count())))
    gevent_bridge.ask(state.hub, lambda: keep_fingerprint(state))
    return QueueInfo(huey.name, depth, delayed=delayed, broker=identity_of(huey))


class Queues(HueyPart):
    """What waits for the Huey objects of this process."""

    def list_queues(self) -> list[QueueInfo]:
        """The queue of each Huey object, and the schedule beside it. One broker that cannot be reached does not hide the others'."""
        by_broker = {broker_key_of(state.huey): state for state in reversed(self.states)}
        queues = []
        for state in reversed(by_broker.values()):
            try:
                queues.append(_measure(state))
            except Exception as error:
                if len(by_broker) == 1:
                    raise
                let_through(error)
                faults.report(f"what waits in {state.huey.name}", error)
                queues.append(QueueInfo(state.huey.name, None, broker=identity_of(state.huey)))
        return queues
