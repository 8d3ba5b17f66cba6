# SPDX-License-Identifier: Apache-2.0
"""Reads taskiq's own data: the attempt, the queue and the origin of a message. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from z4j_agent.capture import hooks
from z4j_agent.wire import quote, records

ENGINE = "taskiq"
MARK = b"} \t"
"""Suffix of an encoded message whose arguments and original its producer has reported. Space behind JSON has no meaning, so no worker
and no task sees it."""
OLD_MARK, OLD_RETRY_OF = "z4j", "z4j_retry_of"
"""Labels of older agents for the same, and for the task that an operator's retry repeats. Removed before a task can see them."""
RETRIES = "_retries"
"""Label of the retry middlewares: the number of failures (taskiq/middlewares/simple_retry_middleware.py)."""
REQUEUES = "X-Taskiq-requeue"
"""Label of `Context.requeue`: the number of requeues (taskiq/context.py)."""
RETRY_ON_ERROR = "retry_on_error"

_SKIPPED = frozenset({"taskiq", "taskiq_redis", "taskiq_aio_pika", "taskiq_nats", "z4j_taskiq", "anyio", "uvloop", "multiprocessing"})
_COMMANDS = ("/taskiq", "/taskiq/__main__.py")


def number(value: Any) -> int:
    """Returns a counting label: text in an encoded message, a number in the process that created it; 0 if it is neither."""
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return 0


def requeues(labels: Mapping[str, Any]) -> int:
    """How many times the task has requeued itself."""
    return number(labels.get(REQUEUES))


def attempt_of(labels: Mapping[str, Any]) -> int:
    """Returns the attempt, counted from 0. A retry and a requeue are another attempt each; both numbers are labels of the message."""
    return number(labels.get(RETRIES)) + requeues(labels)


def is_in_memory(broker: Any) -> bool:
    """Whether the broker runs its tasks in the process that sends them."""
    return any(kind.__name__ == "InMemoryBroker" for kind in type(broker).__mro__)


def is_rabbitmq(broker: Any) -> bool:
    """Whether this is the broker of taskiq-aio-pika."""
    return any(kind.__module__.startswith("taskiq_aio_pika") for kind in type(broker).__mro__)


def rabbitmq_queues(broker: Any) -> list[str]:
    """Returns the names of the task queues of a RabbitMQ broker; one object each since taskiq-aio-pika 0.6, a single name before."""
    queues = getattr(broker, "_task_queues", None)
    if queues is None:
        return [str(getattr(broker, "_queue_name", "taskiq"))]
    return [str(queue.name) for queue in queues] or ["taskiq"]


def queue_of(broker: Any, labels: Mapping[str, Any]) -> str:
    """Returns the queue to which a message is sent, computed like the broker does."""
    if is_rabbitmq(broker):
        names = rabbitmq_queues(broker)
        if len(names) == 1:
            return names[0]
        return str(labels.get(getattr(broker, "_label_for_routing", "queue_name")) or "")
    own = getattr(broker, "queue_name", None) or getattr(broker, "subject", None)
    return str(labels.get("queue_name") or own or ("memory" if is_in_memory(broker) else ""))


def due(labels: Mapping[str, Any], at: int) -> int | None:
    """When a message sent `at` may run, microseconds UTC, by the label `delay` in seconds."""
    try:
        return at + int(float(labels["delay"]) * 1_000_000) if "delay" in labels else None
    except (TypeError, ValueError):
        return None


def calling_code() -> str:
    """`module:line` that enqueued; "" when a worker or the scheduler itself sends."""
    return hooks.calling_code(_SKIPPED, depth=3, commands=_COMMANDS)


def take_old_marks(message: Any) -> tuple[bool, str]:
    """Removes the labels of older agents. Returns (whether the message was marked, the repeated task)."""
    labels, types = message.labels, message.labels_types
    is_marked, retry_of = OLD_MARK in labels, str(labels.get(OLD_RETRY_OF) or "")
    for label in (OLD_MARK, OLD_RETRY_OF):
        labels.pop(label, None)
        if types is not None:
            types.pop(label, None)
    return is_marked, retry_of


def sent_meta(
    labels: Mapping[str, Any], *, code: str = "", route: str = "", parent_id: str = "", is_redelivered: bool = False, retry_of: str = ""
) -> str:
    """Returns the origin of a task, as the meta of an `enqueued` or `received` record."""
    if not (route or parent_id or is_redelivered or "priority" in labels or retry_of):
        return f'{{"code":{quote(code)}}}' if code else records.NO_META
    priority = number(labels["priority"]) if "priority" in labels else None
    facts = {"code": code, "route": route, "parent_id": parent_id, "redelivered": is_redelivered, "priority": priority}
    return records.meta({"retry_of": retry_of, **facts})
