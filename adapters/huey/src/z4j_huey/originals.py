# SPDX-License-Identifier: Apache-2.0
"""A task's arguments for display, and the original that can be enqueued again.

The original of a task whose arguments are plain JSON is those arguments and its options. For any other task it is Huey's own message,
byte for byte. By default that is pickle, so it is always sealed, and only sealed ones are enqueued again.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Hashable
from datetime import datetime
from typing import Any, cast

from z4j_agent.agent import Agent
from z4j_agent.capture import display
from z4j_agent.capture.guard import let_through
from z4j_agent.capture.hooks import parameter_names
from z4j_agent.capture.originals import MAX_ORIGINAL, CannotOpen, is_plain
from z4j_agent.commands.edits import is_editable
from z4j_agent.contract.adapter import Original, Refused
from z4j_agent.wire.redaction import MASK
from z4j_huey.broker_identity import identity_of
from z4j_huey.messages import ENGINE, function_of

BY_PRODUCER, BY_WORKER = 2, 1
"""Ranks of the producer's and the worker's record of arguments; the higher one is shown. The worker reports those of messages without the
producer's mark, see `messages`."""
_LARGE = 8 * MAX_ORIGINAL
#: Further options of a task that its sender chose.
OPTIONS = ("retries", "retry_delay", "retry_backoff", "priority", "timeout")


def payload_of(agent: Agent, huey: Any, task: Any, rank: int, attempt: int, name: str) -> bytes:
    """Returns the record of a task's arguments and original."""
    keywords, task_class = _keywords(task), cast("Hashable", type(task))
    shown = display.show_arguments(task.args, keywords, agent.settings.redact, _names_of(task_class))
    data, is_pickle = payload_data(huey, task, keywords)
    return agent.shown_payload(ENGINE, task.id, attempt, name, huey.name, rank, shown, data, is_secret=is_pickle, broker=identity_of(huey))


@functools.lru_cache(maxsize=4096)
def _names_of(task_class: Any) -> tuple[str, ...]:
    function = function_of(task_class)
    return parameter_names(function) if function is not None else ()


def payload_data(huey: Any, task: Any, kwargs: dict[str, Any]) -> tuple[dict[str, Any] | None, bool]:
    """(data from which `task_again` makes the task, None if it is too large; whether it may be a pickle). `kwargs` are its keyword
    arguments."""
    args = task.args
    has_more = task.on_complete is not None or task.on_error is not None or getattr(task, "chord_config", None) is not None
    if not has_more and is_plain(args) and is_plain(kwargs):
        options = {key: value for key in OPTIONS if (value := getattr(task, key, None)) and is_plain(value)}
        return {"args": list(args), "kwargs": kwargs} | ({"task": options} if options else {}), False
    body = huey.serialize_task(task)
    return ({"body64": base64.b64encode(body).decode("ascii")} if len(body) <= _LARGE else None), True


def _keywords(task: Any) -> dict[str, Any]:
    """The keyword arguments without the task itself, which older versions of Huey add when it runs."""
    kwargs = task.kwargs
    return {key: value for key, value in kwargs.items() if value is not task} if kwargs else {}


def task_again(huey: Any, original: Original, new_id: str) -> tuple[Any, str]:
    """Returns the stored task under a new ID, and a note for the operator if something was left out. Raises Refused."""
    registry = huey._registry
    data = original.data
    if "body64" in data:
        message = huey.serializer.deserialize(base64.b64decode(str(data["body64"])))
        is_member = getattr(message, "chord_config", None) is not None
        note = "It was part of a chord and runs on its own now: the chord is not counted a second time." if is_member else ""
        if message.name != original.name:  # possible only for a seal of an older agent, which does not bind the name
            raise CannotOpen(
                f"the original is of {message.name[:80]}, not of {original.name[:80]}. Nothing was enqueued.", check="original.name"
            )
        if message.name not in registry._registry:
            raise Refused(f"this application has no task {message.name} now. Nothing was enqueued.", check="task.unknown")
        changes: dict[str, Any] = {"id": new_id, "eta": None, "expires_resolved": None} | ({"chord_config": None} if is_member else {})
        if isinstance(message.expires, datetime):
            changes["expires"] = None  # a time, which has passed or soon will; a duration starts again
        task = registry.create_task(message._replace(**changes))
        _rename(task.on_complete)
        _rename(task.on_error)
        return task, note
    if not isinstance(data.get("args"), list) or not isinstance(data.get("kwargs"), dict):
        raise Refused("the stored task has no arguments. Nothing was enqueued.")
    if original.name not in registry._registry:
        raise Refused(f"this application has no task {original.name} now. Nothing was enqueued.", check="task.unknown")
    options = {key: value for key, value in (data.get("task") or {}).items() if key in OPTIONS}
    return registry.string_to_task(original.name)(tuple(data["args"]), dict(data["kwargs"]), id=new_id, **options), ""


def read_arguments(huey: Any, original: Original) -> tuple[list[Any], dict[str, Any]]:
    """Returns the stored task's arguments as JSON values. Raises Refused if they have no JSON form, or are a pickle that was not sealed."""
    data = original.data
    if isinstance(data.get("args"), list) and isinstance(data.get("kwargs"), dict):
        return data["args"], data["kwargs"]
    message = huey.serializer.deserialize(base64.b64decode(str(data.get("body64", ""))))
    if not is_editable(message.args) or not is_editable(message.kwargs):
        raise Refused("its arguments are objects that cannot be written as text")
    return list(message.args), dict(message.kwargs)


def _rename(task: Any) -> None:
    """Gives the tasks that follow a task new IDs: with their old ones they would be treated as tasks that have already run."""
    if task is not None:
        task.id = task.create_id()
        task.revoke_id = f"r:{task.id}"
        _rename(task.on_complete)
        _rename(task.on_error)


def of_unknown(agent: Agent, huey: Any, data: bytes) -> tuple[bytes | None, str, int, str]:
    """Reads a message without its task class: (record of its arguments, task ID, attempt, name).

    A positional argument is only recognised as a secret by its parameter's name, so none of them is shown here. Data that is not a
    message of Huey is identified by a hash, and has neither name nor arguments.
    """
    try:
        message = huey.serializer.deserialize(data)
        task_id, name, args, kwargs = str(message.id), str(message.name), message.args, message.kwargs
    except Exception as error:
        let_through(error)
        return None, f"malformed-{hashlib.sha256(data).hexdigest()[:32]}", 0, ""
    text, _ = display.show_arguments([MASK] * len(args), kwargs, agent.settings.redact)
    body = {"body64": base64.b64encode(data).decode("ascii")} if len(data) <= _LARGE else None
    record = agent.shown_payload(ENGINE, task_id, 0, name, huey.name, BY_WORKER, (text, True), body, broker=identity_of(huey))
    return record, task_id, 0, name
