# SPDX-License-Identifier: Apache-2.0
"""Small readings of taskiq's own data: which attempt a message is, which queue it goes to, where it comes from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from z4j_agent.capture import hooks
from z4j_agent.wire import quote, records

ENGINE = "taskiq"
MARK = b"} \t"
"""How a message ends on the wire whose arguments and original its producer has written already. Space behind JSON means nothing, so no
worker and no task sees it."""
OLD_MARK, OLD_RETRY_OF = "z4j", "z4j_retry_of"
"""Labels by which an older agent said the same, and which task an operator's retry repeats. Taken off before a task could see them."""
RETRIES = "_retries"
"""Label of the retry middlewares: how often the task has failed (taskiq/middlewares/simple_retry_middleware.py)."""
REQUEUES = "X-Taskiq-requeue"
"""Label of `Context.requeue`: how often the task has sent itself back (taskiq/context.py)."""
RETRY_ON_ERROR = "retry_on_error"

_SKIPPED = frozenset({"taskiq", "taskiq_redis", "taskiq_aio_pika", "taskiq_nats", "z4j_taskiq", "anyio", "uvloop", "multiprocessing"})
_COMMANDS = ("/taskiq", "/taskiq/__main__.py")


def number(value: Any) -> int:
    """A label that counts, which is text on the wire and a number in the process that made it; 0 when it is neither."""
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return 0


def requeues(labels: Mapping[str, Any]) -> int:
    """How often the task has sent itself back into the queue."""
    return number(labels.get(REQUEUES))


def attempt_of(labels: Mapping[str, Any]) -> int:
    """Counted from 0. A retry and a requeue are another attempt each; both counts travel on with the message."""
    return number(labels.get(RETRIES)) + requeues(labels)


def is_in_memory(broker: Any) -> bool:
    """Whether the broker runs its tasks in the process that sends them."""
    return any(kind.__name__ == "InMemoryBroker" for kind in type(broker).__mro__)


def is_rabbitmq(broker: Any) -> bool:
    """Whether this is the broker of taskiq-aio-pika."""
    return any(kind.__module__.startswith("taskiq_aio_pika") for kind in type(broker).__mro__)


def rabbitmq_queues(broker: Any) -> list[str]:
    """The names of the task queues of a RabbitMQ broker; one object each since taskiq-aio-pika 0.6, a single name before."""
    queues = getattr(broker, "_task_queues", None)
    if queues is None:
        return [str(getattr(broker, "_queue_name", "taskiq"))]
    return [str(queue.name) for queue in queues] or ["taskiq"]


def queue_of(broker: Any, labels: Mapping[str, Any]) -> str:
    """The queue a message goes to, as the broker itself decides it when it sends."""
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
    """(whether an older agent has marked the message, the task it repeats), without those labels from here on."""
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
    """Where a task comes from, as the meta of an `enqueued` or `received` record."""
    if not (route or parent_id or is_redelivered or "priority" in labels or retry_of):
        return f'{{"code":{quote(code)}}}' if code else records.NO_META
    priority = number(labels["priority"]) if "priority" in labels else None
    facts = {"code": code, "route": route, "parent_id": parent_id, "redelivered": is_redelivered, "priority": priority}
    return records.meta({"retry_of": retry_of, **facts})
