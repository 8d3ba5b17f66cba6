# SPDX-License-Identifier: Apache-2.0
"""State of a broker that its hooks record."""

from __future__ import annotations

from typing import Any

from z4j_agent.spool.cancelled_ids import CancelledIds
from z4j_dramatiq.attempts import Running
from z4j_dramatiq.queues import QueuePoller


class BrokerState:
    """One broker of this process. Written by its middleware, read by commands, discovery and the doctor."""

    def __init__(self, broker: Any) -> None:
        self.broker = broker
        self.running = Running()
        self.worker: Any = None
        """Dramatiq's Worker once it boots; None in producers."""
        self.middleware: Any = None
        """z4j's middleware, which must be before all others."""
        self.is_booted = False
        """Whether the `dramatiq` command started this process."""
        self.poller = QueuePoller(broker)
        self.skips: CancelledIds
