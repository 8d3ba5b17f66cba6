# SPDX-License-Identifier: Apache-2.0
"""Stored messages, so that tasks can be sent again, and the records that contain them together with the displayed arguments.

With taskiq's own JSON an original contains the message's fields: arguments, labels and their types. With any other serialiser or
formatter it contains the encoded bytes. Decoding such bytes may run code (a pickle), so they are always sealed, and only sealed ones are
decoded: nobody without the application's key can pass a pickle to the agent or to a worker. Fields are stored unencrypted if nothing in
the arguments or labels was masked.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

from taskiq.formatters.json_formatter import JSONFormatter
from taskiq.formatters.proxy_formatter import ProxyFormatter
from taskiq.message import TaskiqMessage
from taskiq.serializers.json_serializer import JSONSerializer

from z4j_agent.agent import Agent
from z4j_agent.capture import display, hooks
from z4j_agent.capture.originals import MAX_ORIGINAL, CannotOpen
from z4j_agent.contract.adapter import Original, Refused
from z4j_agent.wire.redaction import redact
from z4j_taskiq.brokers.broker_identity import identity_of
from z4j_taskiq.messages import ENGINE, OLD_MARK, OLD_RETRY_OF, REQUEUES, RETRIES, is_rabbitmq, queue_of

BY_PRODUCER, BY_WORKER = 2, 1
"""Ranks of the producer's and the worker's record of arguments; the higher one is shown."""
SCALARS = frozenset({str, int, float, bool, type(None)})
BYTES = "body64"
"""The field of an original with the encoded message."""
LARGE = 8 * MAX_ORIGINAL
"""Maximum size before compression; a larger message is not encoded."""
LEFT_OUT = frozenset({OLD_MARK, OLD_RETRY_OF, RETRIES, REQUEUES})
"""Labels that belong to one enqueueing of a task."""
TASKIQS_OWN = LEFT_OUT | {"retry_on_error", "max_retries", "timeout", "delay", "queue_name", "priority", "schedule_id", "ack_type"}
"""Labels without secrets: numbers, and names that are displayed anyway."""


def is_plain_json(broker: Any) -> bool:
    """Whether a message is encoded as JSON, so that its fields are complete."""
    formatter = type(broker.formatter)
    if formatter is JSONFormatter:
        return True
    serializer = broker.serializer
    return formatter is ProxyFormatter and type(serializer) is JSONSerializer and getattr(serializer, "default", None) is None


def parameter_names(broker: Any, name: str) -> tuple[str, ...] | None:
    """Returns the names of a task's positional parameters; None if this process does not have the task."""
    task = broker.find_task(name)
    return None if task is None else hooks.parameter_names(task.original_func)


# -- records at the producer and the worker----------------------------------------------------------------------------------
def payload_of_send(agent: Agent, broker: Any, message: TaskiqMessage, attempt: int, queue: str, names: tuple[str, ...]) -> bytes:
    """Returns the record at the producer, after the broker has accepted the message."""
    shown = (message.args, message.kwargs, message.labels)
    data: dict[str, Any] | None = None
    if not is_large((*message.args, message.kwargs, message.labels)):
        if not is_plain_json(broker):
            data = _opaque(broker.formatter.dumps(message).message)
        elif all(_is_json(value) for value in (*message.args, *message.kwargs.values())):
            data = _fields(vars(message))
        else:  # dates and the like: as pydantic encodes them
            data = _fields(json.loads(broker.formatter.dumps(message).message))
    return _payload(agent, message.task_id, message.task_name, attempt, queue, BY_PRODUCER, shown, names, data, identity_of(broker))


def payload_of_delivery(
    agent: Agent, broker: Any, raw: bytes, task_id: str, name: str, attempt: int, queue: str, shown: tuple[Any, Any, Any]
) -> bytes:
    """Returns the record at the worker, in the agent's thread. `shown` are arguments and labels as taskiq decoded them, before it converted
    any."""
    data: dict[str, Any] | None = None
    if len(raw) <= LARGE:
        data = _fields(json.loads(raw)) if is_plain_json(broker) else _opaque(raw)
    return _payload(agent, task_id, name, attempt, queue, BY_WORKER, shown, parameter_names(broker, name) or (), data, identity_of(broker))


def _fields(message: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a message except its ID and its name."""
    labels, types = message["labels"], message.get("labels_types")
    fields: dict[str, Any] = {"args": message["args"], "kwargs": message["kwargs"]}
    fields["labels"] = {key: value for key, value in labels.items() if key not in LEFT_OUT}
    if types is not None:
        fields["types"] = {key: value for key, value in types.items() if key not in LEFT_OUT}
    return fields


def _opaque(raw: bytes) -> dict[str, Any]:
    return {BYTES: base64.b64encode(raw).decode("ascii")}


def _is_json(value: Any) -> bool:
    """Whether encoding certainly preserves an argument."""
    return type(value) in SCALARS or (type(value) in (list, dict) and _encodes(value))


def _encodes(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def is_large(values: Iterable[Any]) -> bool:
    """Whether these plain data are certainly too large to store, without serialising them."""
    size, waiting = 0, list(values)
    while waiting and size <= LARGE:
        value = waiting.pop()
        size += 3
        kind = type(value)
        if kind is int or kind is float or kind is bool or value is None:
            continue
        if isinstance(value, (str, bytes, bytearray)):
            size += len(value)
        elif isinstance(value, (dict, list, tuple, set, frozenset)):
            size += 2 * len(value)
            if size <= LARGE:
                waiting += [*value.keys(), *value.values()] if isinstance(value, dict) else value
    return size > LARGE


def is_clear(labels: Mapping[str, Any], extra: Iterable[str]) -> bool:
    """Whether the application's own labels contain nothing that has to be masked."""
    return not redact(labels, extra)[1]


def _payload(
    agent: Agent, task_id: str, name: str, attempt: int, queue: str, rank: int,
    shown: tuple[Any, Any, Any], names: tuple[str, ...], data: dict[str, Any] | None, identity: str,
) -> bytes:  # fmt: skip
    args, kwargs, labels = shown
    text = display.show_arguments(args, kwargs, agent.settings.redact, names)
    is_secret = data is None or BYTES in data or not (labels.keys() <= TASKIQS_OWN or is_clear(labels, agent.settings.redact))
    return agent.shown_payload(ENGINE, task_id, attempt, name, queue, rank, text, data, is_secret=is_secret, broker=identity)


# -- reading one back ----------------------------------------------------------------------------------------------------
def message_again(broker: Any, original: Original, new_id: str) -> TaskiqMessage:
    """Returns the stored message under a new ID, as if sent for the first time. Raises Refused if there is none or it cannot be decoded."""
    data = original.data
    if BYTES in data:
        try:
            message = broker.formatter.loads(message=base64.b64decode(str(data[BYTES])))
        except Exception as error:
            raise Refused(f"the stored message cannot be decoded in this process ({type(error).__name__}). Nothing was sent.") from error
        if message.task_name != original.name:  # possible only for a seal of an older agent, which does not bind the name
            raise CannotOpen(
                f"the original is of {message.task_name[:80]}, not of {original.name[:80]}. Nothing was sent.", check="original.name"
            )
        args, kwargs, labels, types = message.args, message.kwargs, message.labels, message.labels_types
    elif "args" in data:
        args, kwargs, labels, types = data["args"], data["kwargs"], data["labels"], data.get("types")
    else:
        raise Refused("the stored message has no arguments. Nothing was sent.")
    left_out = LEFT_OUT | {"delay"} if is_rabbitmq(broker) else LEFT_OUT  # there it would wait again
    again = TaskiqMessage(
        task_id=new_id,
        task_name=original.name,
        labels={key: value for key, value in labels.items() if key not in left_out},
        labels_types=None if types is None else {key: value for key, value in types.items() if key not in left_out},
        args=args,
        kwargs=kwargs,
    )
    if not original.is_bound and queue_of(broker, again.labels) != original.queue:
        raise CannotOpen(f"the original was not sent to {original.queue[:80]}. Nothing was sent.", check="original.queue")
    return sent_to(broker, again, original.queue)


def sent_to(broker: Any, message: TaskiqMessage, queue: str) -> TaskiqMessage:
    """Returns the message with the label for this queue. Raises Refused if no label selects it."""
    if queue_of(broker, message.labels) == queue:
        return message
    label = getattr(broker, "_label_for_routing", "queue_name")
    labels = {key: value for key, value in message.labels.items() if key != label}
    if queue_of(broker, labels) != queue:
        labels[label] = queue
    if queue_of(broker, labels) != queue:
        raise Refused(f"this broker sends everything to {queue_of(broker, labels)[:80]}. Nothing was sent.", check="queue.unknown")
    types = message.labels_types
    remaining_types = None if types is None else {key: value for key, value in types.items() if key != label}
    return message.model_copy(update={"labels": labels, "labels_types": remaining_types})
