# SPDX-License-Identifier: Apache-2.0
"""State of this process that the hooks record."""

from __future__ import annotations

from typing import Any

from z4j_rq.job_hooks.outcomes import RunningJobs
from z4j_rq.known_queues import Known


class RqState:
    """Written by the hooks, read by commands, schedulers, discovery and the doctor."""

    def __init__(self) -> None:
        self.alive: dict[int, Any] = {}
        """The RQ workers of this process by their `id`, in order of creation."""
        self.known = Known(self.workers)
        self.hands = RunningJobs()

    def workers(self) -> list[Any]:
        """Returns the RQ workers of this process: none in a producer, usually one, several if they run in threads."""
        return list(self.alive.values())
