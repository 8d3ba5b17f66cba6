# SPDX-License-Identifier: Apache-2.0
"""State of a Huey object that its hooks record."""

from __future__ import annotations

from typing import Any

from z4j_huey.execution.attempts import Running
from z4j_huey.execution.consumer_lifecycle import ConsumerLifecycle


class HueyState:
    """One Huey object of this process. Written by its hooks, read by commands, schedules, discovery and the doctor."""

    def __init__(self, huey: Any) -> None:
        self.huey = huey
        self.running = Running()
        self.lifecycle: ConsumerLifecycle
        self.hub: Any = None
        """gevent's hub in whose greenlets this object is used; None without gevent."""

    def has(self, name: str) -> bool:
        """Whether its registry holds the task: a consumer drops any other message."""
        return name in self.huey._registry._registry
