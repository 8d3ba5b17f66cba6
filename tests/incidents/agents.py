# SPDX-License-Identifier: AGPL-3.0-or-later
"""The processes of the invented company, and the frames and records that the agents in them send."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from tests.incidents.traffic import SECOND, App, Kind, Schedule, expression, next_due
from z4j_agent import wire

TRACEBACK = """Traceback (most recent call last):
  File "/srv/{app}/tasks.py", line {line}, in {function}
    result = client.call(*args)
  File "/srv/{app}/client.py", line 44, in call
    raise {type}({text!r})
{type}: {text}
"""
ALLOWED = ("retry_task", "cancel_task", "terminate_task", "peek_queue", "purge_queue")


class Sink(Protocol):
    """Where frames and records go."""

    def frame(self, process: Process, frame: dict[str, Any]) -> None: ...

    def record(self, process: Process, record: list[Any]) -> None: ...


@dataclass(slots=True)
class Run:
    """One task."""

    kind: Kind
    task_id: str
    enqueued_at: int
    attempt: int = 0
    received_at: int = 0
    started_at: int = 0
    is_redelivered: bool = False

    @property
    def head(self) -> list[Any]:
        return [self.kind.engine, self.task_id, self.attempt]


@dataclass(slots=True)
class Process:
    """One process with an agent. A new process of the same worker has another `boot`."""

    app: App
    role: str
    worker: str
    host: str
    boot: str
    release: str
    concurrency: int = 0
    queues: tuple[str, ...] = ()
    is_alive: bool = True
    """Whether it works, and its agent reports."""
    running: dict[str, Run] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.boot)

    @property
    def run(self) -> str:
        return f"{self.boot}.7"

    def origin(self, at: int) -> list[Any]:
        facts = {
            "host": self.host, "pid": 7, "role": self.role, "worker": self.worker, "app": "", "environment": "production",
            "release": self.release, "engines": {self.app.engine: self.app.version}, "redaction": 99,
        }  # fmt: skip
        return ["origin", self.boot, at, facts]

    def hello(self, at: int) -> dict[str, Any]:
        return {
            "type": "hello", "protocol": wire.PROTOCOL, "agent_version": "0.1.0", "boot": self.boot, "spool": f"spool-{self.worker}",
            "host": self.host, "pid": 7, "role": self.role, "worker": self.worker, "environment": "production", "release": self.release,
            "engines": {self.app.engine: self.app.version}, "allow": "all", "denied": [], "shipper": True, "at": at,
            "capabilities": [[self.app.engine, action, "any", "exact", [], ""] for action in ALLOWED], "authenticates_originals": True,
            "redaction": 99,
        }  # fmt: skip

    def discovery(self, kinds: list[Kind]) -> dict[str, Any]:
        mine = [kind for kind in kinds if kind.app == self.app.name and kind.queue in self.queues and not kind.is_unknown]
        worker = {
            "name": self.worker, "pool": "prefork", "concurrency": self.concurrency, "queues": list(self.queues), "pids": [7], "notes": [],
        }  # fmt: skip
        tasks = [[kind.name, "(id)", "", kind.queue] for kind in mine]
        return {"type": "discovery", "engine": self.app.engine, "tasks": tasks, "queues": [], "worker": worker}

    def heartbeat(self, at: int, queues: list[list[Any]]) -> dict[str, Any]:
        running = [[*run.head, run.kind.name, run.kind.queue, run.started_at, 7] for run in self.running.values()]
        return {
            "type": "heartbeat", "at": at, "running": running, "spool_bytes": 0, "dropped": 0, "faults": 0, "shipper": True,
            "queues": queues,
        }  # fmt: skip

    def listing(self, at: int, start: int) -> dict[str, Any]:
        """The entries of its scheduler."""
        return {
            "type": "schedules", "scheduler": self.app.scheduler, "engine": self.app.engine, "store": "file", "is_firing": True,
            "tick_us": 5 * SECOND, "timezone": "UTC", "can_create": False, "applied": "", "failed": {}, "notes": [], "is_cut": False,
            "entries": [self._entry(schedule, at, start) for schedule in self.app.schedules],
        }  # fmt: skip

    def _entry(self, schedule: Schedule, at: int, start: int) -> dict[str, Any]:
        kind = "interval" if schedule.every_s else "cron"
        return {
            "key": schedule.key, "name": schedule.key, "kind": kind, "expression": expression(schedule, start), "timezone": "UTC",
            "task_name": schedule.name, "args": "[]", "kwargs": "{}", "queue": "", "priority": None, "is_enabled": True,
            "next_at": next_due(schedule, at, start), "last_at": None, "is_code": True, "unable": {}, "note": "",
        }  # fmt: skip

    def fired(self, schedule: Schedule, due: int, at: int, task_id: str) -> list[Any]:
        facts = {
            "scheduler": self.app.scheduler, "schedule": schedule.key, "due_at": due, "task_id": task_id, "outcome": "sent", "error": "",
        }  # fmt: skip
        return ["fired", self.run, at, facts]


def record(kind: str, run: Run, at: int, process: Process, *rest: Any) -> list[Any]:
    return [kind, *run.head, at, process.run, run.kind.name, run.kind.queue, *rest]


def enqueued(run: Run, process: Process) -> list[list[Any]]:
    args = f'["{run.task_id[:8]}", 500]'
    return [
        record("enqueued", run, run.enqueued_at, process, None, {"code": run.kind.code}),
        record("payload", run, run.enqueued_at, process, 2, args, False, None, "none"),
    ]


def failure(run: Run) -> list[Any]:
    """Type, text and traceback."""
    kind, (error, text) = run.kind, run.kind.error
    line = 40 + sum(kind.name.encode()) % 60
    return [error, text, TRACEBACK.format(app=kind.app, line=line, function=kind.name.rpartition(".")[2], type=error, text=text)]


def new_id(bits: int) -> str:
    return str(UUID(int=bits, version=4))
