# SPDX-License-Identifier: Apache-2.0
"""Known problems of taskiq configurations that can be detected inside a process."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from z4j_agent.contract.adapter import Finding
from z4j_taskiq.brokers.broker_identity import TaskiqPart
from z4j_taskiq.brokers.connections import redis_kind
from z4j_taskiq.state import BrokerState


def _findings_of(state: BrokerState) -> list[Finding]:
    """Findings about one broker, each with its remedy."""
    broker = state.broker
    findings = []
    kind = redis_kind(broker)
    if kind == "list":
        findings += _of_a_list(broker)
    elif kind == "stream":
        findings += _of_a_stream(broker)
    if kind == "list" and state.receiver is not None and not _wakes_up(state.loop):
        findings.append(
            Finding(
                "warning",
                "This worker does not handle stop signals while it waits for a message. z4j wakes it, but only while z4j is connected.",
                "Wake its loop regularly: in a WORKER_STARTUP handler, call a function that calls loop.call_later(0.5, itself).",
            )
        )
    if type(broker.result_backend).__name__ == "DummyResultBackend":
        findings.append(
            Finding(
                "warning",
                "This broker has no result backend: taskiq reports every task as ready, and the outcome of a lost task is unknown.",
                "Set a result backend: broker.with_result_backend(RedisAsyncResultBackend(url, result_ex_time=3600)).",
            )
        )
    return findings


def _of_a_list(broker: Any) -> list[Finding]:
    findings = [
        Finding(
            "warning",
            "Redis lists have no acknowledgements: the tasks of a killed worker are lost.",
            "Use RedisStreamBroker if tasks must not be lost.",
        )
    ]
    if _limits_reads(broker.connection_pool.connection_kwargs):
        findings.append(
            Finding(
                "error",
                "redis-py's socket timeout interrupts the worker while it waits for a message: an idle worker crashes every few seconds "
                "and its running tasks are lost.",
                "Create the broker with ListQueueBroker(url, socket_timeout=None).",
            )
        )
    return findings


def _limits_reads(given: dict[str, Any]) -> bool:
    """Whether the connection has a socket timeout. The default of redis-py 8 is 5 s; older versions have none."""
    if "socket_timeout" in given:
        return given["socket_timeout"] is not None
    try:
        return int(version("redis").partition(".")[0]) >= 8
    except (PackageNotFoundError, ValueError):
        return False


def _of_a_stream(broker: Any) -> list[Finding]:
    findings = []
    if _limits_reads(broker.connection_pool.connection_kwargs):
        findings.append(
            Finding(
                "warning",
                "redis-py's socket timeout suppresses the stop request: a worker that waits for a message may not end.",
                "Create the broker with RedisStreamBroker(url, socket_timeout=None).",
            )
        )
    if broker.maxlen is None:
        findings.append(
            Finding(
                "warning",
                "This stream is never trimmed and keeps every message.",
                "Create the broker with RedisStreamBroker(url, maxlen=100_000) or a number above your largest backlog.",
            )
        )
    if getattr(broker, "unacknowledged_lock_timeout", 0) is None:
        findings.append(
            Finding(
                "warning",
                "A worker that is killed while it reclaims messages leaves a lock that never expires: no worker can then reclaim any.",
                "Create the broker with RedisStreamBroker(url, unacknowledged_lock_timeout=60).",
            )
        )
    return findings


def _wakes_up(loop: Any) -> bool:
    """Whether a call is due in the loop within a second. Unknown for a loop that is not asyncio's own."""
    timers = getattr(loop, "_scheduled", None)
    if timers is None:
        return True
    return any(timer.when() - loop.time() < 1.0 for timer in list(timers) if not timer.cancelled())


class Doctor(TaskiqPart):
    """Findings about this process."""

    def findings(self) -> list[Finding]:
        return [finding for state in self.states for finding in _findings_of(state)]
