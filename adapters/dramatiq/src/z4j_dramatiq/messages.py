# SPDX-License-Identifier: Apache-2.0
"""Reads Dramatiq's own data: times, queues, attempts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dramatiq.middleware import AgeLimit

from z4j_agent.capture import hooks
from z4j_agent.wire import records
from z4j_dramatiq.encoding import message_marks

ENGINE = "dramatiq"
DELAYED, DEAD = ".DQ", ".XQ"
"""Suffixes of Dramatiq's additional queues: delayed messages, and dead letters."""

_SKIPPED = frozenset({"dramatiq", "z4j_dramatiq", "pika", "redis"})
_COMMANDS = ("/dramatiq", "/dramatiq/__main__.py")


def queue_of(name: str) -> str:
    """Returns the queue itself; a delayed message names the queue of delayed messages, and a worker may be started with the names of all
    three."""
    return name[: -len(DELAYED)] if name.endswith((DELAYED, DEAD)) else name


def attempt_of(options: Mapping[str, Any]) -> int:
    """Returns the attempt, counted from 0 by the Retries middleware, which increments it in the message that has just failed."""
    retries = options.get("retries")
    return retries if isinstance(retries, int) else 0


def eta_of(options: Mapping[str, Any]) -> int | None:
    """When a delayed message is due, in microseconds UTC."""
    eta = options.get("eta")
    return int(eta * 1000) if isinstance(eta, int | float) else None


def actor_of(broker: Any, name: str) -> Any:
    """Returns the actor, or None if it is not declared in this process."""
    return broker.actors.get(name)


def parameter_names(broker: Any, name: str) -> tuple[str, ...]:
    """Returns the names of an actor's positional parameters, () when it is not declared here."""
    actor = actor_of(broker, name)
    return () if actor is None else hooks.parameter_names(actor.fn)


def max_age_of(broker: Any, message: Any) -> int | None:
    """Milliseconds after which AgeLimit drops the message, read as AgeLimit reads it; None for no limit."""
    limit = next((middleware for middleware in broker.middleware if isinstance(middleware, AgeLimit)), None)
    if limit is None:
        return None
    actor = actor_of(broker, message.actor_name)
    options = actor.options if actor is not None else {}
    age = message.options.get("max_age") or options.get("max_age", limit.max_age)
    return int(age) if age else None


def is_too_old(broker: Any, message: Any, at: int) -> bool:
    """Whether AgeLimit drops it at that moment (microseconds UTC)."""
    age = max_age_of(broker, message)
    return age is not None and at // 1000 - message.message_timestamp >= age


def calling_code() -> str:
    """`module:line` that enqueued; "" when Dramatiq itself sends (a retry, the next of a pipeline)."""
    return hooks.calling_code(_SKIPPED, depth=3, commands=_COMMANDS)


def sent_meta(broker: Any, message: Any, **more: Any) -> str:
    """Returns the origin of a task, as the meta of an `enqueued` or `received` record."""
    options = message.options
    age, priority = max_age_of(broker, message), options.get("broker_priority")
    return records.meta(
        {
            "group_id": options.get("group_completion_uuid"),
            "retry_of": message_marks.repeated() or message_marks.of(message).retry_of,
            "expires": (message.message_timestamp + age) * 1000 if age is not None else None,
            "priority": priority if isinstance(priority, int) else None,
            **more,
        }
    )
