# SPDX-License-Identifier: Apache-2.0
"""How much waits. Huey's messages do not say when they were enqueued, so the oldest one's age cannot be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from z4j_agent import green
from z4j_agent.adapter import QueueInfo

if TYPE_CHECKING:
    from z4j_huey.capture import Capture


def list_queues(capture: Capture) -> list[QueueInfo]:
    """The one queue of this Huey object, and the schedule beside it. Huey keeps no list of consumers, and nothing that has failed."""
    huey = capture.huey
    depth, delayed = green.ask(capture.hub, lambda: (int(huey.pending_count()), int(huey.scheduled_count())))
    return [QueueInfo(huey.name, depth, delayed=delayed)]
