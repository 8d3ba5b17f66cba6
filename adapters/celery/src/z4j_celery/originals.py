# SPDX-License-Identifier: Apache-2.0
"""Stored messages, so that tasks can be sent again, and the records that contain them together with the displayed arguments.

An original holds the body as it was serialised, the headers that a replay cannot create, and the address. A signature over the body stays
valid, because the task's ID is in the headers. It is stored unencrypted only if it is plain JSON, nothing in its arguments was masked, and
it contains no further task (callbacks, chain, chord) and no header of the sender's own.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from celery.app import trace
from kombu.exceptions import EncodeError
from kombu.serialization import dumps, loads, prepare_accept_content, registry
from kombu.utils import json as kombu_json

from z4j_agent.agent import Agent
from z4j_agent.capture import display, hooks
from z4j_agent.capture.guard import let_through
from z4j_agent.capture.originals import MAX_ORIGINAL
from z4j_agent.contract.adapter import Refused
from z4j_agent.wire.redaction import redact_text
from z4j_celery import apps
from z4j_celery.messages import ENGINE, OLD_MARKS

JSON, UTF8 = "application/json", "utf-8"
PERSISTENT = 2
BY_PRODUCER, BY_WORKER = 2, 1
"""Ranks of the producer's and the worker's record of arguments; the higher one is shown."""
NO_CALLBACKS: dict[str, None] = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
_IN_ORDER = tuple(NO_CALLBACKS)
_REVERSED: dict[str, None] = dict.fromkeys(reversed(_IN_ORDER))
_NOTHING_FURTHER = '"callbacks": null, "errbacks": null, "chain": null, "chord": null'
_REPORTED = '"chord": null, "chain": null, "errbacks": null, "callbacks": null}]'
_ENDS_OF_EMBED = frozenset({"callbacks", "chord"})
"""The first and the last key of the third part of a message."""
_DECODES = frozenset({"fast_trace_task", "trace_task_ret"})
NEAR_TRACER = 10
"""Frames between a receiver of `task_prerun` and the function of Celery that has decoded the message."""
LARGEST = 8 * MAX_ORIGINAL
"""Maximum size of a stored body in characters or bytes, before compression."""
_SHORT = 900
"""Celery cuts its own texts of the arguments at 1,024 characters: shorter ones mean that the arguments are small."""

#: Headers that a replay sets itself or that only repeat the body.
LEFT_OUT = frozenset(
    {"argsrepr", "kwargsrepr", "id", "task", "lang", "retries", "origin", "eta", "expires", "root_id", "parent_id", "compression",
     *OLD_MARKS}
)  # fmt: skip
LEFT_OUT_OF_RUN = LEFT_OUT | {
    "properties", "reply_to", "correlation_id", "hostname", "delivery_info", "args", "kwargs", "is_eager", "called_directly", "headers",
    "time_limit", "soft_time_limit", "loglevel", "logfile", *NO_CALLBACKS,
}  # fmt: skip
"""The same, and what a worker adds to the headers of a message in `Task.request`."""
_PLAIN = (str, int, float)
KEPT_PROPERTIES = ("priority", "delivery_mode", "expiration", "reply_to", "correlation_id")
"""Properties that determine how a message is delivered and answered."""
CELERYS_OWN = frozenset(
    {"shadow", "group", "group_index", "timelimit", "ignore_result", "replaced_task_nesting", "stamped_headers", "stamps", "meth"}
)


class Message(NamedTuple):
    """A message of protocol 2. `body` is None if it is too large to store."""

    args: Any
    kwargs: Any
    headers: Mapping[str, Any]
    body: str | bytes | None
    has_more: bool
    """Whether it contains further tasks."""
    content_type: str = JSON
    encoding: str = UTF8
    exchange: str = ""
    key: str = ""
    properties: Mapping[str, Any] = MappingProxyType({})
    """Those of KEPT_PROPERTIES that the message has."""
    left_out: frozenset[str] = LEFT_OUT
    """Headers that are not stored."""


def is_plain_json(app: Any, name: str) -> bool:
    """Whether a producer can report this task's message: JSON, and of a task whose parameter names it has.

    A secret may be passed by position and is only recognised by the parameter's name. Other messages are left to the worker, which has the
    function.
    """
    task = app.tasks.get(name) if name else None
    return task is not None and (task.serializer or app.conf.task_serializer) == "json"


def parameter_names(app: Any, name: str) -> tuple[str, ...]:
    """Returns the names of a task's positional parameters, () when it is not registered here."""
    task = app.tasks.get(name)
    return () if task is None else hooks.parameter_names(task.run)


# -- the mark ------------------------------------------------------------------------------------------------------------
def mark_reported(body: Any) -> None:
    """Marks a message whose arguments this producer reports: the four keys of its third part, all null, are in reverse order.

    A task does not notice: mappings are equal in any order, and Celery reads the keys by name. Headers and properties would be visible in
    `self.request`. A message with further tasks has no mark, and the worker reports it, too.
    """
    embed = body[2]
    if embed == NO_CALLBACKS and tuple(embed) == _IN_ORDER:
        embed.clear()
        embed.update(_REVERSED)


def is_reported(body: Any) -> bool:
    """Whether `mark_reported` marked the message of this raw body."""
    if isinstance(body, str):
        return body.endswith(_REPORTED)
    return isinstance(body, bytes | bytearray | memoryview) and bytes(body[-len(_REPORTED) :]) == _REPORTED.encode()


def is_reported_run(request: Any) -> bool:
    """The same where the task runs: `Task.request` has the keys of the third part, too, in the order of the message."""
    for name in reversed(vars(request)):
        if name in _ENDS_OF_EMBED:
            return bool(name == "callbacks")
    return False


def without_mark(data: Mapping[str, Any], body: str | bytes) -> str | bytes:
    """Returns the body of an original without the mark, so that the worker that takes it reports its arguments."""
    if data.get("type", JSON) != JSON or not isinstance(body, str) or not body.endswith(_REPORTED):
        return body
    return f"{body[: -len(_REPORTED)]}{_NOTHING_FURTHER}}}]"


# -- reading a message at the producer, the worker and the
# queue--------------------------------------------------------------------------------
def stored_properties(properties: Any, headers: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the properties that are sent again: all except a persistent delivery mode and a correlation ID equal to the task's ID, which
    are the defaults."""
    stored: dict[str, Any] = {}
    for name in KEPT_PROPERTIES if properties else ():
        value = properties.get(name)
        if value is not None and value != "" and isinstance(value, _PLAIN) and value is not True and value is not False:
            stored[name] = value
    if isinstance(lasts := stored.pop("expiration", None), int | float):
        stored["expiration"] = lasts
    elif isinstance(lasts, str) and lasts.isdigit():  # a broker has milliseconds as text, kombu is given seconds
        stored["expiration"] = int(lasts) / 1000
    if stored.get("delivery_mode") == PERSISTENT:
        del stored["delivery_mode"]
    if stored.get("correlation_id") == headers.get("id"):
        stored.pop("correlation_id", None)
    return stored


def message_of_publish(app: Any, headers: Mapping[str, Any], body: Any, properties: Any) -> Message | None:
    """Reads the message at the producer before it is sent. The body is encoded by kombu, so that it equals the one in the broker.

    None if the producer cannot read it (pickled, signed, or of an unknown task): then the worker stores it.
    """
    if not is_plain_json(app, str(headers.get("task", ""))):
        return None
    args, kwargs, embed = body
    has_more = any(embed.values())
    if _is_large(headers, body, has_more=has_more):
        return Message(args, kwargs, headers, None, has_more)
    try:
        return Message(args, kwargs, headers, _as_json(body), has_more, properties=stored_properties(properties, headers))
    except EncodeError:  # another serializer was chosen for this message, or Celery will raise the error itself
        return None


_encode_as_kombu = kombu_json.JSONEncoder().encode  # once: making an encoder costs 2 µs


def _as_json(body: Any) -> str:
    """The body as kombu encodes it. Raises EncodeError."""
    codec = getattr(registry, "_encoders", {}).get("json")
    if getattr(codec, "encoder", None) is not kombu_json.dumps:  # the application has registered another
        return str(dumps(body, serializer="json")[2])
    try:
        return str(_encode_as_kombu(body))
    except Exception as error:  # the object of an application serializes itself
        let_through(error)
        raise EncodeError(str(type(error))) from error


def payload_of_publish(
    agent: Agent, app: Any, message: Message, task_id: str, attempt: int, name: str, queue: str, exchange: Any, key: Any
) -> bytes:
    """Returns the record at the producer, after the broker has accepted the message."""
    if exchange:
        message = message._replace(exchange=str(getattr(exchange, "name", exchange)), key=str(key or ""))
    return _payload(agent, app, message, task_id, attempt, name, queue, BY_PRODUCER)


def payload_of_request(agent: Agent, app: Any, request: Any, attempt: int, queue: str) -> bytes:
    """Returns the record in the worker's main process. Celery has decoded the arguments; the body is unchanged."""
    message = _message_of_delivery(
        request.args, request.kwargs, request.message.headers or {}, request.body, request.content_type, request.content_encoding,
        request.delivery_info, request.message.properties,
    )  # fmt: skip
    return _payload(agent, app, message, request.id, attempt, request.type, queue, BY_WORKER)


def payload_of_run(agent: Agent, app: Any, request: Any, attempt: int, name: str, queue: str) -> bytes:
    """Returns the record where the task runs, before its function is called. `request` is `Task.request`; the body is in Celery's own
    frame."""
    found = _delivered_to_tracer()
    if found is None:  # a tracer of another package: only the fields of the body can be sent again
        body, content_type, encoding = (request.args, request.kwargs, {each: getattr(request, each) for each in NO_CALLBACKS}), None, None
    else:
        body, content_type, encoding = found["body"], found["content_type"], found["content_encoding"]
    message = _message_of_delivery(
        request.args, request.kwargs, vars(request), body, content_type, encoding, request.delivery_info or {}, request.properties,
        LEFT_OUT_OF_RUN,
    )  # fmt: skip
    return _payload(agent, app, message, request.id, attempt, name, queue, BY_WORKER)


def _delivered_to_tracer() -> Any:
    """The local variables of the function in which Celery decodes a message and runs its task; None if another one runs it."""
    frame: Any = sys._getframe(2)
    for _ in range(NEAR_TRACER):
        if frame is None:
            return None
        if frame.f_code.co_name in _DECODES and frame.f_globals.get("__name__") == trace.__name__:
            return frame.f_locals
        frame = frame.f_back
    return None


def _message_of_delivery(
    args: Any, kwargs: Any, headers: Mapping[str, Any], body: Any, content_type: str | None, encoding: str | None, info: Any,
    properties: Any, left_out: frozenset[str] = LEFT_OUT,
) -> Message:  # fmt: skip
    if content_type is None:  # protocol 1: the ID is in the body, so only the fields of the body can be sent again
        return Message(args, kwargs, {}, dumps((args, kwargs, NO_CALLBACKS), serializer="json")[2], False)
    body = bytes(body) if isinstance(body, memoryview) else body
    if isinstance(body, bytes) and content_type == JSON:
        body = body.decode("utf-8")
    has_more = content_type != JSON or not (_NOTHING_FURTHER in body or is_reported(body))
    return Message(
        args, kwargs, headers, body if len(body) <= LARGEST else None, has_more, content_type, encoding or "binary",
        str(info.get("exchange") or ""), str(info.get("routing_key") or ""), stored_properties(properties, headers), left_out,
    )  # fmt: skip


def payload_of_waiting(agent: Agent, app: Any, message: Message, task_id: str, attempt: int, name: str, queue: str) -> bytes:
    """Returns the record for a message in its queue, made before the message is removed."""
    return _payload(agent, app, message, task_id, attempt, name, queue, BY_WORKER)


def payload_of_call(agent: Agent, app: Any, task_id: str, attempt: int, name: str, args: Any, kwargs: Any) -> bytes:
    """Returns the record for a task that ran in its caller. There is no message to send again."""
    return agent.payload(ENGINE, task_id, attempt, name, "", BY_PRODUCER, args, kwargs, None, parameter_names(app, name))


def _payload(agent: Agent, app: Any, message: Message, task_id: str, attempt: int, name: str, queue: str, rank: int) -> bytes:
    if message.content_type == JSON:
        args, is_masked = display.show_arguments(message.args, message.kwargs, agent.settings.redact, parameter_names(app, name))
    else:  # reading unpickled objects could run the application's code in the agent's thread; Celery's own texts of them suffice
        args, is_masked = _texts(message.headers), True
    original: dict[str, Any] | None = None
    is_secret = True
    if message.body is not None:
        extra = _extra_headers(message)
        is_secret = message.has_more or not extra.keys() <= CELERYS_OWN
        original = _original(message, extra, queue)
        if name_of_app := apps.name_of(app):
            original["app"] = name_of_app
    return agent.shown_payload(
        ENGINE, task_id, attempt, name, queue, rank, (args, is_masked), original, is_secret=is_secret, broker=apps.identity_of(app)
    )


def _is_large(headers: Mapping[str, Any], body: Any, *, has_more: bool) -> bool:
    """Whether a body is certainly too large to store, without serialising it."""
    texts = headers.get("argsrepr"), headers.get("kwargsrepr")
    if not has_more and all(isinstance(text, str) and len(text) < _SHORT for text in texts):
        return False
    size, waiting = 0, [body]
    while waiting and size <= LARGEST:
        value = waiting.pop()
        size += 3
        if isinstance(value, str | bytes | bytearray):
            size += len(value)
        elif isinstance(value, Mapping | list | tuple | set | frozenset):
            size += 2 * len(value)
            if size <= LARGEST:
                waiting += [*value.keys(), *value.values()] if isinstance(value, Mapping) else value
    return size > LARGEST


def _texts(headers: Mapping[str, Any]) -> str:
    shown = [text for key in ("argsrepr", "kwargsrepr") if isinstance(text := headers.get(key), str) and text not in ("()", "{}")]
    return display.shorten(redact_text(" ".join(shown))) or "…"


def _extra_headers(message: Message) -> dict[str, Any]:
    extra, headers = {}, message.headers
    for name in headers.keys() - message.left_out:
        value = headers[name]
        if not value or (name == "timelimit" and not any(value)):
            continue
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            continue  # a value without a JSON form did not come from a known broker
        extra[name] = value
    return extra


def _original(message: Message, extra: dict[str, Any], queue: str) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if isinstance(message.body, str):
        data["body"] = message.body
    else:
        data["body64"] = base64.b64encode(message.body or b"").decode("ascii")
    if extra:
        data["headers"] = extra
    if message.content_type != JSON:
        data["type"] = message.content_type
        texts = {key: message.headers[key] for key in ("argsrepr", "kwargsrepr") if isinstance(message.headers.get(key), str)}
        data["headers"] = {**extra, **texts}  # the only texts that can be shown for such a message
    if message.encoding != UTF8:
        data["encoding"] = message.encoding
    if message.exchange and not message.exchange.startswith("celery_delayed_"):
        data["exchange"], data["key"], data["queue"] = message.exchange, message.key, queue
    if message.properties:
        data["properties"] = dict(message.properties)
    if isinstance(expires := message.headers.get("expires"), str):
        data["expires"] = expires
    return data


# -- reading one back ----------------------------------------------------------------------------------------------------
def body_of(data: Mapping[str, Any]) -> str | bytes:
    """Returns the body of an original. Raises Refused if it has none."""
    if "body" in data:
        return str(data["body"])
    if "body64" in data:
        return base64.b64decode(str(data["body64"]))
    raise Refused("the stored message has no body. Nothing was sent.")


def decode(app: Any, data: Mapping[str, Any]) -> Any:
    """(args, kwargs, embed) as Celery itself would read them: only what the application accepts. Raises Refused."""
    accept = prepare_accept_content(app.conf.accept_content)
    try:
        content = loads(body_of(data), data.get("type", JSON), data.get("encoding", UTF8), accept=accept)
    except Exception as error:
        raise Refused(
            f"the stored message cannot be decoded in this process ({type(error).__name__}). Nothing was sent.", check="original.format"
        ) from error
    if not isinstance(content, list | tuple) or len(content) != 3:
        raise Refused("the stored message is not a task of Celery. Nothing was sent.", check="original.format")
    return content


def is_chord_member(app: Any, data: Mapping[str, Any]) -> bool:
    """Removes a task from its chord. A chord's member counts towards the chord's body when it ends: sent again unchanged, it would count
    twice."""
    if data.get("type", JSON) == JSON and '"chord": null' in str(data.get("body", "")):
        return False
    if not data.get("headers", {}).get("group"):
        return False
    return bool((decode(app, data)[2] or {}).get("chord"))
