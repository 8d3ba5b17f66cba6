# SPDX-License-Identifier: Apache-2.0
"""The message itself, so that it can be sent again: body and headers as they were, less what a replay makes anew."""

from __future__ import annotations

import base64
import functools
import inspect
import json
from collections.abc import Mapping
from typing import Any

from kombu.serialization import dumps, loads

from z4j_agent.adapter import Refused

ACCEPT = frozenset({"application/json", "json"})
#: Headers that a replay sets itself, that only repeat the body, or that are empty in nearly every message.
LEFT_OUT = frozenset({"argsrepr", "kwargsrepr", "id", "retries", "z4j", "origin", "eta", "expires", "z4j_priority", "root_id", "parent_id"})
LONGEST = 8 * 1024 * 1024


def is_plain_json(app: Any, name: str) -> bool:
    """Whether a producer can write this task's message itself: JSON, and of a task whose parameters it knows by name.

    A secret may be passed by position; only the signature tells that it is one. What the producer does not know is left to the
    worker, which has the function.
    """
    task = app.tasks.get(name) if name else None
    return task is not None and (task.serializer or app.conf.task_serializer) == "json"


@functools.lru_cache(maxsize=1024)
def parameter_names(app: Any, name: str) -> tuple[str, ...]:
    """The names of a task's positional parameters, () when it is not registered here."""
    task = app.tasks.get(name)
    if task is None:
        return ()
    try:
        parameters = inspect.signature(task.run).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))


def of_publish(body: Any, headers: Mapping[str, Any], exchange: Any, routing_key: Any) -> dict[str, Any]:
    """At the producer, where the body is still objects. Encoded by kombu, so that it is what the broker got."""
    content_type, encoding, text = dumps(body, serializer="json")
    return _original(text, content_type, encoding, headers, exchange, routing_key)


def of_message(body: Any, content_type: Any, encoding: Any, headers: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
    """At the worker, where the body is bytes; nothing is decoded."""
    return _original(body, content_type, encoding, headers, info.get("exchange"), info.get("routing_key"))


def _original(body: Any, content_type: Any, encoding: Any, headers: Mapping[str, Any], exchange: Any, key: Any) -> dict[str, Any]:
    kept = {name: value for name, value in headers.items() if name not in LEFT_OUT and value not in (None, 0, [], {}, [None, None])}
    data: dict[str, Any] = {"headers": json.loads(json.dumps(kept, default=str)), "key": str(key or "")}
    if isinstance(body, bytes | memoryview):
        body = bytes(body)
        try:
            data["body"] = body.decode("utf-8")
        except UnicodeDecodeError:
            data["body64"] = base64.b64encode(body).decode("ascii")
    else:
        data["body"] = body
    if content_type not in ACCEPT:
        data["type"] = content_type
    if encoding not in ("utf-8", None):
        data["encoding"] = encoding
    name = getattr(exchange, "name", exchange)
    if name:
        data["exchange"] = str(name)
    return data


def body_of(data: Mapping[str, Any]) -> str | bytes:
    """The body of an original. Raises Refused when there is none."""
    if "body" in data:
        return str(data["body"])
    if "body64" in data:
        return base64.b64decode(str(data["body64"]))
    raise Refused("the kept message has no body")


def decode_arguments(body: Any, content_type: Any, encoding: Any, headers: Mapping[str, Any]) -> tuple[Any, Any]:
    """(args, kwargs) for display. JSON only: anything else would run the host's code, so its own text forms are shown."""
    if content_type in ACCEPT and len(body) <= LONGEST:
        args, kwargs, _ = loads(body, content_type, encoding, accept=ACCEPT)
        return args, kwargs
    return str(headers.get("argsrepr") or "…"), {}
