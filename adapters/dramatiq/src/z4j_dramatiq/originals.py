# SPDX-License-Identifier: Apache-2.0
"""The message itself, so that it can be sent again, and the record that carries it together with the shown arguments.

With Dramatiq's own JSON an original holds arguments and options, field by field; with any other encoder the bytes as they travel. It is
kept in clear only when nothing in its arguments was masked, it is JSON, and neither a further message (the rest of a pipeline,
callbacks) nor an option of the sender's own hides in it.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable
from typing import Any

from dramatiq.encoder import Encoder, JSONEncoder
from dramatiq.errors import DecodeError
from dramatiq.message import Message, get_encoder

from z4j_agent.agent import Agent
from z4j_agent.capture import display
from z4j_agent.capture.originals import MAX_ORIGINAL
from z4j_agent.contract.adapter import Original, Refused
from z4j_dramatiq.brokers.broker_identity import identity_of
from z4j_dramatiq.marks import OLD_REPORTED, OLD_RETRY_OF
from z4j_dramatiq.messages import DEAD, DELAYED, ENGINE, parameter_names, queue_of

BY_PRODUCER, BY_WORKER = 2, 1
"""Whose word on arguments counts more when both report them."""
LARGE = 8 * MAX_ORIGINAL
"""Compression may still make it small enough; what is larger is not even encoded."""

#: Options that belong to one life of a message.
LEFT_OUT = frozenset({"retries", "traceback", "requeue_timestamp", "eta", "delay", "redis_message_id", OLD_REPORTED, OLD_RETRY_OF})
#: Options of a group: sent again, its member would count twice.
OF_A_GROUP = frozenset({"group_completion_uuid", "group_completion_callbacks"})
CALLBACKS = ("on_success", "on_failure", "on_retry_exhausted")
"""Options that name an actor."""
#: Dramatiq's own options that hold numbers, names and switches, never the sender's data.
DRAMATIQS_OWN = frozenset(
    {"broker_priority", "max_age", "max_backoff", "max_retries", "min_backoff", "notify_shutdown", "on_failure", "on_success",
     "on_retry_exhausted", "pipe_ignore", "store_results", "result_ttl", "time_limit"}
)  # fmt: skip


def is_plain_json() -> bool:
    """Whether messages are JSON on the wire, so that their fields say all of them."""
    return type(get_encoder()) is JSONEncoder


def payload_of(agent: Agent, broker: Any, message: Any, attempt: int, rank: int) -> bytes:
    """The record of a message's arguments and original, in the producer or, where that is not watched, in the worker."""
    identity = identity_of(broker)
    names = parameter_names(broker, message.actor_name)
    shown = display.show_arguments(message.args, message.kwargs, agent.settings.redact, names)
    original, is_secret = None, True
    if not _is_large((message.args, message.kwargs, message.options)):
        options = {key: value for key, value in message.options.items() if key not in LEFT_OUT}
        original, is_secret = _original(message, options), not options.keys() <= DRAMATIQS_OWN or not is_plain_json()
    return agent.shown_payload(
        ENGINE, message.message_id, attempt, message.actor_name, queue_of(message.queue_name), rank, shown, original,
        is_secret=is_secret, broker=identity,
    )  # fmt: skip


def _original(message: Any, options: dict[str, Any]) -> dict[str, Any]:
    if is_plain_json():
        data: dict[str, Any] = {"args": list(message.args), "kwargs": message.kwargs}
        return data | {"options": options} if options else data
    again = message.copy(queue_name=queue_of(message.queue_name))
    for key in LEFT_OUT & again.options.keys():
        del again.options[key]
    return {"body64": base64.b64encode(again.encode()).decode("ascii"), "encoder": _name_of(get_encoder())}


def _name_of(encoder: Encoder) -> str:
    return f"{type(encoder).__module__}.{type(encoder).__qualname__}"


def _is_large(value: Any) -> bool:
    """Whether a message is surely beyond what is kept, without encoding it."""
    size, waiting = 0, [value]
    while waiting and size <= LARGE:
        value = waiting.pop()
        size += 3
        if isinstance(value, (str, bytes, bytearray)):  # plain classes on purpose: this stands in every call of send()
            size += len(value)
        elif isinstance(value, (dict, list, tuple, set, frozenset)):
            size += 2 * len(value)
            if size <= LARGE:
                waiting += [*value, *value.values()] if isinstance(value, dict) else value
    return size > LARGE


# -- reading one back ----------------------------------------------------------------------------------------------------
def message_again(original: Original, new_id: str) -> tuple[Message[Any], str]:
    """The message under a new id, and a note for the operator where something was left out of it. Raises Refused."""
    data = original.data
    if original.queue.endswith((DELAYED, DEAD)):
        raise Refused(f"{original.queue[:80]} is a queue of Dramatiq's own; nothing was sent", check="queue.unknown")
    if "body64" in data:
        read = _decode(original)
        if read.actor_name != original.name:
            raise Refused(f"the original runs another actor than {original.name[:80]}; nothing was sent", check="original.name")
        args, kwargs, options = tuple(read.args), dict(read.kwargs), dict(read.options)
    else:
        args, kwargs, options = tuple(data.get("args", ())), dict(data.get("kwargs", {})), dict(data.get("options", {}))
    note = ""
    if OF_A_GROUP & options.keys():
        note = "It was a member of a group and runs again by itself: the group's callbacks are not called a second time."
    options = {key: value for key, value in options.items() if key not in LEFT_OUT | OF_A_GROUP}
    if "pipe_target" in options:
        options["pipe_target"] = _renamed(options["pipe_target"])
    return Message(
        queue_name=original.queue, actor_name=original.name, args=args, kwargs=kwargs, options=options, message_id=new_id
    ), note  # fmt: skip


def check_targets(original: Original, knows_task: Callable[[str], bool], knows_queue: Callable[[str], bool]) -> None:
    """What an original of an older agent would have run afterwards (callbacks, the rest of a pipeline) must be known too: its seal binds
    neither names nor queues. Raises Refused."""
    options = original.data.get("options", {}) if "body64" not in original.data else _decode(original).options
    target: Any = {"options": options}
    while isinstance(target, dict):
        options = target["options"] if isinstance(target.get("options"), dict) else {}
        for key in CALLBACKS:
            if (name := options.get(key)) is not None and not knows_task(str(name)):
                raise Refused(f"its {key} names {str(name)[:80]}, which no actor here is called; nothing was sent", check="task.unknown")
        target = options.get("pipe_target")
        if isinstance(target, dict) and not knows_task(str(target.get("actor_name"))):
            raise Refused("its pipeline goes on with an actor this application does not declare; nothing was sent", check="task.unknown")
        if isinstance(target, dict) and not knows_queue(str(target.get("queue_name"))):
            raise Refused("its pipeline goes on in a queue this application does not declare; nothing was sent", check="queue.unknown")


def _renamed(target: Any) -> Any:
    """The rest of a pipeline under new ids: with its old ones it would be taken for tasks that have run already."""
    if not isinstance(target, dict):
        return target
    options = dict(target.get("options", {}))
    if "pipe_target" in options:
        options["pipe_target"] = _renamed(options["pipe_target"])
    return {**target, "message_id": str(uuid.uuid4()), "options": options}


def _decode(original: Original) -> Message[Any]:
    """A message of another encoder than JSON. That may be pickle: only what this application itself sealed is read."""
    encoder = _name_of(get_encoder())
    if original.data.get("encoder") != encoder:
        raise Refused(f"the kept message was encoded by {original.data.get('encoder')}, this process has {encoder}")
    try:
        return Message.decode(base64.b64decode(str(original.data["body64"])))
    except (DecodeError, ValueError) as error:
        raise Refused(f"the kept message cannot be decoded here ({type(error).__name__})") from error
