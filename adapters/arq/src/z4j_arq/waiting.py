# SPDX-License-Identifier: Apache-2.0
"""What waits in a queue of arq's: shown in its order, and taken out of it, moved or put in front. Called in the agent's thread.

A queue is a sorted set of job ids by the millisecond they are due, the message lies beside it under the job's own key, and a job that
runs stays in the set. So whatever is done to one that waits begins by claiming it, exactly as a worker would (worker.py:start_jobs):
of the two, one is first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import redis
from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from arq.jobs import DeserializationError, deserialize_job_raw

import z4j_agent
from z4j_agent.capture import display
from z4j_agent.commands.queue_actions import Entry, purge
from z4j_agent.contract.adapter import Refused, WaitingTask
from z4j_agent.wire import records
from z4j_arq import originals
from z4j_arq.brokers.broker import Broker
from z4j_arq.commands import score_of
from z4j_arq.messages import ENGINE, attempt_of, execution_ms_of, job_id_of, now, parameter_names, task_id_of
from z4j_arq.queues import ArqPart, broker_of, brokers_by_queue, find, has_queue
from z4j_arq.state import ArqState

PAGE = 200
LOOKED_AT = 200_000
"""Jobs of a queue that one purge goes through."""
CLAIM_MS = 1000
CANNOT_READ = (DeserializationError, ValueError, TypeError, KeyError)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job as it stands in its queue. `body` is None where its message is gone already; `enqueued_ms` is 0 where it cannot be read."""

    job_id: str
    score: float
    body: bytes | None
    attempt: int = 0
    name: str = ""
    args: Any = ()
    kwargs: Any = None
    enqueued_ms: int = 0

    @property
    def task_id(self) -> str:
        return task_id_of(self.job_id, self.enqueued_ms)


def _read(broker: Broker, job_id: str, score: float, body: bytes | None, tries: Any) -> Waiting:
    tried = int(tries or 0)
    if body is not None:
        try:
            name, args, kwargs, first_try, enqueued_ms = deserialize_job_raw(body, deserializer=broker.deserializer)
        except CANNOT_READ:
            return Waiting(job_id, score, body, tried)
        return Waiting(job_id, score, body, max(tried, attempt_of(first_try)), str(name), args, kwargs, int(enqueued_ms))
    return Waiting(job_id, score, None, tried)


def _take(
    state: ArqState, client: Any, broker: Broker, queue: str, job_id: str, then: Callable[[Any, Waiting], None], *, task_id: str = ""
) -> Waiting:
    """Claims a job that waits and does `then` to it within the same transaction. Raises Refused where a worker has it, and for one of
    another application: in a queue this process does not use, and of a function this application does not have."""
    claim, job, tries = in_progress_key_prefix + job_id, job_key_prefix + job_id, retry_key_prefix + job_id
    with client.pipeline(transaction=True) as pipe:
        pipe.watch(claim)
        score = pipe.zscore(queue, job_id)
        if pipe.exists(claim):
            raise Refused("a worker has it already; stop it instead")
        if score is None:
            raise Refused("it does not wait there (any more)")
        waiting = _read(broker, job_id, score, pipe.get(job), pipe.get(tries))
        if task_id and execution_ms_of(task_id) not in (0, waiting.enqueued_ms):
            raise Refused("another job waits under the same id")
        if not (has_queue(state, queue) or waiting.name in state.functions() or waiting.name in state.enqueued):
            raise Refused(f"it waits in {queue[:80]}, where this application enqueues nothing that is known here", check="queue.unknown")
        pipe.multi()
        pipe.psetex(claim, CLAIM_MS, b"1")  # whoever is about to claim it finds his WATCH broken
        then(pipe, waiting)
        pipe.delete(claim)
        try:
            pipe.execute()
        except redis.WatchError as error:
            raise Refused("a worker took it at this moment; stop it instead") from error
    return waiting


def _remove(queue: str) -> Callable[[Any, Waiting], None]:
    def remove(pipe: Any, waiting: Waiting) -> None:
        pipe.zrem(queue, waiting.job_id)
        pipe.delete(job_key_prefix + waiting.job_id, retry_key_prefix + waiting.job_id)

    return remove


def _located(state: ArqState, task_id: str, only: str) -> tuple[str, Broker, str]:
    """(queue, where it is, the job's id). Raises Refused."""
    job_id = job_id_of(task_id)
    location = find(state, job_id, only)
    if location is None:
        raise Refused("it does not wait in any queue of the Redis that this process uses (any more)")
    (_, queue), broker = location
    return queue, broker, job_id


def _entries_of_section(client: Any, broker: Broker, queue: str, section: str, most: int) -> Iterator[Waiting]:
    """The jobs of a place in the order they would run, without those that run."""
    ms = now() // 1000
    low, high = ("-inf", str(ms)) if section == "waiting" else (f"({ms}", "+inf")
    seen = client.zrangebyscore(queue, low, high, start=0, num=most, withscores=True)
    for start in range(0, len(seen), PAGE):
        page = [(job_id.decode(), score) for job_id, score in seen[start : start + PAGE]]
        keys = [prefix + job_id for job_id, _ in page for prefix in (in_progress_key_prefix, job_key_prefix, retry_key_prefix)]
        values = client.mget(keys)
        for index, (job_id, score) in enumerate(page):
            claim, body, tries = values[3 * index : 3 * index + 3]
            if claim is None:
                yield _read(broker, job_id, score, body, tries)


def _check(section: str) -> None:
    if section not in ("waiting", "delayed"):
        raise Refused("arq keeps no failed jobs in a queue")


def _shown(state: ArqState, waiting: Waiting) -> WaitingTask:
    agent = z4j_agent.current()
    coroutine = state.coroutine_of(waiting.name)
    due_at, enqueued_at = int(waiting.score * 1000), waiting.enqueued_ms * 1000 or None
    text = "…"  # without the parameters' names nothing says which argument is a secret
    if agent is not None and waiting.enqueued_ms and coroutine is not None:
        text, _ = display.show_arguments(waiting.args, waiting.kwargs, agent.settings.redact, parameter_names(coroutine))
    return WaitingTask(waiting.task_id, waiting.name, text, enqueued_at, due_at if due_at > now() else None)


def _payload(state: ArqState, queue: str, waiting: Waiting) -> bytes | None:
    if not waiting.enqueued_ms:
        return None
    agent, coroutine = z4j_agent.current(), state.coroutine_of(waiting.name)
    assert agent is not None
    assert waiting.body is not None
    names = () if coroutine is None else parameter_names(coroutine)
    job = originals.Job(waiting.task_id, waiting.attempt, waiting.name, queue, waiting.args, waiting.kwargs, waiting.body, names)
    return originals.payload_of(agent, job, originals.BY_WORKER)


class WaitingTasks(ArqPart):
    """What may be asked of jobs that wait."""

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        """Takes a waiting job out of its queue. arq has no word for that, so the cancellation is told here. Raises Refused."""
        queue, broker, job_id = _located(self.state, task_id, self.only)
        with broker.connect() as client:
            taken = _take(self.state, client, broker, queue, job_id, _remove(queue), task_id=task_id)
        agent = z4j_agent.current()
        if agent is not None:
            agent.append(records.cancelled(ENGINE, task_id, taken.attempt, now(), agent.run, taken.name, queue, reason="revoked"))
        return {"queue": queue}

    def move_task(self, task_id: str, queue: str) -> dict[str, Any]:
        """Behind what waits in another queue of the same Redis; what is delayed keeps its time. Raises Refused."""
        source, broker, job_id = _located(self.state, task_id, self.only)
        if source == queue:
            raise Refused("it is in that queue already")
        there = [known for key, known in brokers_by_queue(self.state).items() if key[1] == queue]
        if there and all(known.server != broker.server for known in there):
            raise Refused(f"{source} is in another Redis")
        at = now()

        def move(pipe: Any, waiting: Waiting) -> None:
            pipe.zrem(source, job_id)
            pipe.zadd(queue, {job_id: max(waiting.score, score_of(at))})

        with broker.connect() as client:
            if client.type(queue) not in (b"zset", b"none"):
                raise Refused(f"{source} is no queue of arq's")
            moved = _take(self.state, client, broker, source, job_id, move, task_id=task_id)
        agent = z4j_agent.current()
        if agent is not None:
            agent.append(records.moved(ENGINE, task_id, moved.attempt, now(), agent.run, moved.name, queue))
        return {"queue": queue}

    def prioritise_task(self, task_id: str, level: str) -> dict[str, Any]:
        """To the front: a score below every other. There is no other order in a queue of arq's. Raises Refused."""
        if level != "next":
            raise Refused("arq knows one order only, the time a job is due: it can be put in front, and nowhere else")
        queue, broker, job_id = _located(self.state, task_id, self.only)
        with broker.connect() as client:
            first = client.zrange(queue, 0, 0, withscores=True)
            score = first[0][1] - 1 if first else 1
            score = score or -1  # arq takes a job at 0 for one that is not there (worker.py:start_jobs)
            _take(self.state, client, broker, queue, job_id, lambda pipe, _: pipe.zadd(queue, {job_id: score}, xx=True), task_id=task_id)
        return {"queue": queue}

    def release_task(self, task_id: str) -> dict[str, Any]:
        """A deferred job, or one that waits for its next try, is due now. Raises Refused."""
        queue, broker, job_id = _located(self.state, task_id, self.only)
        at = now()

        def hasten(pipe: Any, waiting: Waiting) -> None:
            if waiting.score <= at // 1000:
                raise Refused("it is due already and waits for a worker")
            pipe.zadd(queue, {job_id: score_of(at)}, xx=True)

        with broker.connect() as client:
            released = _take(self.state, client, broker, queue, job_id, hasten, task_id=task_id)
        agent = z4j_agent.current()
        if agent is not None:
            agent.append(records.enqueued(ENGINE, task_id, released.attempt, at, agent.run, released.name, queue))
        return {"queue": queue}

    def peek_queue(self, queue: str, section: str, limit: int) -> list[WaitingTask]:
        """Changes nothing. Raises Refused."""
        _check(section)
        queue, broker = broker_of(self.state, queue, self.only)
        with broker.connect() as client:  # those that run are in the set too, mostly in front
            return [
                _shown(self.state, waiting) for waiting in islice(_entries_of_section(client, broker, queue, section, limit + PAGE), limit)
            ]

    def purge_queue(self, queue: str, section: str) -> dict[str, Any]:
        """Takes out what is there now. Raises Refused."""
        _check(section)
        agent = z4j_agent.current()
        assert agent is not None  # the command came through it
        queue, broker = broker_of(self.state, queue, self.only)
        with broker.connect() as client:

            def take(waiting: Waiting) -> bool:
                try:
                    _take(self.state, client, broker, queue, waiting.job_id, _remove(queue))
                except Refused:
                    return False  # a worker was first: it runs
                return True

            def entry(waiting: Waiting) -> Entry:
                return Entry(
                    waiting.task_id, waiting.attempt, waiting.name, partial(take, waiting), partial(_payload, self.state, queue, waiting)
                )

            return purge(agent, ENGINE, queue, map(entry, _entries_of_section(client, broker, queue, section, LOOKED_AT)))
