# SPDX-License-Identifier: Apache-2.0
"""The parts of the agent that its connection uses."""

from __future__ import annotations

from typing import Protocol

from z4j_agent.contract.adapter import Adapter
from z4j_agent.contract.overrides import OverrideStore
from z4j_agent.contract.scheduler import Scheduler
from z4j_agent.settings import Settings
from z4j_agent.spool.memory import MemorySpool
from z4j_agent.spool.shipper import Shipper
from z4j_agent.spool.spool import Spool


class AgentInterface(Protocol):
    """Implemented by `agent.Agent`."""

    settings: Settings
    adapters: tuple[Adapter, ...]
    schedulers: tuple[Scheduler, ...]
    role: str
    worker: str
    seat: str
    host: str
    boot: str
    notes: list[str]
    fingerprints: dict[str, str]
    spool: Spool | MemorySpool
    spool_name: str
    shipper: Shipper | MemorySpool

    def append(self, record: bytes) -> bool:
        """Appends one encoded record to the spool. Returns False if it could not be written, which is counted."""

    def drain_offered(self) -> bool:
        """Runs the jobs that were offered to the agent's thread. Returns whether one of them made a record."""

    def engines(self) -> dict[str, str]:
        """Returns engine → installed version, "" if it cannot be read. Never raises."""

    def override_store(self, scheduler: str) -> OverrideStore:
        """Returns the stored overrides of the scheduler of that name, the same object for each call."""
