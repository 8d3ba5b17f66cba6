# SPDX-License-Identifier: AGPL-3.0-or-later
"""A recorded worker: it holds the tasks of the story, keeps finishing new ones, and answers actions as its engine would."""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from typing import Any, NamedTuple

from z4j_agent.commands.edits import apply_edit
from z4j_agent.contract.adapter import Refused
from z4j_demo import capabilities, lives, present
from z4j_demo.brief import Brief
from z4j_demo.link import NOTE, Facts, Link, now
from z4j_demo.lives import Life, Process
from z4j_demo.present import Held
from z4j_demo.story import KINDS, OPTIONS, PRODUCTION, SECOND, SMTP, VERSIONS, Kind, queues_of

EVERY_S = {PRODUCTION: 12.0}
"""Mean time between new tasks of one worker; elsewhere they are rarer."""
HELD_S = (120, 300)
"""How long a task still runs that was running when the demo began."""
RESTART_S = 8.0


class Group(NamedTuple):
    """What the workers of an engine of an app and environment share: any of them may be asked about a task in the broker, and some requests
    go to all of them."""

    held: dict[str, Held]
    taken: set[str]
    """IDs of tasks that an operator has cancelled, stopped or released."""


class RecordedWorker(Link):
    """One worker of an engine that the demo does not run."""

    def __init__(self, brief: Brief, process: Process, group: Group) -> None:
        worker = process.worker
        hello = {
            "host": worker.host, "role": "worker", "worker": worker.name, "app": worker.app, "environment": worker.environment,
            "release": process.release, "engines": {worker.engine: f"{VERSIONS[worker.engine]} demo"},
            "capabilities": capabilities.of_engine(worker.engine),
        }  # fmt: skip
        super().__init__(brief.connections[worker.app], process.boot, hello)
        self.process, self.engine = process, worker.engine
        self.rng = random.Random(f"{brief.seed}{process.boot}")  # noqa: S311 -- a story, no secret
        self.held, self.taken = group
        self.kinds = {kind.name: kind for kind in KINDS if (kind.app, kind.engine) == (worker.app, worker.engine)}
        self.queues = queues_of(worker.app, worker.engine)
        self.concurrency = worker.concurrency
        self.paused: set[str] = set()
        self.waiting.append(process.origin())

    # -- what it reports -------------------------------------------------------------------------------------------------
    async def report(self) -> None:
        """Tasks, queues and the worker."""
        depths = {queue: [each for each in self.held.values() if each.life.kind.queue == queue] for queue in self.queues}
        queues = [
            [queue, sum(each.state == "queued" for each in tasks), 1, min((each.life.at for each in tasks), default=None)]
            for queue, tasks in depths.items()
        ]
        worker = self.process.worker
        await self.say(
            {
                "type": "discovery", "engine": self.engine,
                "tasks": [[kind.name, "(*args)", f"Recorded: {kind.args}", kind.queue] for kind in self.kinds.values()],
                "queues": queues,
                "worker": {
                    "name": worker.name, "pool": worker.pool, "concurrency": self.concurrency, "queues": self.queues, "pids": [7],
                    "notes": [], "options": OPTIONS.get(self.engine, {}),
                },
            }
        )  # fmt: skip

    async def changed(self) -> None:
        await self.report()

    def running(self) -> list[list[Any]]:
        return [
            [self.engine, each.life.task_id, 0, each.life.kind.name, each.life.kind.queue, each.life.started_at, 7]
            for each in self.held.values()
            if each.state == "running" and each.life.process == self.process
        ]

    async def live(self) -> None:
        """Finishes a new task from time to time, and soon what it has begun."""
        await asyncio.gather(self._finish_held(), self._go_on())

    async def _finish_held(self) -> None:
        for held in [each for each in self.held.values() if each.state == "running" and each.life.process == self.process]:
            await asyncio.sleep(self.rng.uniform(*HELD_S))
            if self.held.pop(held.life.task_id, None) is not None:
                self.waiting.append(lives.succeeded(held.life._replace(runtime=now() - held.life.started_at)))
                await self.flush()

    async def _go_on(self) -> None:
        worker = self.process.worker
        mean = EVERY_S.get(worker.environment, 60.0)
        kinds = list(self.kinds.values())
        while True:
            await asyncio.sleep(self.rng.expovariate(1 / mean))
            life = lives.begin(self.rng, self.rng.choices(kinds, [kind.weight for kind in kinds])[0], self.process, now())
            if life.kind.queue in self.paused or self.socket is None or len(self.running()) >= self.concurrency:
                continue
            self.held[life.task_id] = Held(life, "queued")
            self.waiting += lives.sent(life, None, has_original=True)
            await self.flush()
            await asyncio.sleep(max(0.0, (life.started_at - now()) / SECOND))
            if life.task_id not in self.held:  # cancelled meanwhile
                continue
            self.held[life.task_id] = Held(life, "running")
            self.waiting += [lives.started(life), *lives.logged(life)]
            await self.flush()
            await asyncio.sleep(life.runtime / SECOND)
            if self.held.pop(life.task_id, None) is not None:
                failure = lives.fails(self.rng, life)
                self.waiting.append(lives.succeeded(life) if failure is None else lives.failed(life, failure))
                await self.flush()

    # -- what it answers -------------------------------------------------------------------------------------------------
    def execute(self, action: str, params: Facts) -> tuple[str, Facts]:
        answer = getattr(self, f"_{action}", None)
        if answer is None:
            return "unsupported", {"error": "demo: not recorded"}
        try:
            return "done", answer(params) or {}
        except Refused as error:  # its task has ended, or an edit does not fit the arguments
            return "refused", {"error": f"demo: {error}"}

    def _task(self, params: Facts) -> Held | None:
        return self.held.get(str(params.get("task_id")))

    def _take(self, params: Facts) -> Held | None:
        """Removes a task from what is held; None if another worker has done so at the same request. Raises Refused if it has ended."""
        task_id = str(params["task_id"])
        held = self.held.pop(task_id, None)
        if held is None and task_id not in self.taken:
            raise Refused("this task has ended, or is not in the queue. No changes were made.")
        self.taken.add(task_id)
        return held

    def _again(self, params: Facts) -> Facts:
        """A new task under the requested ID, which succeeds with a recorded result."""
        task_id = str(params["new_id"])
        if params.get("original"):
            recorded = lives.read_original(params["original"])
            name, queue = recorded.name, recorded.queue
            args, kwargs = apply_edit(recorded.args, recorded.kwargs, params.get("edit") or {})
        else:
            name, queue = str(params["name"]), str(params.get("queue") or "")
            args, kwargs = params.get("args") or [], params.get("kwargs") or {}
        kind = self.kinds.get(name) or self._unknown(name, queue)
        shown = f"{json.dumps(args, ensure_ascii=False)} {json.dumps(kwargs, ensure_ascii=False)}".removesuffix(" {}")
        kind = kind._replace(args=shown)
        life = lives.begin(self.rng, kind, self.process, now())._replace(task_id=task_id, runtime=120_000)
        life = life._replace(started_at=life.at + 2_000)
        self.waiting += lives.sent(life, None, has_original=True, retry_of=str(params.get("task_id") or ""))
        self.waiting.append(lives.succeeded(life, result=f'"{NOTE}"'))
        return {"task_id": task_id}

    _retry_task = _edit_task = _restore_task = _run_task = _again

    def _unknown(self, name: str, queue: str) -> Kind:
        worker = self.process.worker
        return Kind(worker.app, worker.engine, name, queue or self.queues[0], 1, 100, "[]", failure=SMTP)

    def _cancel_task(self, params: Facts) -> None:
        self._end(params, "revoked")

    def _terminate_task(self, params: Facts) -> None:
        self._end(params, "stopped")

    def _end(self, params: Facts, reason: str) -> None:
        if (held := self._take(params)) is not None:
            self._cancelled(held.life, reason)

    def _cancelled(self, life: Life, reason: str) -> None:
        self.record("cancelled", *self._head(life), None, None, reason, None, None)

    def _head(self, life: Life) -> tuple[Any, ...]:
        return self.engine, life.task_id, 0, now(), f"{life.process.boot}.7", life.kind.name, life.kind.queue

    def _release_task(self, params: Facts) -> None:
        if (held := self._take(params)) is not None:
            life = held.life._replace(runtime=90_000)
            self.waiting += [lives.started(life, 1, now()), lives.succeeded(life, 1, now(), result=f'"{NOTE}"')]

    def _prioritise_task(self, params: Facts) -> None:
        """Changes nothing that is reported."""

    def _move_task(self, params: Facts) -> None:
        if (held := self._task(params)) is not None:
            life = held.life._replace(kind=held.life.kind._replace(queue=str(params["queue"])))
            self.held[life.task_id] = held._replace(life=life)
            self.record("moved", *self._head(life), None)

    def _lookup_task(self, params: Facts) -> Facts:
        held = self._task(params)
        return {"state": held.state if held is not None else "unknown"}

    def _inspect_task(self, params: Facts) -> Facts:
        held = self._task(params)
        if held is None or held.state != "running":
            raise Refused("this task does not run.")
        return {"stack": lives.stack(held.life), "of": "thread"}

    def _peek_queue(self, params: Facts) -> Facts:
        states = {"waiting": ("queued",), "delayed": ("scheduled", "retrying")}.get(str(params.get("place") or "waiting"), ())
        found = [each for each in self.held.values() if each.life.kind.queue == params["queue"] and each.state in states]
        return {
            "tasks": [
                {
                    "task_id": each.life.task_id, "name": each.life.kind.name,
                    "args": each.life.kind.args.replace("{number}", str(each.life.number)),
                    "enqueued_at": each.life.at, "due_at": each.eta or None, "priority": None,
                }
                for each in sorted(found, key=lambda each: each.life.at)
            ]
        }  # fmt: skip

    def _purge_queue(self, params: Facts) -> Facts:
        found = [each for each in self.held.values() if each.life.kind.queue == params["queue"] and each.state == "queued"]
        first_at = now()
        for each in found:
            del self.held[each.life.task_id]
            self._cancelled(each.life, "purged")
        return {"tasks": len(found), "first_at": first_at, "last_at": now()}

    def _pause_queue(self, params: Facts) -> None:
        self.paused.add(str(params["queue"]))

    def _resume_queue(self, params: Facts) -> None:
        self.paused.discard(str(params["queue"]))

    def _shutdown_worker(self, params: Facts) -> Facts:
        self.away_s = RESTART_S
        return {"note": f"{NOTE}; the worker comes back in {RESTART_S:.0f} seconds"}

    _restart_worker = _shutdown_worker

    def _resize_worker(self, params: Facts) -> Facts:
        self.concurrency = max(1, self.concurrency + int(params.get("by") or 0))
        return {"concurrency": self.concurrency}

    def _consume_queue(self, params: Facts) -> None:
        self.queues = sorted({*self.queues, str(params["queue"])})

    def _leave_queue(self, params: Facts) -> None:
        self.queues = [queue for queue in self.queues if queue != params["queue"]]

    def _limit_name(self, params: Facts) -> None:
        """Changes nothing that is reported."""


def workers_of(brief: Brief) -> list[RecordedWorker]:
    """All recorded workers, with the tasks that they hold."""
    shared: dict[tuple[str, ...], Group] = defaultdict(lambda: Group({}, set()))
    for each in present.held_now(brief):
        shared[each.life.process.worker[:3]].held[each.life.task_id] = each
    known = [process for process in present.processes(brief) if process.worker.engine in VERSIONS]
    return [RecordedWorker(brief, process, shared[process.worker[:3]]) for process in known]
