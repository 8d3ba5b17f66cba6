# SPDX-License-Identifier: Apache-2.0
"""A job's arguments for display, and the original that can be enqueued again.

The original of a job whose arguments are plain JSON is those arguments. For any other job it is arq's own message, byte for byte:
pickle, or the output of the application's serialiser. Such bytes may run code when a worker reads them, so they are always sealed, and
only sealed ones are enqueued again: nobody without the application's key can pass a pickle to a worker.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from z4j_agent.agent import Agent
from z4j_agent.capture import display
from z4j_agent.capture.originals import MAX_ORIGINAL, is_plain
from z4j_agent.contract.adapter import Original, Refused
from z4j_arq.messages import ENGINE

BY_PRODUCER, BY_WORKER = 2, 1
"""Ranks of the producer's and the worker's record of arguments; the higher one is shown."""
SMALL = 32 * 1024
"""Maximum bytes of a message whose original is made at once, which takes a fraction of a millisecond."""
_LARGE = 8 * MAX_ORIGINAL
"""Originals are compressed before they are measured; a message larger than this never fits."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job with its arguments. `body` is arq's serialised message, `names` are its positional parameters."""

    task_id: str
    attempt: int
    name: str
    queue: str
    args: Any
    kwargs: Any
    body: bytes
    names: tuple[str, ...]
    broker: str = ""
    """The identity of its Redis."""


def record_of_arguments(agent: Agent, job: Job, rank: int) -> bytes:
    """Returns the record of a job's arguments, empty if the agent's thread appends it.

    They are read at once, because the task may change them as soon as it runs. Only a large message is packed in the agent's thread,
    from the bytes in Redis.
    """
    text, is_masked = display.show_arguments(job.args, job.kwargs, agent.settings.redact, job.names)
    if len(job.body) > SMALL:
        agent.offer(lambda: _payload(agent, job, rank, text, is_masked, None))
        return b""
    data = {"args": list(job.args), "kwargs": job.kwargs} if is_plain(job.args) and is_plain(job.kwargs) else None
    return _payload(agent, job, rank, text, is_masked, data)


def payload_of(agent: Agent, job: Job, rank: int) -> bytes:
    """Returns the record itself, of any size; only in the agent's own thread."""
    text, is_masked = display.show_arguments(job.args, job.kwargs, agent.settings.redact, job.names)
    data = {"args": list(job.args), "kwargs": job.kwargs} if is_plain(job.args) and is_plain(job.kwargs) else None
    return _payload(agent, job, rank, text, is_masked, data)


def _payload(agent: Agent, job: Job, rank: int, text: str, is_masked: bool, data: dict[str, Any] | None) -> bytes:
    is_message = data is None
    if data is None and len(job.body) <= _LARGE:
        data = {"body64": base64.b64encode(job.body).decode("ascii")}
    return agent.shown_payload(
        ENGINE, job.task_id, job.attempt, job.name, job.queue, rank, (text, is_masked), data, is_secret=is_message, broker=job.broker
    )  # fmt: skip


def arguments_of(original: Original) -> tuple[list[Any], dict[str, Any]] | None:
    """(args, kwargs) of an original that contains them; None if it contains arq's message. Raises Refused if it contains neither."""
    args, kwargs = original.data.get("args"), original.data.get("kwargs")
    if isinstance(args, list) and isinstance(kwargs, Mapping):
        return args, dict(kwargs)
    if "body64" not in original.data:
        raise Refused("the stored job has no arguments. Nothing was enqueued.")
    return None


def body_of(original: Original) -> bytes:
    """arq's own message."""
    return base64.b64decode(str(original.data["body64"]))
