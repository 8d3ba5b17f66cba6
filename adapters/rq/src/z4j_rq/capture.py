# SPDX-License-Identifier: Apache-2.0
"""Turns calls of RQ's methods into records. Which method is called where was found by experiment (`docs/engines.md` has a row per
outcome).

The work horse reports the run and its end (`execution_hooks`). The worker's main process, here, reports what a horse cannot: that the
task was received, and that the horse was killed or stopped. The rules in `outcomes` determine the record of an end.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

from rq.job import Job
from rq.timeouts import BaseTimeoutException
from rq.worker import BaseWorker

import z4j_agent
from z4j_agent.agent import Agent
from z4j_agent.capture.guard import guard, never_swallow
from z4j_agent.capture.hooks import now
from z4j_agent.wire import records
from z4j_rq import originals
from z4j_rq.job_hooks import job_marks
from z4j_rq.job_hooks.enqueue_hooks import Sending
from z4j_rq.job_hooks.execution_hooks import Running
from z4j_rq.job_hooks.job_marks import attempt_of, is_asked, is_reported, mark_of, note_of
from z4j_rq.job_hooks.outcomes import RunningJob
from z4j_rq.job_hooks.patches import Look, Patches
from z4j_rq.job_hooks.rehearsal import rehearse, rehearse_sealing
from z4j_rq.job_hooks.removal_hooks import Removing
from z4j_rq.job_hooks.spawning import BOOT
from z4j_rq.messages import ENGINE, function_of, is_spawning, job_in, name_of, sent_meta, status_text
from z4j_rq.pausing import Pausing
from z4j_rq.state import RqState

_UNNAMED = re.compile("[0-9a-f]{32}")


class Capture:
    """Installs all hooks. Its own are those of a worker's main process."""

    def __init__(self, state: RqState, on_ready: Callable[[], None]) -> None:
        self.state = state
        self.known, self.hands = state.known, state.hands
        self.pausing = Pausing(state.known.identity_of)
        self._on_ready = on_ready
        self._agent: Agent
        self._patches = Patches()
        self._pass_on: Callable[..., bool] | None = None
        """The exception handler that a worker passes to the horses that it spawns."""

    def connect(self) -> None:
        """Wraps the methods of RQ's workers, queues, jobs and registries. Does nothing without an agent."""
        agent = z4j_agent.current()
        if agent is None:
            return
        self._agent = agent
        never_swallow(BaseTimeoutException)
        patches = self._patches
        job_marks.connect(patches)
        Sending(agent, self.known).connect(patches)
        Removing(agent).connect(patches)
        looked_at: dict[str, dict[str, Look]] = {
            "register_birth": {"before": self.before_birth, "after": self.after_birth},
            "teardown": {"after": self.after_teardown},
            "prepare_execution": {"after": self.after_prepare},
            "fork_work_horse": {"before": self.before_fork},
            "monitor_work_horse": {"before": self.before_monitor},
            "execute_job": {"always": self.always_executed},
            "handle_work_horse_killed": {"before": self.before_killed},
        }
        for name, looks in looked_at.items():
            patches.look_all(BaseWorker, name, **looks)
        running = Running(agent, self.hands, self.known)
        running.connect(patches)
        self.pausing.connect(patches)
        agent.close_at_exit()
        running.join_worker()

    def disconnect(self) -> None:
        """Removes the wrappers, and z4j's exception handler from the workers."""
        self._patches.restore()
        for worker in self.state.workers():
            worker._exc_handlers[:] = [handler for handler in worker._exc_handlers if handler is not self._pass_on]

    # -- start and end of a worker------------------------------------------------------------------------------------------------
    @guard("a worker's start")
    def before_birth(self, worker: Any) -> None:
        """Makes this process a worker, before it registers itself in Redis. Of several workers in one process, the first gives the name."""
        self.state.alive[id(worker)] = worker
        self._on_ready()
        if len(self.state.alive) > 1:
            return  # another worker runs in this process, which has one name
        # A worker without a given name has random digits as its name (rq/worker/base.py: `uuid4().hex`).
        seat = f"{','.join(worker.queue_names())}@{self._agent.host}" if _UNNAMED.fullmatch(worker.name) else ""
        self._agent.become_worker(str(worker.name), seat)
        if is_spawning(worker) and self._pass_on not in worker._exc_handlers:
            from z4j_rq.job_hooks.spawned import pass_on  # here: in a horse this module installs us

            self._pass_on = pass_on
            worker.push_exc_handler(pass_on)
        elif hasattr(worker, "fork_work_horse"):
            rehearse(self._agent, self.known, worker.connection)

    @guard("a worker's start")
    def after_birth(self, _worker: Any, _seen: Any, _result: Any) -> None:
        """Connects the agent when the worker is registered."""
        self._agent.connect()

    @guard("a worker's end")
    def after_teardown(self, worker: Any, _seen: Any, _result: Any) -> None:
        """Does not wait: the process may continue, and its events are sent meanwhile or at its end."""
        self.state.alive.pop(id(worker), None)

    # -- the job of a worker---------------------------------------------------------------------------------------------
    @guard("receiving")
    def after_prepare(self, worker: Any, _seen: Any, _result: Any, *args: Any, **kwargs: Any) -> None:
        """Reports the receipt of a job, in the worker's main process, before a work horse is forked for it."""
        job = job_in(args, kwargs)
        if job is None:
            return
        agent, at = self._agent, now()
        running = RunningJob(job.id, attempt_of(job), name_of(job), job.origin or "", at)
        self.hands.take(worker, running)
        if not is_asked(job):
            self.known.meet_name(running.name, running.queue)
        meta = records.NO_META if mark_of(job) else sent_meta(job, code="")
        record = records.received(ENGINE, running.task_id, running.attempt, at, agent.run, running.name, running.queue, meta=meta)
        running.is_reported = is_reported(job)
        if not running.is_reported and function_of(running.name) is not None:
            running.is_reported = True
            broker = self.known.identity_of(job.connection)  # at once: a task costs a fork anyway
            agent.append_with(record, lambda: originals.payload_of(agent, job, originals.BY_WORKER, broker))
        else:
            agent.append(record)
            if not running.is_reported:
                rehearse_sealing()

    @guard("before a horse")
    def before_fork(self, worker: Any, *_args: Any, **_kwargs: Any) -> None:
        """A spawned horse is a new interpreter: it reads its parent's process token from the environment."""
        if is_spawning(worker):
            os.environ[BOOT] = self._agent.run

    @guard("a horse")
    def before_monitor(self, worker: Any, *_args: Any, **_kwargs: Any) -> None:
        """Stores process ID and start of the horse, for a job that ends with it."""
        running = self.hands.of(worker)
        if running is not None:
            running.pid, running.started_at = int(worker._horse_pid or 0), now()

    @guard("the end of a job")
    def always_executed(self, worker: Any) -> None:
        """Called when the worker's main process is done with a job, whatever has become of it."""
        self.hands.empty(worker)

    @guard("a killed horse")
    def before_killed(self, worker: Any, job: Job, _pid: Any = None, returned: int | None = None, *_args: Any, **_kwargs: Any) -> None:
        """Stores how the horse ended, for the report that follows. `returned` is its status as `os.waitpid` gives it."""
        note_of(job).killed = status_text(returned)
        running = self.hands.of(worker)
        if running is not None and not running.is_reported:
            broker = self.known.identity_of(job.connection)
            self._agent.append(originals.payload_of(self._agent, job, originals.BY_WORKER, broker))
