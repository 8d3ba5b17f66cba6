# SPDX-License-Identifier: Apache-2.0
"""Waiting jobs of a queue of arq: listed in order, removed, moved, put in front. Used in the agent's thread.

A queue is a sorted set of job IDs by the millisecond of their due time. The message is stored under the job's own key, and a running job
stays in the set. So every change to a waiting job begins by claiming it, exactly as a worker does (worker.py:start_jobs): only one of
the two succeeds.
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
from z4j_arq.messages import ENGINE, attempt_of, execution_ms_of, job_id_of, now, parameter_names, task_id_of
from z4j_arq.queues import ArqPart, broker_of, brokers_by_queue, find, has_queue
from z4j_arq.state import ArqState
from z4j_arq.task_commands import score_of

PAGE = 200
LOOKED_AT = 200_000
"""Maximum number of jobs of a queue that one purge reads."""
CLAIM_MS = 1000
CANNOT_READ = (DeserializationError, ValueError, TypeError, KeyError)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job in a queue. `body` is None if its message is gone; `enqueued_ms` is 0 if it cannot be read."""

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
    """Claims a waiting job and executes `then` in the same transaction. Raises Refused if a worker has it, and for a job of another
    application: in a queue that this process does not use, and with a function that this application does not have."""
    claim, job, tries = in_progress_key_prefix + job_id, job_key_prefix + job_id, retry_key_prefix + job_id
    with client.pipeline(transaction=True) as pipe:
        pipe.watch(claim)
        score = pipe.zscore(queue, job_id)
        if pipe.exists(claim):
            raise Refused("a worker has already taken the task; stop it instead. No changes were made.")
        if score is None:
            raise Refused("the task does not wait there now. No changes were made.")
        waiting = _read(broker, job_id, score, pipe.get(job), pipe.get(tries))
        if task_id and execution_ms_of(task_id) not in (0, waiting.enqueued_ms):
            raise Refused("another job with the same ID waits. No changes were made.")
        if not (has_queue(state, queue) or waiting.name in state.functions() or waiting.name in state.enqueued):
            raise Refused(
                f"it waits in {queue[:80]}, to which this application has not enqueued in this process. No changes were made.",
                check="queue.unknown",
            )
        pipe.multi()
        pipe.psetex(claim, CLAIM_MS, b"1")  # the WATCH of a process that is about to claim it fails
        then(pipe, waiting)
        pipe.delete(claim)
        try:
            pipe.execute()
        except redis.WatchError as error:
            raise Refused("a worker has just taken the task; stop it instead. No changes were made.") from error
    return waiting


def _remove(queue: str) -> Callable[[Any, Waiting], None]:
    def remove(pipe: Any, waiting: Waiting) -> None:
        pipe.zrem(queue, waiting.job_id)
        pipe.delete(job_key_prefix + waiting.job_id, retry_key_prefix + waiting.job_id)

    return remove


def _located(state: ArqState, task_id: str, only: str) -> tuple[str, Broker, str]:
    """(queue, broker, job ID) of a task. Raises Refused."""
    job_id = job_id_of(task_id)
    location = find(state, job_id, only)
    if location is None:
        raise Refused("the task does not wait in any queue of this process's Redis now. No changes were made.")
    (_, queue), broker = location
    return queue, broker, job_id


def _entries_of_section(client: Any, broker: Broker, queue: str, section: str, most: int) -> Iterator[Waiting]:
    """The jobs of a section in the order in which they would run, without running ones."""
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
        raise Refused("arq does not store failed jobs in a queue")


def _shown(state: ArqState, waiting: Waiting) -> WaitingTask:
    agent = z4j_agent.current()
    coroutine = state.coroutine_of(waiting.name)
    due_at, enqueued_at = int(waiting.score * 1000), waiting.enqueued_ms * 1000 or None
    text = "…"  # without the parameters' names a secret argument is not recognised
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


class QueueCommands(ArqPart):
    """Commands for waiting jobs and for queues."""

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        """Removes a waiting job from its queue. arq has no function for that, so the cancellation is reported here. Raises Refused."""
        queue, broker, job_id = _located(self.state, task_id, self.only)
        with broker.connect() as client:
            taken = _take(self.state, client, broker, queue, job_id, _remove(queue), task_id=task_id)
        agent = z4j_agent.current()
        if agent is not None:
            agent.append(records.cancelled(ENGINE, task_id, taken.attempt, now(), agent.run, taken.name, queue, reason="revoked"))
        return {"queue": queue}

    def move_task(self, task_id: str, queue: str) -> dict[str, Any]:
        """Moves a job to the end of another queue of the same Redis; a delayed job keeps its time. Raises Refused."""
        source, broker, job_id = _located(self.state, task_id, self.only)
        if source == queue:
            raise Refused("the task is already in that queue. No changes were made.")
        there = [known for key, known in brokers_by_queue(self.state).items() if key[1] == queue]
        if there and all(known.server != broker.server for known in there):
            raise Refused(f"{queue[:80]} is in another Redis. No changes were made.")
        at = now()

        def move(pipe: Any, waiting: Waiting) -> None:
            pipe.zrem(source, job_id)
            pipe.zadd(queue, {job_id: max(waiting.score, score_of(at))})

        with broker.connect() as client:
            if client.type(queue) not in (b"zset", b"none"):
                raise Refused(f"{queue[:80]} is not a queue of arq. No changes were made.")
            moved = _take(self.state, client, broker, source, job_id, move, task_id=task_id)
        agent = z4j_agent.current()
        if agent is not None:
            agent.append(records.moved(ENGINE, task_id, moved.attempt, now(), agent.run, moved.name, queue))
        return {"queue": queue}

    def prioritise_task(self, task_id: str, level: str) -> dict[str, Any]:
        """Moves a job to the front: a score below every other. arq has no other order. Raises Refused."""
        if level != "next":
            raise Refused("arq only orders jobs by their time: a job can only be moved to the front. No changes were made.")
        queue, broker, job_id = _located(self.state, task_id, self.only)
        with broker.connect() as client:
            first = client.zrange(queue, 0, 0, withscores=True)
            score = first[0][1] - 1 if first else 1
            score = score or -1  # arq treats a job with the score 0 as missing (worker.py:start_jobs)
            _take(self.state, client, broker, queue, job_id, lambda pipe, _: pipe.zadd(queue, {job_id: score}, xx=True), task_id=task_id)
        return {"queue": queue}

    def release_task(self, task_id: str) -> dict[str, Any]:
        """Makes a deferred job, or one that waits for its next try, due now. Raises Refused."""
        queue, broker, job_id = _located(self.state, task_id, self.only)
        at = now()

        def hasten(pipe: Any, waiting: Waiting) -> None:
            if waiting.score <= at // 1000:
                raise Refused("the task is already due and waits for a worker. No changes were made.")
            pipe.zadd(queue, {job_id: score_of(at)}, xx=True)

        with broker.connect() as client:
            released = _take(self.state, client, broker, queue, job_id, hasten, task_id=task_id)
        agent = z4j_agent.current()
        if agent is not None:
            agent.append(records.enqueued(ENGINE, task_id, released.attempt, at, agent.run, released.name, queue))
        return {"queue": queue}

    def peek_queue(self, queue: str, section: str, limit: int) -> list[WaitingTask]:
        """Lists jobs of a section. Changes nothing. Raises Refused."""
        _check(section)
        queue, broker = broker_of(self.state, queue, self.only)
        with broker.connect() as client:  # running jobs are in the set too, usually in front
            return [
                _shown(self.state, waiting) for waiting in islice(_entries_of_section(client, broker, queue, section, limit + PAGE), limit)
            ]

    def purge_queue(self, queue: str, section: str) -> dict[str, Any]:
        """Removes all current jobs of a section. Raises Refused."""
        _check(section)
        agent = z4j_agent.current()
        assert agent is not None  # the command came through it
        queue, broker = broker_of(self.state, queue, self.only)
        with broker.connect() as client:

            def take(waiting: Waiting) -> bool:
                try:
                    _take(self.state, client, broker, queue, waiting.job_id, _remove(queue))
                except Refused:
                    return False  # a worker has taken it: it runs
                return True

            def entry(waiting: Waiting) -> Entry:
                return Entry(
                    waiting.task_id, waiting.attempt, waiting.name, partial(take, waiting), partial(_payload, self.state, queue, waiting)
                )

            return purge(agent, ENGINE, queue, map(entry, _entries_of_section(client, broker, queue, section, LOOKED_AT)))
