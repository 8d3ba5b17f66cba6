# SPDX-License-Identifier: Apache-2.0
"""The contract between an engine's adapter and the agent.

An adapter subclasses `Adapter`, declares `capabilities`, and implements the method behind each declared action.
Declared means the conformance suite demands it; undeclared means the method answers `Unsupported` and no page offers it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

Action = Literal["retry_task", "cancel_task", "terminate_task"]
"""What an operator can ask of an engine. Names are imperative and equal to the method names of `Adapter`."""

Scope = Literal["any", "worker", "scheduler"]
"""Who can carry it out: any process of the app, only the worker that owns the task, or only the scheduler."""

Certainty = Literal["exact", "best_effort"]

ACTION_LEVEL: dict[str, str] = {"retry_task": "operate", "cancel_task": "operate", "terminate_task": "all"}
"""The `allow` level an owner must have granted (`read` < `operate` < `all`) before the agent carries out an action."""


class Unsupported(Exception):
    """This engine cannot do that. The message says why, for the page."""


class Refused(Exception):
    """The engine can, but not now and not this task (already gone, too late, too large). The message says why."""


@dataclass(frozen=True, slots=True)
class Capability:
    """One action an adapter can carry out, where, and how sure its result is."""

    action: str
    scope: Scope
    certainty: Certainty
    states: tuple[str, ...] = ()
    """Task states in which it makes sense; empty means any."""
    note: str = ""
    """One sentence for the page: what the operator should know before pressing it."""


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A registered task: its name, signature as text, first line of its documentation, default queue."""

    name: str
    signature: str
    doc: str = ""
    queue: str = ""


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """A queue as the broker sees it now; None where the broker cannot tell."""

    name: str
    depth: int | None
    consumers: int | None = None
    oldest_at: int | None = None
    """When what has waited longest was put there, microseconds UTC."""
    delayed: int | None = None
    """How many wait for their time, where the engine keeps them apart; they are not in `depth`."""
    dead: int | None = None
    """How many the engine has given up and still keeps."""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """The worker this process is: pool, concurrency, what it consumes, process ids of its children."""

    name: str
    pool: str
    concurrency: int
    queues: tuple[str, ...]
    pids: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    """Configuration warnings, one sentence each."""


@dataclass(frozen=True, slots=True)
class RunningTask:
    """A task this process holds right now; `started_at` is 0 while it is only reserved."""

    task_id: str
    attempt: int
    name: str
    queue: str
    started_at: int
    pid: int = 0


@dataclass(frozen=True, slots=True)
class Original:
    """The engine's own message, opaque to everyone but the adapter that made it."""

    task_id: str
    name: str
    queue: str
    data: dict[str, Any] = field(default_factory=dict)
    """JSON-able: body (base64 text when binary), headers, content type, encoding, routing."""
    is_sealed: bool = False
    """Whether it was sealed with this application's key. What was not can have been made by anyone who reaches the server, so an
    adapter hands no pickle on that came unsealed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the doctor has to say about an engine or the agent in this environment."""

    level: Literal["ok", "warning", "error"]
    what: str
    """One sentence: what was found, and what it leads to."""
    remedy: str = ""
    """One sentence: what to do."""


class Adapter:
    """What an engine must tell z4j, and what z4j may ask of it. Command methods run in the agent's thread."""

    engine: ClassVar[str]
    capabilities: ClassVar[tuple[Capability, ...]] = ()

    def engine_version(self) -> str:
        """The installed version of the engine, for the hello."""
        raise NotImplementedError

    def install(self) -> None:
        """Connect the hooks. Called once per process tree, before any fork; must not connect to anything."""
        raise NotImplementedError

    def uninstall(self) -> None:
        """Disconnect every hook; the engine behaves as if the adapter had never been there."""
        raise NotImplementedError

    # -- discovery: each may be called every few seconds and must not write to the broker ------------------------------
    def list_tasks(self) -> list[TaskInfo]:
        return []

    def list_queues(self) -> list[QueueInfo]:
        return []

    def worker(self) -> WorkerInfo | None:
        """This process as a worker, or None in a pure producer."""
        return None

    def list_running(self) -> list[RunningTask]:
        return []

    def findings(self) -> list[Finding]:
        """The known traps of this engine that this process has fallen into. Shown by the doctor and beside the worker."""
        return []

    # -- commands: return a JSON-able account; raise Unsupported or Refused --------------------------------------------
    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        """Enqueue the original again under `new_id`. Returns at least {"task_id": new_id, "queue": ...}."""
        raise Unsupported

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        """Keep a queued task from running. The task is `cancelled` only when the engine reports it."""
        raise Unsupported

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        """Stop a running task."""
        raise Unsupported

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        """What the engine itself knows: {"state": "succeeded|failed|cancelled|queued|unknown", ...}."""
        raise Unsupported
