# SPDX-License-Identifier: Apache-2.0
"""What z4j may know of and ask of one Huey object."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import huey as engine

from z4j_agent import green
from z4j_agent.adapter import Adapter, Capability, Finding, Original, QueueInfo, Refused, RunningTask, TaskInfo, WaitingTask, WorkerInfo
from z4j_huey import brokers, commands, control, discovery, doctor, originals, queues, reconcile, waiting
from z4j_huey.brokers import identity_of, place_of
from z4j_huey.capture import Capture
from z4j_huey.schedules import HueyPeriodic

SEVERAL = "this process has several Huey objects that this may concern, in different brokers, and the command names none"


class HueyAdapter(Adapter):
    """One `Capture` per Huey object that is watched; everything else is asked in the agent's thread."""

    engine: ClassVar[str] = "huey"
    capabilities: ClassVar[tuple[Capability, ...]] = (
        Capability("retry_task", "any", "exact", note="Enqueues the kept task again under a new id, linked to this task."),
        Capability(
            "cancel_task",
            "any",
            "best_effort",
            ("scheduled", "queued", "retrying"),
            "Huey drops it when a worker comes to it, which may be as late as its eta.",
        ),
        Capability(
            "terminate_task",
            "worker",
            "best_effort",
            ("running",),
            "A process is interrupted; in a thread or greenlet an exception is raised, which a system call may hold up.",
        ),
        Capability("edit_task", "any", "exact", note="Enqueues the kept task again with other arguments, under a new id."),
        Capability("restore_task", "any", "exact", note="Puts the kept task back with the time and the priority it had."),
        Capability("run_task", "any", "exact", note="Any task the application has registered."),
        Capability(
            "release_task", "any", "exact", ("scheduled", "retrying"), "Redis and SQLite storages; out of the schedule in one step."
        ),
        Capability("prioritise_task", "any", "exact", ("queued",), "PriorityRedisHuey and SqliteHuey; the others know no priorities."),
        Capability("lookup_task", "any", "best_effort", note="Huey keeps no result of a task that returned None."),
        Capability("peek_queue", "any", "exact"),
        Capability("purge_queue", "any", "exact", note="Redis and SQLite storages. What a worker has already is not touched."),
        Capability("pause_queue", "worker", "best_effort", note="A worker that was waiting at that moment may still take one task."),
        Capability("resume_queue", "worker", "exact"),
        Capability("shutdown_worker", "worker", "exact", note="A graceful end: it finishes what it runs."),
        Capability("restart_worker", "worker", "exact", note="A graceful end, and its own command again."),
    )

    def __init__(self, huey: Any) -> None:
        self.captures = [Capture(huey)]
        self._broker = ""
        """The one broker that commands look into, "" for all of this process."""
        self.schedulers = (HueyPeriodic(lambda: list(self.captures)),)

    # -- the hooks -----------------------------------------------------------------------------------------------------
    def install(self) -> None:
        for capture in self.captures:
            capture.connect()

    def watch(self, huey: Any) -> None:
        """A further Huey object of this process. Nothing happens when it is watched already."""
        if all(capture.huey is not huey for capture in self.captures):
            capture = Capture(huey)
            capture.connect()
            self.captures.append(capture)

    def unwatch(self, huey: Any) -> None:
        for capture in [capture for capture in self.captures if capture.huey is huey]:
            capture.disconnect()
            self.captures.remove(capture)

    def uninstall(self) -> None:
        for capture in self.captures:
            capture.disconnect()

    # -- brokers -------------------------------------------------------------------------------------------------------
    def brokers(self) -> Mapping[str, str]:
        return brokers.brokers([*self._serving(), *self.captures])

    def of_broker(self, broker: str) -> HueyAdapter:
        if broker == self._broker:
            return self
        beside = copy.copy(self)
        beside._broker = broker
        return beside

    def _asked(self) -> list[Capture]:
        """The objects a command may concern."""
        return [capture for capture in list(self.captures) if self._broker in ("", identity_of(capture.huey))]

    # -- what is there -------------------------------------------------------------------------------------------------
    def engine_version(self) -> str:
        return str(engine.__version__)

    def list_tasks(self) -> list[TaskInfo]:
        return [task for capture in self._serving() for task in discovery.list_tasks(capture)]

    def list_queues(self) -> list[QueueInfo]:
        return queues.list_queues(list(self.captures))

    def knows_task(self, name: str) -> bool:
        """What stands in Huey's registry: a consumer drops any other message."""
        return any(name in capture.huey._registry._registry for capture in self._asked())

    def knows_queue(self, queue: str) -> bool:
        """A Huey object has one queue, which has its name."""
        return any(capture.huey.name == queue for capture in self._asked())

    def _serving(self) -> list[Capture]:
        """A worker speaks of the one object whose tasks it runs; a producer of all."""
        return [capture for capture in self.captures if capture.life.consumer is not None] or list(self.captures)

    def worker(self) -> WorkerInfo | None:
        found = [discovery.describe_worker(capture, self.findings()) for capture in self._serving()]
        return next((worker for worker in found if worker is not None), None)

    def list_running(self) -> list[RunningTask]:
        return [task for capture in list(self.captures) for task in discovery.list_running(capture)]

    def findings(self) -> list[Finding]:
        return list(dict.fromkeys(finding for capture in self._serving() for finding in doctor.findings(capture)))

    # -- what operators ask --------------------------------------------------------------------------------------------
    def _of(self, queue: str, name: str = "", broker: str = "") -> Capture:
        """The watched object of this name in this broker, of several one that has the task. Raises Refused."""
        found = [capture for capture in self._asked() if capture.huey.name == queue and broker in ("", identity_of(capture.huey))]
        if not found:
            raise Refused(f"it belongs to the Huey object {queue[:80]!r}, which this process does not have", check="queue.unknown")
        if len({place_of(capture.huey) for capture in found}) > 1:
            raise Refused(f"{SEVERAL}; nothing was changed", check="broker.unknown")
        return next((capture for capture in found if name in capture.huey._registry._registry), found[0])

    def _from(self, original: Original) -> Capture:
        return self._of(original.queue, original.name, original.broker)

    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        return commands.retry_task(self._from(original), original, new_id)

    def read_arguments(self, original: Original) -> tuple[list[Any], dict[str, Any]]:
        return originals.read_arguments(self._from(original).huey, original)

    def edit_task(self, original: Original, args: list[Any], kwargs: dict[str, Any], *, new_id: str) -> dict[str, Any]:
        return commands.edit_task(self._from(original), original, args, kwargs, new_id)

    def restore_task(self, original: Original, *, new_id: str, eta_at: int | None, priority: int | None) -> dict[str, Any]:
        return commands.restore_task(self._from(original), original, new_id, eta_at, priority)

    def run_task(self, name: str, args: list[Any], kwargs: dict[str, Any], *, new_id: str, queue: str) -> dict[str, Any]:
        return commands.run_task(self._of(queue, name) if queue else self._with(name), name, args, kwargs, new_id)

    def _with(self, name: str) -> Capture:
        """The object that has this task. Raises Refused."""
        found = [capture for capture in self._asked() if name in capture.huey._registry._registry]
        if not found:
            raise Refused(f"this application does not know {name[:80]}", check="task.unknown")
        if len({place_of(capture.huey) for capture in found}) > 1:
            raise Refused("several Huey objects of this process have this task, and the command names no queue", check="broker.unknown")
        return found[0]

    def release_task(self, task_id: str) -> dict[str, Any]:
        return self._first(commands.release_task, task_id)

    def prioritise_task(self, task_id: str, level: str) -> dict[str, Any]:
        return self._first(lambda capture, id: commands.prioritise_task(capture, id, level), task_id)

    def peek_queue(self, queue: str, place: str, limit: int) -> list[WaitingTask]:
        return waiting.peek_queue(self._of(queue), place, limit)

    def purge_queue(self, queue: str, place: str) -> dict[str, Any]:
        return waiting.purge_queue(self._of(queue), place)

    def _consumed(self, queue: str) -> Capture:
        """The object that this process's consumer serves, where it has that queue. Raises Refused like `_of`."""
        found = [capture for capture in self._asked() if capture.huey.name == queue and capture.life.consumer is not None]
        return found[0] if found else self._of(queue)

    def pause_queue(self, queue: str) -> dict[str, Any]:
        return control.pause_queue(self._consumed(queue), self._broker)

    def resume_queue(self, queue: str) -> dict[str, Any]:
        return control.resume_queue(self._consumed(queue), self._broker)

    def restart_worker(self) -> dict[str, Any]:
        return control.restart_worker(self._serving()[0])

    def shutdown_worker(self) -> dict[str, Any]:
        return control.shutdown_worker(self._serving()[0])

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        return self._first(commands.cancel_task, task_id)

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        return self._first(commands.terminate_task, task_id)

    def _first(self, act: Callable[[Capture, str], dict[str, Any]], task_id: str) -> dict[str, Any]:
        """What the object answers that has the task. Raises Refused."""
        asked = self._asked()
        if len({place_of(capture.huey) for capture in asked}) > 1:
            holding = [capture for capture in asked if _has(capture, task_id)]
            if len({place_of(capture.huey) for capture in holding}) > 1:
                raise Refused(f"{SEVERAL}; nothing was changed", check="broker.unknown")
            asked = holding or asked
        refused = Refused("no Huey object is watched here")
        for capture in asked:
            try:
                return act(capture, task_id)
            except Refused as error:
                refused = error
        raise refused

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        """Where several brokers know the id, it is not known which of them is meant."""
        found = {place_of(capture.huey): reconcile.lookup_task(capture, task_id) for capture in self._asked()}
        told = [answer for answer in found.values() if answer["state"] != "unknown"]
        if len(told) > 1:
            return {"state": "unknown", "engine_state": "in several brokers"}
        return told[0] if told else next(iter(found.values()), {"state": "unknown", "engine_state": "gone"})


def _has(capture: Capture, task_id: str) -> bool:
    is_running = capture.running.get(task_id) is not None
    return is_running or green.ask(capture.hub, lambda: reconcile.is_waiting(capture.huey, task_id))
