# SPDX-License-Identifier: Apache-2.0
"""The lifecycle of a consumer: its start, its children, and its end."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from z4j_agent.agent import Agent
from z4j_agent.capture.guard import guard
from z4j_agent.runtime.native_threads import ticks
from z4j_huey.execution.attempts import Run, Running
from z4j_huey.execution.child_slots import Slots

EXIT_WAIT_S = 1.0


class ConsumerLifecycle:
    """`consumer` is Huey's own in the process that runs one, and in its children; None in producers."""

    def __init__(self, huey: Any, agent: Agent, running: Running, on_child_killed: Callable[[int, str, int, str], object]) -> None:
        self.consumer: Any = None
        self.name = ""
        self.slots: Slots | None = None
        """The slots of the children; None without child processes."""
        self._huey, self._agent, self._running = huey, agent, running
        self._on_child_killed = on_child_killed
        self._reaping = threading.Lock()
        self._main_pid = 0
        atexit.register(self.at_exit)

    def forget(self) -> None:
        """Makes the end of the process send nothing for this consumer."""
        atexit.unregister(self.at_exit)

    # -- in main -------------------------------------------------------------------------------------------------------
    @guard("before the consumer starts")
    def before_start(self, consumer: Any) -> None:
        """Called before any fork."""
        self.consumer, self._main_pid = consumer, os.getpid()
        if consumer.worker_type == "process":
            self.slots = Slots(len(consumer.worker_threads))
        seat = f"{self._huey.name}@{self._agent.host}"
        self.name = f"{seat}.{os.getpid()}"
        self._agent.become_worker(self.name, seat)

    @guard("after the consumer has started")
    def after_start(self) -> None:
        """Connects the agent when Huey's workers and children exist."""
        self._agent.connect()

    def around_health_check(self, check: Callable[[Any], Any], consumer: Any) -> Any:
        """Wraps Huey's health check, which replaces dead children."""
        if consumer.huey is self._huey:
            self.reap()
        return check(consumer)

    def around_end(self, notify: Callable[[], Any]) -> Any:
        """Wraps the last call of Huey in the main process, also before it replaces the process by a new one (SIGHUP), which runs no
        `atexit`."""
        result = notify()
        self.at_exit()
        return result

    @guard("reporting tasks of killed children")
    def reap(self) -> None:
        """Reports tasks whose child died during the run. Called by two threads; the second does not wait."""
        if self.slots is None or os.getpid() != self._main_pid or not self._reaping.acquire(blocking=False):
            return
        try:
            for number, process in enumerate(self.children()):
                if process.is_alive():
                    continue
                pid, entry = self.slots.read(number)
                if entry is not None and pid == process.pid:
                    self.slots.clear(number)
                    self._on_child_killed(pid, str(entry[0]), int(entry[1]), str(entry[2]))
        finally:
            self._reaping.release()

    def children(self) -> list[Any]:
        """The worker processes, in the order of their numbers; Huey's threads or greenlets if it has no processes."""
        return [process for _, process in list(self.consumer.worker_threads)] if self.consumer is not None else []

    @guard("exit")
    def at_exit(self) -> None:
        """Waits for children that are writing, reports the tasks of killed ones, and closes the agent."""
        if self.slots is not None and os.getpid() == self._main_pid:
            self._read_children()
            self.reap()
        self._agent.close()

    def _read_children(self) -> None:
        """Waits for the last records of interrupted children: a record after the flush would have to be sent by another process."""
        ends = ticks() + EXIT_WAIT_S
        while ticks() < ends and any(self._is_busy(number, child) for number, child in enumerate(self.children())):
            time.sleep(0.02)

    def _is_busy(self, number: int, child: Any) -> bool:
        try:
            return self.slots is not None and self.slots.read(number)[1] is not None and bool(child.is_alive())
        except ValueError:  # it is writing now
            return True

    # -- where tasks run -----------------------------------------------------------------------------------------------
    def begins(self, run: Run) -> None:
        """Stores the run where it can be stopped, and where main finds it if this child is killed."""
        if self.slots is not None:
            self.slots.write([run.task_id, run.attempt, run.name, run.started_at])
        self._running.begin(run)

    def ends(self, run: Run) -> None:
        """From now on the run cannot be stopped. Raises Stopped if a stop has already begun."""
        self._running.end(run)

    def left(self) -> None:
        """Clears the slot after a run: its end is reported, and a child that is killed now loses no event."""
        if self.slots is not None:
            self.slots.write(None)

    def is_stop_asked(self) -> bool:
        """Whether the interrupt that has just ended a task was requested by an operator."""
        return self.slots is not None and self.slots.is_stop_asked()
