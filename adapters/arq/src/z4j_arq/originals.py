# SPDX-License-Identifier: Apache-2.0
"""A job's arguments for display, and the original that can be enqueued again.

The original of a job whose arguments are plain JSON is those arguments. Of any other it is arq's own message, byte for byte: pickle,
or what the application's serialiser made. Such bytes run code when a worker reads them, so they are always sealed, whatever is in
them, and only what was sealed is ever enqueued again: nobody without the application's key can hand a pickle to a worker.
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
"""Whose word on arguments counts more when both report them."""
SMALL = 32 * 1024
"""Bytes of a message whose original is made at once: JSON of it takes a fraction of a millisecond."""
_LARGE = 8 * MAX_ORIGINAL
"""Originals are compressed before they are measured; a message larger than this will not fit however well that goes."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job whose arguments are at hand. `body` is arq's serialised message, `names` are its positional parameters."""

    task_id: str
    attempt: int
    name: str
    queue: str
    args: Any
    kwargs: Any
    body: bytes
    names: tuple[str, ...]
    broker: str = ""
    """The identity of the Redis it lies in."""


def report_arguments(agent: Agent, job: Job, rank: int) -> None:
    """Appends the record of a job's arguments.

    They are read at once, because the task may change them as soon as it runs. Only what is large goes on in the agent's thread, which
    packs the bytes that travelled.
    """
    text, is_masked = display.show_arguments(job.args, job.kwargs, agent.settings.redact, job.names)
    if len(job.body) > SMALL:
        agent.offer(lambda: _payload(agent, job, rank, text, is_masked, None))
        return
    data = {"args": list(job.args), "kwargs": job.kwargs} if is_plain(job.args) and is_plain(job.kwargs) else None
    agent.append(_payload(agent, job, rank, text, is_masked, data))


def payload_of(agent: Agent, job: Job, rank: int) -> bytes:
    """The record itself, however large; only in the agent's own thread."""
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
    """(args, kwargs) of an original that holds them; None where it holds arq's message. Raises Refused where it holds neither."""
    args, kwargs = original.data.get("args"), original.data.get("kwargs")
    if isinstance(args, list) and isinstance(kwargs, Mapping):
        return args, dict(kwargs)
    if "body64" not in original.data:
        raise Refused("the kept job has no arguments")
    return None


def body_of(original: Original) -> bytes:
    """arq's own message."""
    return base64.b64decode(str(original.data["body64"]))
