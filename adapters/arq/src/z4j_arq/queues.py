# SPDX-License-Identifier: Apache-2.0
"""Reads arq's Redis in the agent's thread with a separate connection: the application's loop may be busy, or not running."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import redis
from arq.constants import in_progress_key_prefix

import z4j_agent
from z4j_agent.capture.guard import faults
from z4j_agent.contract.adapter import QueueInfo, Refused, SeveralBrokers
from z4j_agent.runtime.native_threads import ticks
from z4j_arq.brokers.broker import Broker, QueueKey
from z4j_arq.messages import ENGINE, now
from z4j_arq.state import ArqState

SEARCH_S = 2.0
"""Seconds for which unknown queues are searched."""
OLDEST_LOOKED_AT = 200
"""Number of jobs at the front of a queue that are read: a running job stays in its queue (arq, worker.py:start_jobs), among the oldest."""


def brokers_by_queue(state: ArqState, only: str = "") -> dict[QueueKey, Broker]:
    """Returns the queues of this process's workers, then those to which it has enqueued, with their Redis; of one Redis or of all."""
    known = state.known
    own = {(known.identity_of(each.pool), str(each.queue_name)): known.broker_of(each.pool, each) for each in _with_pool(state)}
    sections = own | {key: broker for key, broker in known.met() if key not in own}
    return {key: broker for key, broker in sections.items() if only in ("", key[0])}


def _with_pool(state: ArqState) -> list[Any]:
    return [each for each in list(state.workers) if each.pool is not None]


def servers(state: ArqState, only: str = "") -> dict[str, Broker]:
    """By identity."""
    brokers: dict[str, Broker] = {}
    for (identity, _), broker in brokers_by_queue(state, only).items():
        brokers.setdefault(identity, broker)
    return brokers


ARQS_OWN = ("arq:abort", "arq:health-check", "arq:in-progress:", "arq:job:", "arq:result:", "arq:retry:")
"""Prefixes of arq's other keys (arq, constants.py)."""


def has_queue(state: ArqState, queue: str, only: str = "") -> bool:
    """Whether a worker of this process takes from the queue, or this process has enqueued to it."""
    return not queue.startswith(ARQS_OWN) and any(key[1] == queue for key in brokers_by_queue(state, only))


def broker_of(state: ArqState, queue: str, only: str = "") -> tuple[str, Broker]:
    """Returns a queue and its broker; "" is the first queue of this process. Raises Refused if the process has no Redis yet, no such queue,
    or one in several brokers."""
    known = brokers_by_queue(state, only)
    if not known:
        raise Refused("this process has not connected to arq's Redis yet. No changes were made.")
    queue = queue or next(iter(known))[1]
    brokers = [broker for key, broker in known.items() if key[1] == queue]
    if len(brokers) > 1:
        raise Refused(
            f"this process uses several Redis databases with a queue {queue[:80]}, and the command names none. No changes were made.",
            check="broker.unknown",
        )
    if brokers and not queue.startswith(ARQS_OWN):
        return queue, brokers[0]
    if len({key[0] for key in known}) == 1 and not queue.startswith(ARQS_OWN):
        return queue, next(iter(known.values()))  # one that another process uses, in the only Redis
    raise Refused(f"this process does not use the queue {queue[:80]}. No changes were made.", check="queue.unknown")


def find(state: ArqState, job_id: str, only: str = "") -> tuple[QueueKey, Broker] | None:
    """Returns the queue and the broker of a waiting or running job. If no known queue has it, every sorted set is searched, for a limited
    time. Raises Refused if several Redis databases have it, because that is ambiguous."""
    known = brokers_by_queue(state, only)
    locations: dict[str, tuple[QueueKey, Broker]] = {}
    for (identity, queue), broker in known.items():
        with broker.connect() as client:
            if identity not in locations and client.zscore(queue, job_id) is not None:
                locations[identity] = ((identity, queue), broker)
    if len(locations) > 1:
        raise Refused("several Redis databases of this process have a job with this ID. No changes were made.", check="broker.unknown")
    if locations:
        return next(iter(locations.values()))
    names = {key[1] for key in known}
    for identity, broker in servers(state, only).items():
        ends = ticks() + SEARCH_S
        with broker.connect() as client:
            for key in client.scan_iter(count=1000, _type="zset"):
                queue = key.decode("utf-8", "replace")
                if queue not in names and not queue.startswith("arq:abort") and client.zscore(key, job_id) is not None:
                    return (identity, queue), broker
                if ticks() > ends:
                    break
    return None


def _measure(client: Any, queue: str) -> QueueInfo:
    ms = now() // 1000
    pipe = client.pipeline(transaction=False)
    pipe.zcount(queue, "-inf", ms)
    pipe.zrangebyscore(queue, "-inf", ms, start=0, num=OLDEST_LOOKED_AT, withscores=True)
    pipe.zcount(queue, f"({ms}", "+inf")
    due, oldest, delayed = pipe.execute()
    if not oldest:
        return QueueInfo(queue, 0, delayed=int(delayed))
    running = client.mget([in_progress_key_prefix.encode() + job_id for job_id, _ in oldest])
    waiting = [score for (_, score), is_running in zip(oldest, running, strict=True) if not is_running]
    depth = max(due - (len(oldest) - len(waiting)), 0)
    return QueueInfo(queue, depth, oldest_at=int(waiting[0]) * 1000 if waiting and waiting[0] > 1 else None, delayed=int(delayed))


class ArqPart(SeveralBrokers):
    """Base class of the adapter's parts: the workers and queues of this process."""

    engine: ClassVar[str] = ENGINE
    state: ArqState

    def brokers(self) -> Mapping[str, str]:
        """Returns the Redis of each worker, also before it has connected, then those to which this process has enqueued."""
        agent = z4j_agent.current()
        fingerprints = agent.fingerprints if agent is not None else {}
        own = (self.state.known.identity_of_worker(worker) for worker in list(self.state.workers))
        return {identity: fingerprints.get(identity, "") for identity in (*own, *servers(self.state))}

    def list_queues(self) -> list[QueueInfo]:
        """Returns every queue of this process. Deferred and running jobs do not count as waiting. A Redis that cannot be reached does not
        affect the others' queues."""
        queues, known = [], brokers_by_queue(self.state)
        for (identity, queue), broker in sorted(known.items(), key=lambda item: item[0]):
            try:
                with broker.connect() as client:
                    queues.append(replace(_measure(client, queue), broker=identity))
                    self.state.known.keep_fingerprint(identity, client)
            except redis.RedisError as error:
                if len({key[0] for key in known}) == 1:
                    raise
                faults.report(f"reading the queue {queue[:80]}", error)
                queues.append(QueueInfo(queue, None, broker=identity))
        return queues
