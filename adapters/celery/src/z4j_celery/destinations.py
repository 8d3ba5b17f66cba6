# SPDX-License-Identifier: Apache-2.0
"""Where a message may go: to the application's own queues, never to those by which Celery controls its workers.

Remote control, events and replies are exchanges and queues like any other to a broker: a message to `celery.pidbox` shuts a worker down.
Their names come from the application's configuration (`control_exchange`, `event_exchange`, `event_queue_prefix`); a Redis broker also
keeps its bookkeeping under keys that a queue's name could spell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from z4j_agent.adapter import Refused

_OF_KOMBU = re.compile(r"(^|\.)pidbox(\.|$)|\.pidbox$|^reply\.|^amq\.|^_kombu|^unacked|^celery-task-meta-|^celery-taskset-meta-")


def is_control(app: Any, name: str) -> bool:
    """Whether an exchange, a routing key or a queue of that name belongs to Celery and kombu themselves."""
    conf = app.conf
    own = {str(conf.get("control_exchange") or "celery"), str(conf.get("event_exchange") or "celeryev")}
    prefixes = {str(conf.get("event_queue_prefix") or "celeryev"), str(conf.get("event_exchange") or "celeryev")}
    if _OF_KOMBU.search(name) or name in {f"{space}.pidbox" for space in own} | {f"reply.{space}.pidbox" for space in own}:
        return True
    return name in prefixes or any(name.startswith(f"{prefix}.") for prefix in prefixes)


def knows_queue(app: Any, consumer: Any, sent: Iterable[str], queue: str) -> bool:
    """Whether the app declares the queue, this worker consumes it, or this process has sent to it."""
    if is_control(app, queue):
        return False
    return queue in app.amqp.queues or queue in sent or (consumer is not None and queue in _consumed(consumer))


def known_queues(app: Any, consumer: Any, sent: Iterable[str]) -> list[str]:
    """All of them, by name."""
    names = {*app.amqp.queues, *sent, *(_consumed(consumer) if consumer is not None else ())}
    return sorted(name for name in names if not is_control(app, name))


def _consumed(consumer: Any) -> list[str]:
    return [queue.name for queue in consumer.task_consumer.queues] if consumer.task_consumer is not None else []


def check_destination(app: Any, exchange: str, key: str, queue: str) -> None:
    """Raises Refused where a kept message would go to Celery's own exchanges or queues, or through an exchange the app does not declare."""
    for name in filter(None, (exchange, key, queue)):
        if is_control(app, name):
            raise Refused(f"{name[:80]} belongs to Celery itself, not to the application; nothing was sent", check="queue.control")
    declared = {queue.exchange.name for queue in app.amqp.queues.values() if queue.exchange is not None}
    declared |= {str(app.conf.task_default_exchange or app.conf.task_default_queue)}
    if exchange and exchange not in declared:
        raise Refused(f"this application declares no exchange {exchange[:80]}; nothing was sent", check="exchange.unknown")
