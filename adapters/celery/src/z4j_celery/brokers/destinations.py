# SPDX-License-Identifier: Apache-2.0
"""Permitted destinations of messages: the application's own queues, never those with which Celery controls its workers.

Remote control, events and replies are exchanges and queues like any other to a broker: a message to `celery.pidbox` can shut a worker down.
Their names come from the application's configuration (`control_exchange`, `event_exchange`, `event_queue_prefix`); a Redis broker also
stores its bookkeeping under keys that a queue's name could equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from z4j_agent.contract.adapter import Refused
from z4j_celery.messages import queue_of

MOST_ROUTES = 10_000
"""Pairs of exchange and routing key that are remembered; applications may put ids into their keys."""

_OF_KOMBU = re.compile(
    r"(^|\.)pidbox(\.|$)|\.pidbox$|^reply\.|^amq\.|^_kombu|^unacked|^celery-task-meta-|^celery-taskset-meta-"
    r"|^celery_delayed|^celeryresults$"
)


def is_control(app: Any, name: str) -> bool:
    """Whether an exchange, a routing key or a queue of that name belongs to Celery and kombu themselves."""
    conf = app.conf
    own = {str(conf.get("control_exchange") or "celery"), str(conf.get("event_exchange") or "celeryev")}
    prefixes = {str(conf.get("event_queue_prefix") or "celeryev"), str(conf.get("event_exchange") or "celeryev")}
    if (
        not name.isprintable()
        or _OF_KOMBU.search(name)
        or name in {f"{space}.pidbox" for space in own} | {f"reply.{space}.pidbox" for space in own}
    ):
        return True
    return name in prefixes or any(name.startswith(f"{prefix}.") for prefix in prefixes)


class Routes:
    """Finds the queue of the app that receives messages of an exchange. Kombu's messages contain exchange and routing key, but no queue."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._known: dict[tuple[str, str], str] = {}
        self._declared = -1

    def queue(self, exchange: Any, routing_key: Any, consumed: Iterable[str] = ()) -> str:
        """Returns the queue bound to the exchange by that key: of several, one that this worker consumes, else the first by name. "" if the
        app declares none: then the routing key is not the name of a queue."""
        name = str(getattr(exchange, "name", exchange) or "")
        key = queue_of(exchange, routing_key)
        if not name or name == key or name.startswith("celery_delayed_"):
            return key
        queues = self._app.amqp.queues
        if self._declared != len(queues):
            self._declared = len(queues)
            self._known.clear()
        if (receiver := self._known.get((name, key))) is None:
            bound = sorted(queue.name for queue in queues.values() if _gets(queue, name, key))
            first = set(consumed).intersection(bound)
            receiver = next((each for each in bound if each in first), bound[0] if bound else "")
            if len(self._known) < MOST_ROUTES:
                self._known[name, key] = receiver
        return receiver


def _gets(queue: Any, exchange: str, key: str) -> bool:
    """Whether one of the queue's bindings matches this key; a queue without an exchange is bound by its name only."""
    for each in (queue, *(queue.bindings or ())):
        source = getattr(each, "exchange", None)
        if source is None or source.name != exchange:
            continue
        bound = str(each.routing_key or "")
        kind = str(source.type or "direct")
        if kind == "fanout" or bound == key or (kind == "topic" and _matches(bound, key)):
            return True
    return False


def _matches(pattern: str, key: str) -> bool:
    """Whether a routing key matches an AMQP topic: `*` is one word, `#` any number of words."""
    words, parts = key.split(".") if key else [], pattern.split(".")

    def fits(at: int, word: int) -> bool:
        if at == len(parts):
            return word == len(words)
        if parts[at] == "#":
            return any(fits(at + 1, later) for later in range(word, len(words) + 1))
        return word < len(words) and parts[at] in ("*", words[word]) and fits(at + 1, word + 1)

    return fits(0, 0)


def knows_queue(app: Any, consumer: Any, sent: Iterable[str], queue: str) -> bool:
    """Whether the app declares the queue, this worker consumes it, or this process has sent to it."""
    if is_control(app, queue):
        return False
    return queue in app.amqp.queues or queue in sent or (consumer is not None and queue in consumed(consumer))


def known_queues(app: Any, consumer: Any, sent: Iterable[str]) -> list[str]:
    """Returns all queues for which `knows_queue` is true, sorted by name."""
    names = {*app.amqp.queues, *sent, *(consumed(consumer) if consumer is not None else ())}
    return sorted(name for name in names if not is_control(app, name))


def consumed(consumer: Any) -> list[str]:
    return [queue.name for queue in consumer.task_consumer.queues] if consumer.task_consumer is not None else []


def knows_task(app: Any, name: str) -> bool:
    """Whether the application registered the task. Celery's own tasks do not count, because some run other tasks that are named in their
    arguments."""
    return not name.startswith("celery.") and name in app.tasks


def check_destination(app: Any, exchange: str, key: str, queue: str, *, is_bound: bool = True) -> None:
    """Raises Refused if a stored message would be sent to Celery's own exchanges or queues, or through an exchange that the app does not
    declare.

    If an original is not bound, its routing key must also be one by which a declared queue is bound: an older agent sealed it, but without
    its name and queue.
    """
    for name in filter(None, (exchange, key, queue)):
        if is_control(app, name):
            raise Refused(f"{name[:80]} belongs to Celery itself, not to the application. Nothing was sent.", check="queue.control")
    declared = {queue.exchange.name for queue in app.amqp.queues.values() if queue.exchange is not None}
    declared |= {str(app.conf.task_default_exchange or app.conf.task_default_queue)}
    if exchange and exchange not in declared:
        raise Refused(f"this application declares no exchange {exchange[:80]}. Nothing was sent.", check="exchange.unknown")
    if exchange and not is_bound and (exchange, key) not in _bindings(app):
        raise Refused(f"this application binds no queue to {exchange[:80]} by that key. Nothing was sent.", check="exchange.unknown")


def _bindings(app: Any) -> set[tuple[str, str]]:
    """(exchange, routing key) of every queue the app declares."""
    return {
        (str(getattr(each.exchange, "name", "") or ""), str(each.routing_key or ""))
        for queue in app.amqp.queues.values()
        for each in (queue, *(queue.bindings or ()))
    }
