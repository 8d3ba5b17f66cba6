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
"""How soon a waiting task shall run: before all that waits now, or on one scale over every engine. An engine with fewer steps takes
the nearest; one that can only put a task in front knows `next` alone and refuses the others with that reason."""
LEVELS: tuple[Level, ...] = ("next", "high", "normal", "low")

Section = Literal["waiting", "delayed", "dead"]
"""Where a queue holds tasks: those that may run now, those whose time has not come, those the engine has given up."""
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
    broker: str = ""
    """The identity of its broker, one of `Adapter.brokers`, "" where the adapter cannot tell."""


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
class WaitingTask:
    """A task as it stands in its queue; what the broker does not tell is empty or None. `args` is redacted text for display."""

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
    """The identity of its broker as this process has it, "" where its maker did not report one."""
    is_bound: bool = True
    """Whether name and queue are authenticated with the message. One kept by an older agent does not bind them; the agent accepts it
    only where both are known (`Adapter.knows_task`, `knows_queue`). Every original is one that an agent of this application made."""


class Adapter:
    """What an engine must tell z4j, and what z4j may ask of it. Command methods run in the agent's thread."""

    engine: ClassVar[str]
    capabilities: ClassVar[tuple[Capability, ...]] = ()
    schedulers: tuple[Scheduler, ...] = ()
    """The engine's own schedulers, see `schedules`; installed with the adapter."""
    waits_in: str = ""
    """The queue in which the server knows the task of the current `move_task`, `prioritise_task` or `release_task` to wait: checked like
    any other queue, "" where it is unknown. A process need not declare the queues that others send to."""

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

    # -- brokers -------------------------------------------------------------------------------------------------------
    def brokers(self) -> Mapping[str, str]:
        """{identity (`broker.identify`): fingerprint} of the brokers this process uses through this engine, the default one first. The
        fingerprint is what the broker says of itself (Redis: `run_id`), "" while it was not asked; two addresses with one fingerprint
        are one broker. {} where the engine cannot tell. Called in the agent's thread; asks no broker."""
        return {}

    def narrow(self, unsupported: Collection[str]) -> None:
        """This process cannot carry out these actions: they are not declared, until it is said again what it cannot do. Call it before the
        agent connects. Of this object alone; its class keeps what the engine can do."""
        vars(self)["capabilities"] = tuple(able for able in type(self).capabilities if able.action not in unsupported)

    def of_broker(self, broker: str) -> Adapter:
        """The adapter for one of `brokers()`, "" for the default; an adapter with several brokers returns one that looks only there."""
        return self

    # -- authority: what the server may name. Called for each command, so without a question to the broker where possible ------
    def knows_task(self, name: str) -> bool:
        """Whether this application registered the task, enqueued it itself, or offered it to `install`. A name that the server has
        brought does not count."""
        return any(task.name == name for task in self.list_tasks())

    def knows_queue(self, queue: str) -> bool:
        """Whether this application declares, consumes or enqueues to that queue. Never a queue of the engine's own (control, events,
        replies)."""
        return any(item.name == queue for item in self.list_queues())

    def list_running(self) -> list[RunningTask]:
        return []

    def findings(self) -> list[Finding]:
        """The known traps of this engine that this process has fallen into. Shown by the doctor and beside the worker."""
        return []

    # -- commands: return a JSON-able account; raise Unsupported or Refused --------------------------------------------
    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        """Enqueue the original again under `new_id`. Returns at least {"task_id": new_id, "queue": ...}."""
        raise Unsupported

    def read_arguments(self, original: Original) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of an original as JSON-able values, unmasked; they stay in this process. Raises Refused where the message is
        a pickle that was not sealed, or holds what JSON cannot."""
        raise Unsupported

    def edit_task(self, original: Original, args: list[Any], kwargs: dict[str, Any], *, new_id: str) -> dict[str, Any]:
        """Like `retry_task`, with these arguments instead of the original's."""
        raise Unsupported

    def restore_task(self, original: Original, *, new_id: str, eta_at: int | None, priority: int | None) -> dict[str, Any]:
        """Put back what was cancelled or purged: like `retry_task`, but it waits for `eta_at` and has its `priority` (the engine's own
        scale) again. It goes behind what waits, so that many put back in their order keep it."""
        raise Unsupported

    def run_task(self, name: str, args: list[Any], kwargs: dict[str, Any], *, new_id: str, queue: str) -> dict[str, Any]:
        """Enqueue a registered task under `new_id`; an empty `queue` is the task's own. Returns like `retry_task`."""
        raise Unsupported

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        """Keep a queued task from running. The task is `cancelled` only when the engine reports it."""
        raise Unsupported

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        """Stop a running task."""
        raise Unsupported

    def move_task(self, task_id: str, queue: str) -> dict[str, Any]:
        """Put a waiting task behind those of another queue. It is in one of the two at every moment, or the answer says otherwise.
        The adapter reports it with `records.moved`. Raises Refused when it does not wait."""
        raise Unsupported

    def prioritise_task(self, task_id: str, level: str) -> dict[str, Any]:
        """Give a waiting task another place in its queue, see `Level`. Raises Refused when it does not wait."""
        raise Unsupported

    def release_task(self, task_id: str) -> dict[str, Any]:
        """Have a delayed task run now. The adapter reports it as `enqueued` anew, of the same attempt. Raises Refused."""
        raise Unsupported

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        """What the engine itself knows: {"state": "succeeded|failed|cancelled|queued|running|unknown", ...}."""
        raise Unsupported

    def peek_queue(self, queue: str, section: str, limit: int) -> list[WaitingTask]:
        """The first `limit` tasks of a place of a queue in the order they would run. Changes nothing."""
        raise Unsupported

    def purge_queue(self, queue: str, section: str) -> dict[str, Any]:
        """Take everything out of a place of a queue. Each task is first reported with its arguments and original (`agent.payload`) and
        as `cancelled`, reason `purged` (dead letters: with the payload alone), in the order they would have run. Returns at least
        {"tasks": how many}."""
        raise Unsupported

    def pause_queue(self, queue: str) -> dict[str, Any]:
        """This worker takes nothing more from the queue until `resume_queue`; what runs or was prefetched goes on. Twice is once."""
        raise Unsupported

    def resume_queue(self, queue: str) -> dict[str, Any]:
        """The reverse of `pause_queue`; of a queue that is not paused, nothing happens."""
        raise Unsupported

    def shutdown_worker(self) -> dict[str, Any]:
        """This worker finishes what it runs and ends, by its engine's own warm shutdown."""
        raise Unsupported

    def restart_worker(self) -> dict[str, Any]:
        """This worker finishes what it runs and begins anew with fresh code or processes."""
        raise Unsupported

    def resize_worker(self, by: int) -> dict[str, Any]:
        """So many more processes or threads, or fewer. Returns {"concurrency": n}."""
        raise Unsupported

    def consume_queue(self, queue: str) -> dict[str, Any]:
        """This worker also takes from this queue."""
        raise Unsupported

    def leave_queue(self, queue: str) -> dict[str, Any]:
        """This worker does not take from this queue any more."""
        raise Unsupported

    def limit_name(self, name: str, rate: str | None, soft_s: float | None, hard_s: float | None) -> dict[str, Any]:
        """Limits of a task name in this worker: `rate` like "10/m" ("0" lifts it), seconds a task may run. None leaves one as it is."""
        raise Unsupported


class SeveralBrokers(Adapter):
    """An adapter whose process may use several brokers at once. `of_broker` gives a copy that looks into one of them."""

    only: str = ""
    """The identity of the one broker that is looked into, "" for all of this process."""

    def of_broker(self, broker: str) -> Self:
        if broker == self.only:
            return self
        beside = copy.copy(self)
        beside.only = broker
        return beside


class SeveralTargets(SeveralBrokers):
    """An adapter that is made once and watches several targets of one process, such as apps or brokers. `captures` holds the hooks of each:
    objects with `target`, `state`, `connect()` and `disconnect()`."""

    captures: list[Any]

    def __init__(self, target: Any) -> None:
        self.captures = [self.make_capture(target)]

    def make_capture(self, target: Any) -> Any:
        """The hooks of one target, not connected yet."""
        raise NotImplementedError

    @property
    def states(self) -> list[Any]:
        """What the hooks of each target have recorded, in the order in which the targets were watched."""
        return [capture.state for capture in self.captures]

    def install(self) -> None:
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
