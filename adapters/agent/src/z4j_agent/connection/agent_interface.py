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

    def append(self, record: bytes) -> bool: ...

    def drain_offered(self) -> bool: ...

    def engines(self) -> dict[str, str]: ...

    def override_store(self, scheduler: str) -> OverrideStore: ...
