# SPDX-License-Identifier: Apache-2.0
"""Stored messages, so that tasks can be sent again, and the records that contain them together with the displayed arguments.

With Dramatiq's own JSON an original holds arguments and options, field by field; with any other encoder the encoded bytes. It is stored
unencrypted only if nothing in its arguments was masked, it is JSON, and it contains neither a further message (the rest of a pipeline,
callbacks) nor an option of the sender's own.
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
from z4j_dramatiq.broker_identity import identity_of
from z4j_dramatiq.encoding.message_marks import OLD_REPORTED, OLD_RETRY_OF
from z4j_dramatiq.messages import DEAD, DELAYED, ENGINE, parameter_names, queue_of

BY_PRODUCER, BY_WORKER = 2, 1
"""Ranks of the producer's and the worker's record of arguments; the higher one is shown."""
LARGE = 8 * MAX_ORIGINAL
"""Maximum size before compression; a larger message is not encoded."""

#: Options that belong to one enqueueing of a message.
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
    """Whether messages are encoded as JSON, so that their fields are complete."""
    return type(get_encoder()) is JSONEncoder


def payload_of(agent: Agent, broker: Any, message: Any, attempt: int, rank: int) -> bytes:
    """Returns the record of a message's arguments and original, in the producer or, if that is not monitored, in the worker."""
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
    """Whether a message is certainly too large to store, without encoding it."""
    size, waiting = 0, [value]
    while waiting and size <= LARGE:
        value = waiting.pop()
        size += 3
        if isinstance(value, (str, bytes, bytearray)):  # plain classes on purpose: this runs in every call of send()
            size += len(value)
        elif isinstance(value, (dict, list, tuple, set, frozenset)):
            size += 2 * len(value)
            if size <= LARGE:
                waiting += [*value, *value.values()] if isinstance(value, dict) else value
    return size > LARGE


# -- reading one back ----------------------------------------------------------------------------------------------------
def message_again(original: Original, new_id: str) -> tuple[Message[Any], str]:
    """Returns the message under a new ID, and a note for the operator if something was left out. Raises Refused."""
    data = original.data
    if original.queue.endswith((DELAYED, DEAD)):
        raise Refused(f"{original.queue[:80]} is a queue of Dramatiq's own. Nothing was sent.", check="queue.unknown")
    if "body64" in data:
        read = _decode(original)
        if read.actor_name != original.name:
            raise Refused(f"the original runs another actor than {original.name[:80]}. Nothing was sent.", check="original.name")
        args, kwargs, options = tuple(read.args), dict(read.kwargs), dict(read.options)
    else:
        args, kwargs, options = tuple(data.get("args", ())), dict(data.get("kwargs", {})), dict(data.get("options", {}))
    note = ""
    if OF_A_GROUP & options.keys():
        note = "It was a member of a group and was sent on its own: the group's callbacks are not called a second time."
    options = {key: value for key, value in options.items() if key not in LEFT_OUT | OF_A_GROUP}
    if "pipe_target" in options:
        options["pipe_target"] = _renamed(options["pipe_target"])
    return Message(
        queue_name=original.queue, actor_name=original.name, args=args, kwargs=kwargs, options=options, message_id=new_id
    ), note  # fmt: skip


def check_targets(original: Original, knows_task: Callable[[str], bool], knows_queue: Callable[[str], bool]) -> None:
    """Checks the further tasks of an older agent's original (callbacks, the rest of a pipeline), which must be declared too: its seal
    binds neither names nor queues. Raises Refused."""
    options = original.data.get("options", {}) if "body64" not in original.data else _decode(original).options
    target: Any = {"options": options}
    while isinstance(target, dict):
        options = target["options"] if isinstance(target.get("options"), dict) else {}
        for key in CALLBACKS:
            if (name := options.get(key)) is not None and not knows_task(str(name)):
                raise Refused(
                    f"its {key} is {str(name)[:80]}, and this application declares no such actor. Nothing was sent.", check="task.unknown"
                )
        target = options.get("pipe_target")
        if isinstance(target, dict) and not knows_task(str(target.get("actor_name"))):
            raise Refused(
                "its pipeline continues with an actor that this application does not declare. Nothing was sent.", check="task.unknown"
            )
        if isinstance(target, dict) and not knows_queue(str(target.get("queue_name"))):
            raise Refused(
                "its pipeline continues in a queue that this application does not declare. Nothing was sent.", check="queue.unknown"
            )


def _renamed(target: Any) -> Any:
    """The rest of a pipeline under new IDs: with its old ones it would be treated as tasks that have already run."""
    if not isinstance(target, dict):
        return target
    options = dict(target.get("options", {}))
    if "pipe_target" in options:
        options["pipe_target"] = _renamed(options["pipe_target"])
    return {**target, "message_id": str(uuid.uuid4()), "options": options}


def _decode(original: Original) -> Message[Any]:
    """A message of another encoder than JSON. That may be pickle: only messages that this application has sealed are read."""
    encoder = _name_of(get_encoder())
    if original.data.get("encoder") != encoder:
        raise Refused(
            f"the stored message was encoded by {original.data.get('encoder')}, but this process has {encoder}. Nothing was sent."
        )
    try:
        return Message.decode(base64.b64decode(str(original.data["body64"])))
    except (DecodeError, ValueError) as error:
        raise Refused(f"the stored message cannot be decoded in this process ({type(error).__name__}). Nothing was sent.") from error
