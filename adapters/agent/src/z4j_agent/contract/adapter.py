# SPDX-License-Identifier: Apache-2.0
"""The contract between an engine's adapter and the agent.

An adapter subclasses `Adapter`, declares `capabilities`, and implements the method behind each declared action.
Declared means the conformance suite demands it; undeclared means the method answers `Unsupported` and no page offers it.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

from z4j_agent.contract.capabilities import ACTION_LEVEL, Action, Capability, Certainty, Finding, Refused, Scope, Unsupported
from z4j_agent.contract.scheduler import Scheduler

Level = Literal["next", "high", "normal", "low"]
"""Priorities of a waiting task: `next` is before all tasks that wait now, the others are one scale over all engines. An engine with fewer
levels uses the nearest; one that can only move a task to the front supports `next` and refuses the others."""
LEVELS: tuple[Level, ...] = ("next", "high", "normal", "low")

Section = Literal["waiting", "delayed", "dead"]
"""Sections of a queue: tasks that may run now, tasks whose time has not come, and tasks that the engine has given up."""
SECTIONS: tuple[Section, ...] = ("waiting", "delayed", "dead")


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A registered task: its name, signature as text, first line of its documentation, default queue."""

    name: str
    signature: str
    doc: str = ""
    queue: str = ""


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """The current state of a queue in its broker; None where the broker does not report a number."""

    name: str
    depth: int | None
    consumers: int | None = None
    oldest_at: int | None = None
    """When the task that has waited longest was enqueued, in microseconds UTC."""
    delayed: int | None = None
    """Number of delayed tasks, if the engine stores them separately; they are not in `depth`."""
    dead: int | None = None
    """Number of stored tasks that the engine has given up."""
    broker: str = ""
    """The identity of its broker, one of `Adapter.brokers`, "" if unknown."""


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
    options: Mapping[str, str] = field(default_factory=dict)
    """What should be the same of all workers of a queue: how much they prefetch, what they read messages with, … by its name in the
    engine's settings. Short texts, no secrets; what the engine does not report is left out."""


def name_of(thing: Any) -> str:
    """Returns the full name of a function or class, or of the class of an object: what two workers compare where they have no setting's
    text."""
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{getattr(named, '__module__', None) or '?'}.{named.__qualname__}"


@dataclass(frozen=True, slots=True)
class RunningTask:
    """A task that this process has taken from a queue; `started_at` is in microseconds UTC, 0 while it is only reserved."""

    task_id: str
    attempt: int
    name: str
    queue: str
    started_at: int
    pid: int = 0


@dataclass(frozen=True, slots=True)
class WaitingTask:
    """A task in a queue. Fields that the broker does not report are empty or None. `args` is redacted text for display."""

    task_id: str
    name: str
    args: str = ""
    enqueued_at: int | None = None
    due_at: int | None = None
    priority: int | None = None
    """On the engine's own scale."""


@dataclass(frozen=True, slots=True)
class Original:
    """The engine's own message, opaque to everyone but the adapter that made it."""

    task_id: str
    name: str
    queue: str
    data: dict[str, Any] = field(default_factory=dict)
    """JSON-able: body (base64 text when binary), headers, content type, encoding, routing."""
    broker: str = ""
    """The identity of its broker in this process, "" if the original names none."""
    is_bound: bool = True
    """Whether name and queue are authenticated with the message. An original of an older agent does not bind them; the agent accepts it
    only if both are known (`Adapter.knows_task`, `knows_queue`). Every original is one that an agent of this application made."""


class Adapter:
    """Connects an engine to the agent: hooks, discovery and commands. Discovery and command methods run in the agent's thread; an exception
    of discovery is counted as a fault, and that part of the report is left out."""

    engine: ClassVar[str]
    capabilities: ClassVar[tuple[Capability, ...]] = ()
    schedulers: tuple[Scheduler, ...] = ()
    """The engine's own schedulers, see `schedules`; installed with the adapter."""
    waits_in: str = ""
    """The queue that the server reports for the task of the current `move_task`, `prioritise_task` or `release_task`, checked like any
    other queue; "" if unknown. A process need not declare the queues that other processes send to."""

    def engine_version(self) -> str:
        """Returns the installed version of the engine, for the hello and for the first record of a segment. The agent calls it once."""
        raise NotImplementedError

    def install(self) -> None:
        """Connects the hooks. Called once per process tree, before any fork; must not open a network connection."""
        raise NotImplementedError

    def uninstall(self) -> None:
        """Disconnects every hook; the engine then behaves as if the adapter had never been installed."""
        raise NotImplementedError

    # -- discovery: each may be called every few seconds and must not write to the broker ------------------------------
    def list_tasks(self) -> list[TaskInfo]:
        """Returns the tasks that are registered in this process. Sent with their queues every minute; also called for a command that names
        a task, unless `knows_task` is overridden."""
        return []

    def list_queues(self) -> list[QueueInfo]:
        """Returns the queues that this process uses, with their depths as the broker reports them now. May send requests to the broker, but
        must not write."""
        return []

    def worker(self) -> WorkerInfo | None:
        """This process as a worker, or None in a pure producer."""
        return None

    # -- brokers -------------------------------------------------------------------------------------------------------
    def brokers(self) -> Mapping[str, str]:
        """{identity (`broker.identify`): fingerprint} of the brokers this process uses through this engine, the default one first. The
        fingerprint is reported by the broker (Redis: `run_id`), "" until it was read; two addresses with one fingerprint are one broker. {}
        if unknown. Called in the agent's thread; sends no request to a broker."""
        return {}

    def narrow(self, unsupported: Collection[str]) -> None:
        """Removes actions that this process cannot execute from `capabilities`. A later call replaces the set. Call it before the agent
        connects. It changes this object only, not its class."""
        vars(self)["capabilities"] = tuple(able for able in type(self).capabilities if able.action not in unsupported)

    def of_broker(self, broker: str) -> Adapter:
        """Returns the adapter for one of `brokers()`, "" for the default; an adapter with several brokers returns a copy for this
        broker."""
        return self

    # -- authority: what the server may name. Called for each command, so without a question to the broker where possible ------
    def knows_task(self, name: str) -> bool:
        """Whether this application registered the task, enqueued it itself, or offered it to `install`. A name that was only in a command
        of the server does not count."""
        return any(task.name == name for task in self.list_tasks())

    def knows_queue(self, queue: str) -> bool:
        """Whether this application declares, consumes or enqueues to that queue. Never a queue of the engine's own (control, events,
        replies)."""
        return any(item.name == queue for item in self.list_queues())

    def list_running(self) -> list[RunningTask]:
        """Returns the tasks that run or are reserved in this worker, also in its children; [] in a producer. Called for each heartbeat. The
        server treats a running task that is missing from the list as lost, so an incomplete list must raise instead."""
        return []

    def runs_in_children(self) -> bool:
        """Whether tasks run in other processes than the one that connects: whether `inspect_task` needs their help."""
        return False

    def findings(self) -> list[Finding]:
        """Problems in this process's configuration of the engine. Shown by the doctor and on the worker's page."""
        return []

    # -- commands: return a JSON-able account; raise Unsupported or Refused --------------------------------------------
    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        """Enqueues the original again under `new_id`. Returns at least {"task_id": new_id, "queue": ...}."""
        raise Unsupported

    def read_arguments(self, original: Original) -> tuple[list[Any], dict[str, Any]]:
        """Returns the arguments of an original as JSON-able values, unmasked; they stay in this process. Raises Refused if the message is a
        pickle that was not sealed, or contains a value without a JSON form."""
        raise Unsupported

    def edit_task(self, original: Original, args: list[Any], kwargs: dict[str, Any], *, new_id: str) -> dict[str, Any]:
        """Like `retry_task`, with these arguments instead of the original's."""
        raise Unsupported

    def restore_task(self, original: Original, *, new_id: str, eta_at: int | None, priority: int | None) -> dict[str, Any]:
        """Enqueues a cancelled or purged task again: like `retry_task`, with its `eta_at` (microseconds UTC) and its `priority` (the
        engine's own scale). It is placed behind the waiting tasks, so that many tasks keep their order."""
        raise Unsupported

    def run_task(self, name: str, args: list[Any], kwargs: dict[str, Any], *, new_id: str, queue: str) -> dict[str, Any]:
        """Enqueues a registered task under `new_id`; an empty `queue` is the task's own. Returns like `retry_task`."""
        raise Unsupported

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        """Keeps a queued task from running. The task is `cancelled` only when the engine reports it."""
        raise Unsupported

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        """Stops a running task. Raises Refused if it does not run in this worker now."""
        raise Unsupported

    def move_task(self, task_id: str, queue: str) -> dict[str, Any]:
        """Moves a waiting task to the end of another queue. The task is in one of the two queues at every moment; if not, the result
        reports that. The adapter reports the move with `records.moved`. Raises Refused if the task does not wait."""
        raise Unsupported

    def prioritise_task(self, task_id: str, level: str) -> dict[str, Any]:
        """Changes the position of a waiting task in its queue, see `Level`. Raises Refused if the task does not wait."""
        raise Unsupported

    def release_task(self, task_id: str) -> dict[str, Any]:
        """Makes a delayed task due now. The adapter reports it as `enqueued` again, with the same attempt. Raises Refused."""
        raise Unsupported

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        """Returns the state of a task in the engine: {"state": "succeeded|failed|cancelled|queued|running|unknown", ...}."""
        raise Unsupported

    def peek_queue(self, queue: str, section: str, limit: int) -> list[WaitingTask]:
        """Returns the first `limit` tasks of a section of a queue, in the order in which they would run. Changes nothing."""
        raise Unsupported

    def purge_queue(self, queue: str, section: str) -> dict[str, Any]:
        """Removes all tasks from a section of a queue. Each task is first reported with its arguments and original (`agent.payload`) and as
        `cancelled`, reason `purged` (dead letters: with the payload alone), in the order they would have run. Returns at least {"tasks":
        number}."""
        raise Unsupported

    def pause_queue(self, queue: str) -> dict[str, Any]:
        """Stops this worker from taking tasks from the queue until `resume_queue`. Running and prefetched tasks continue. A second call
        changes nothing."""
        raise Unsupported

    def resume_queue(self, queue: str) -> dict[str, Any]:
        """Reverses `pause_queue`. Does nothing if the queue is not paused."""
        raise Unsupported

    def shutdown_worker(self) -> dict[str, Any]:
        """Ends this worker by its engine's warm shutdown: it finishes its running tasks."""
        raise Unsupported

    def restart_worker(self) -> dict[str, Any]:
        """Restarts this worker, with new processes or new code, after it has finished its running tasks."""
        raise Unsupported

    def resize_worker(self, by: int) -> dict[str, Any]:
        """Adds processes or threads, or removes them if the number is negative. Returns {"concurrency": n}."""
        raise Unsupported

    def consume_queue(self, queue: str) -> dict[str, Any]:
        """Makes this worker also take tasks from this queue."""
        raise Unsupported

    def leave_queue(self, queue: str) -> dict[str, Any]:
        """Makes this worker stop taking tasks from this queue."""
        raise Unsupported

    def limit_name(self, name: str, rate: str | None, soft_s: float | None, hard_s: float | None) -> dict[str, Any]:
        """Sets limits of a task name in this worker: `rate` such as "10/m" ("0" removes it), and seconds that a task may run. None leaves a
        limit unchanged."""
        raise Unsupported


class SeveralBrokers(Adapter):
    """An adapter whose process may use several brokers. `of_broker` returns a copy that uses one of them."""

    only: str = ""
    """The identity of the one broker that this copy uses, "" for all brokers of this process."""

    def of_broker(self, broker: str) -> Self:
        """Returns this object if it uses that broker, else a shallow copy of it that does, with the same hooks. "" is all brokers."""
        if broker == self.only:
            return self
        bound = copy.copy(self)
        bound.only = broker
        return bound


class SeveralTargets(SeveralBrokers):
    """An adapter that is made once and watches several targets of one process, such as apps or brokers. `captures` holds the hooks of each:
    objects with `target`, `state`, `connect()` and `disconnect()`."""

    captures: list[Any]

    def __init__(self, target: Any) -> None:
        self.captures = [self.make_capture(target)]

    def make_capture(self, target: Any) -> Any:
        """Returns the hooks of one target, not connected yet."""
        raise NotImplementedError

    @property
    def states(self) -> list[Any]:
        """What the hooks of each target have recorded, in the order in which the targets were watched."""
        return [capture.state for capture in self.captures]

    def install(self) -> None:
        """Connects the hooks of all targets, in the order in which they were watched."""
        for capture in self.captures:
            capture.connect()

    def watch(self, target: Any) -> None:
        """Adds a target. Does nothing if it is watched already."""
        if all(capture.target is not target for capture in self.captures):
            capture = self.make_capture(target)
            capture.connect()
            self.captures = [*self.captures, capture]

    def unwatch(self, target: Any) -> None:
        """Disconnects the hooks of one target. Does nothing if it is not watched."""
        for capture in [capture for capture in self.captures if capture.target is target]:
            capture.disconnect()
            self.captures = [other for other in self.captures if other is not capture]

    def uninstall(self) -> None:
        """Disconnects the hooks of all targets. The targets stay, so that `install` connects them again."""
        for capture in self.captures:
            capture.disconnect()


__all__ = [
    "ACTION_LEVEL",
    "LEVELS",
    "SECTIONS",
    "Action",
    "Adapter",
    "Capability",
    "Certainty",
    "Finding",
    "Level",
    "Original",
    "QueueInfo",
    "Refused",
    "RunningTask",
    "Scope",
    "Section",
    "SeveralBrokers",
    "SeveralTargets",
    "TaskInfo",
    "Unsupported",
    "WaitingTask",
    "WorkerInfo",
]  # fmt: skip
