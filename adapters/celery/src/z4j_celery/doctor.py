# SPDX-License-Identifier: Apache-2.0
"""Known problems of Celery configurations that can be detected inside a process."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from celery.worker import state as worker_state

from z4j_agent.contract.adapter import Finding

VISIBILITY_S = 3600
"""Seconds after which Redis redelivers an unacknowledged message by default."""
NO_FANOUT = ("memory", "filesystem", "sqlalchemy", "sqs")
TOO_LATE_FOR_LIMITS = ("solo", "thread", "eventlet")


def findings(apps: Iterable[Any], consumer: Any) -> list[Finding]:
    """Findings about these apps and about this process's worker, each with its remedy."""
    findings: list[Finding] = []
    for app in apps:
        broker = str(app.connection_for_write().transport.driver_type)
        findings += [*_of_safety(app.conf), *_of_ends(app.conf), *_of_broker(app.conf, broker), *_of_results(app)]
    if consumer is not None:
        findings += _of_worker(consumer)
    return list(dict.fromkeys(findings))


def _of_safety(conf: Any) -> Iterator[Finding]:
    if {"pickle", "application/x-python-serialize"} & set(conf.accept_content or ()):
        yield Finding(
            "warning",
            "This worker accepts pickle. Anyone who can write to the broker can run code here.",
            "Send JSON, and remove pickle from accept_content.",
        )
    if conf.task_always_eager:
        yield Finding(
            "warning", "task_always_eager is enabled: tasks run in the calling process, not in a worker.", "Set it in tests only."
        )


def _of_ends(conf: Any) -> Iterator[Finding]:
    if conf.task_acks_late and not conf.task_reject_on_worker_lost:
        yield Finding(
            "warning",
            "acks_late is enabled without reject_on_worker_lost: the task of a killed child is acknowledged and does not run again.",
            "Enable task_reject_on_worker_lost if your tasks may run twice.",
        )
    if conf.task_time_limit is None:
        yield Finding("warning", "No time limit is set: a task that hangs occupies its process permanently.", "Set task_time_limit.")


def _of_broker(conf: Any, broker: str) -> Iterator[Finding]:
    if broker == "redis":
        longest = _visibility(conf)
        limit = conf.task_time_limit
        if conf.task_acks_late and limit is not None and limit > longest:
            yield Finding(
                "error",
                f"Tasks may run for {limit:g} s, but Redis redelivers their messages after {longest:g} s: a task can run twice at once.",
                "Set visibility_timeout in broker_transport_options above the longest time limit.",
            )
        if conf.task_default_priority is not None or conf.task_queue_max_priority is not None:
            yield Finding(
                "warning",
                "Priorities are set and the broker is Redis, where 0 is the highest priority and 9 the lowest, unlike in other brokers.",
                "Check the priorities.",
            )
    if broker == "amqp" and conf.task_default_queue_type == "quorum" and conf.task_queue_max_priority is not None:
        yield Finding("warning", "Quorum queues do not support priorities as classic queues do.", "Use a separate queue for each priority.")
    if broker in NO_FANOUT or not conf.worker_enable_remote_control:
        yield Finding(
            "warning",
            "Remote control is not available: a cancellation reaches only the worker that receives z4j's command.",
            "Enable worker_enable_remote_control, with Redis or RabbitMQ as the broker.",
        )


def _of_results(app: Any) -> Iterator[Finding]:
    kind = type(app.backend).__name__
    if kind in ("DisabledBackend", "RPCBackend"):
        yield Finding(
            "ok",
            "No result backend can be queried: the outcome of tasks of a vanished worker is known only from its own reports.",
            "Set result_backend to a store such as Redis.",
        )


def _of_worker(consumer: Any) -> Iterator[Finding]:
    conf, pool = consumer.app.conf, type(consumer.pool).__module__.rpartition(".")[2]
    if pool in TOO_LATE_FOR_LIMITS and (conf.task_time_limit or conf.task_soft_time_limit):
        yield Finding(
            "warning", f"The {pool} pool does not enforce time limits: a task that hangs is not stopped.", "Use the prefork pool."
        )
    if pool == "gevent" and conf.task_soft_time_limit:
        yield Finding("warning", "The gevent pool does not support soft time limits.", "Set task_time_limit.")
    if str(consumer.app.connection_for_write().transport.driver_type) == "redis":
        ends = time.time() + _visibility(conf)
        late = [request for request in tuple(worker_state.reserved_requests) if request.eta and request.eta.timestamp() > ends]
        if late:
            yield Finding(
                "warning",
                f"{len(late)} tasks in this worker have an eta beyond the visibility timeout: Redis also delivers them to other workers.",
                "Raise visibility_timeout, or enqueue them later.",
            )


def _visibility(conf: Any) -> float:
    return float((conf.broker_transport_options or {}).get("visibility_timeout", VISIBILITY_S))
