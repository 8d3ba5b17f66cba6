# SPDX-License-Identifier: Apache-2.0
"""Pausing a queue: a worker leaves it as with Celery's `cancel_consumer`, and consumes it again as with `add_consumer`."""

from __future__ import annotations

from typing import Any

from z4j_agent.commands.paused_queues import paused_queues_of
from z4j_agent.contract.adapter import Refused
from z4j_celery.apps import identity_of
from z4j_celery.messages import ENGINE
from z4j_celery.state import AppState, CeleryPart
from z4j_celery.worker_commands import consume, consumed, leave, worker_of


def reapply_pauses(state: AppState) -> None:
    """Applies stored pauses to a worker that has just started."""
    for queue in paused_queues_of(ENGINE).queues(identity_of(state.app)) & set(consumed(state.consumer)):
        state.paused.add(queue)
        leave(state, queue)


class PauseCommands(CeleryPart):
    """Pauses and resumes queues of this process's worker."""

    def pause_queue(self, queue: str) -> dict[str, Any]:
        """Pauses a queue in one broker, or in every broker if none is named. Raises Unsupported, Refused."""
        state, broker = self.first, self.only
        paused_queues, own = paused_queues_of(ENGINE), identity_of(state.app)
        is_its = queue in consumed(worker_of(state)) or queue in state.paused or paused_queues.is_paused(queue, own)
        if broker not in ("", own) or not is_its:
            raise Refused(f"this worker does not take from {queue}{f' in {broker[:120]}' if broker else ''}", check="queue.unknown")
        paused_queues.pause(queue, broker)
        state.paused.add(queue)
        leave(state, queue)
        return {"note": "tasks that this worker has prefetched still run"}

    def resume_queue(self, queue: str) -> dict[str, Any]:
        """Resumes a queue. Another worker of this host may have stored that already. Raises Unsupported, Refused."""
        state, broker = self.first, self.only
        paused_queues, own = paused_queues_of(ENGINE), identity_of(state.app)
        worker_of(state)
        if broker not in ("", own):
            raise Refused(f"this worker does not use the broker {broker[:120]}", check="broker.unknown")
        if paused_queues.is_paused(queue, own):
            state.paused.add(queue)
        paused_queues.resume(queue, broker)
        if queue in state.paused and not paused_queues.is_paused(queue, own):
            state.paused.discard(queue)
            consume(state, queue)
        return {}
