# SPDX-License-Identifier: Apache-2.0
"""State of a broker that its hooks record."""

from __future__ import annotations

import asyncio
from typing import Any

from z4j_agent.spool.cancelled_ids import CancelledIds
from z4j_taskiq.attempts import Run


class BrokerState:
    """One broker of this process. Written by its hooks, read by commands, discovery and the doctor."""

    def __init__(self, broker: Any) -> None:
        self.broker = broker
        self.receiver: Any = None
        """The receiver once this process is a worker; None in producers."""
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop that last used the broker; operations with the broker run there."""
        self.worker_name = ""
        self.concurrency = 1
        """How many tasks at once; without a limit of taskiq's own, how many threads."""
        self.running: dict[str, Run] = {}
        self.sent: set[str] = set()
        """Names that the application's own code has sent from this process."""
        self.sent_to: set[str] = set()
        """Queues to which it has sent."""
        self.skips: CancelledIds
        """Tasks that no worker of this spool folder may run."""
