# SPDX-License-Identifier: Apache-2.0
"""The contents of the frames in which a process reports about itself: its tasks, queues and worker, and what runs now."""

from __future__ import annotations

import time
from dataclasses import asdict, astuple, replace
from typing import TYPE_CHECKING, Any

from z4j_agent.capture.broker import brokers_of
from z4j_agent.capture.guard import faults, let_through
from z4j_agent.capture.originals import prove_name
from z4j_agent.commands.permissions import is_known, queue_of
from z4j_agent.contract.adapter import QueueInfo
from z4j_agent.wire.redaction import redact_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from z4j_agent.connection.agent_interface import AgentInterface
    from z4j_agent.connection.poll_lease import PollLease
    from z4j_agent.contract.adapter import Adapter, TaskInfo, WorkerInfo

MAX_OPTIONS = 20
MAX_TASKS, MAX_QUEUES, MAX_RUNNING = 2_000, 500, 1_000
"""Items of one discovery or heartbeat: a frame has a size limit, and a page would not list more either."""


class Reports:
    """Collects from the adapters of `agent`. An adapter that raises is counted as a fault; its part of a report is left out."""

    def __init__(self, agent: AgentInterface, lease: PollLease) -> None:
        self._agent = agent
        self._lease = lease

    def discovery(self, adapter: Adapter) -> tuple[dict[str, Any], bool]:
        """Returns the fields of a `discovery` frame, and whether all of them could be read. `tasks` are (name, signature, doc, queue,
        proof), `queues` (name, depth, consumers, oldest_at, delayed, dead, proof, broker); proofs are "" without a seal key, `worker` is
        `WorkerInfo` as a dict or None, `brokers` is identity → fingerprint. Calls the adapter in the agent's thread. Never raises."""
        is_whole = True
        report: dict[str, Any] = {"engine": adapter.engine, "tasks": [], "queues": [], "worker": None}
        lists: tuple[tuple[str, Any, int, str], ...] = (
            ("tasks", adapter.list_tasks, MAX_TASKS, adapter.engine),
            ("queues", adapter.list_queues, MAX_QUEUES, queue_of(adapter.engine)),
        )
        for key, list_items, limit, domain in lists:
            try:
                items = list_items()[:limit]
                proofs = [self._proof(domain, item.name) if is_known(adapter, key, item.name) else "" for item in items]
                report[key] = [_with_proof(item, proof) for item, proof in zip(items, proofs, strict=True)]
            except Exception as error:
                let_through(error)
                is_whole = False
                faults.report(f"discovery of {key} in {adapter.engine}", error)
        try:
            worker = adapter.worker()
            report["worker"] = redact_answer(_worker(worker)) if worker is not None else None
        except Exception as error:
            let_through(error)
            is_whole = False
            faults.report(f"discovery of the worker in {adapter.engine}", error)
        report["brokers"] = brokers_of(adapter, self._agent.fingerprints)
        return report, is_whole

    def heartbeat(self, *, with_queues: bool) -> dict[str, Any]:
        """Returns the fields of a `heartbeat` frame; `at` in microseconds UTC. `running` are [engine, *fields of `RunningTask`], or None
        when an engine could not be read: an incomplete list would make the server call tasks lost. `queues` are [engine, *fields of
        `QueueInfo`], of those engines whose poll lease this process has. Never raises."""
        running: list[list[Any]] | None = []
        queues: list[list[Any]] = []
        for adapter in self._agent.adapters:
            tasks = _read(f"the running tasks of {adapter.engine}", adapter.list_running)
            if tasks is None:
                running = None
            elif running is not None:
                running += [[adapter.engine, *_clipped(astuple(task))] for task in tasks[:MAX_RUNNING]]
            if with_queues and self._lease.acquire(adapter.engine, brokers_of(adapter, self._agent.fingerprints)):
                depths = _read(f"the queues of {adapter.engine}", adapter.list_queues) or []
                queues += [[adapter.engine, *_clipped(astuple(queue))] for queue in depths[:MAX_QUEUES]]
        fields = {
            "at": time.time_ns() // 1000,
            "running": running,
            "spool_bytes": self._agent.shipper.bytes,
            "dropped": self._agent.spool.dropped_total,
            "faults": faults.total,
            "shipper": self._agent.shipper.is_holder,
        }
        return fields | ({"queues": queues} if with_queues else {})

    def _proof(self, engine: str, name: str) -> str:
        """Proof that this application has the task or queue. The server may show it to a process that has not, of the same app."""
        key = self._agent.settings.seal_key
        return prove_name(key, engine, name) if key is not None else ""


def _read(what: str, read: Callable[[], list[Any]]) -> list[Any] | None:
    """An adapter's list, or None when it raised, which is counted as a fault."""
    try:
        return read()
    except Exception as error:
        let_through(error)
        faults.report(f"reading {what}", error)
        return None


def _with_proof(item: TaskInfo | QueueInfo, proof: str) -> tuple[Any, ...]:
    """A queue's broker is behind the proof: servers read by position, and older ones do not read the broker."""
    if isinstance(item, QueueInfo):
        *fields, broker = _clipped(astuple(item))
        return (*fields, proof, broker)
    return (*_clipped(astuple(item)), proof)


def _worker(worker: WorkerInfo) -> dict[str, Any]:
    options = list(worker.options.items())[:MAX_OPTIONS]
    return asdict(replace(worker, options={str(name)[:255]: str(value)[:255] for name, value in options}))


def _clipped(item: tuple[Any, ...]) -> tuple[Any, ...]:
    """Cuts texts to the length that the protocol allows for a name."""
    return tuple(value[:255] if isinstance(value, str) else value for value in item)
