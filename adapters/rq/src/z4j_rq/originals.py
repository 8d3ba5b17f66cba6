# SPDX-License-Identifier: Apache-2.0
"""A job's arguments for display, and the original that can be enqueued again.

The original of a job whose arguments are plain JSON is those arguments. For any other job it is the output of RQ's serialiser, byte for
byte. By default that is pickle, so it is always sealed, and only sealed ones are enqueued again.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from rq.exceptions import DeserializationError
from rq.job import Job

from z4j_agent.agent import Agent
from z4j_agent.capture import display
from z4j_agent.capture.guard import let_through
from z4j_agent.capture.hooks import parameter_names
from z4j_agent.capture.originals import MAX_ORIGINAL, is_plain
from z4j_agent.commands.edits import is_editable
from z4j_agent.contract.adapter import Original, Refused
from z4j_agent.wire.redaction import redact_text
from z4j_rq.job_hooks.job_marks import attempt_of, forget_attempts, note_of
from z4j_rq.messages import ENGINE, function_of, name_of

BY_PRODUCER, BY_WORKER = 2, 1
"""Ranks of the producer's and the worker's record of arguments; the higher one is shown."""
_LARGE = 8 * MAX_ORIGINAL
"""Originals are compressed before they are measured; a message larger than this never fits."""
#: Further options of a job that its sender chose. A job that is sent again starts with the current `retries_left`.
OPTIONS = ("timeout", "result_ttl", "failure_ttl", "ttl", "retries_left", "retry_intervals")


def show_job(agent: Agent, job: Job) -> tuple[str, bool]:
    """Returns a job's arguments for display, and whether any was masked. For a function that is not loaded here nothing is shown: any
    argument may be secret. Raises DeserializationError."""
    name = name_of(job)
    function = function_of(name) if job.instance is None else getattr(job.instance, name, None)
    if function is None:
        return "…", True
    return display.show_arguments(job.args, job.kwargs, agent.settings.redact, parameter_names(function))


def show_unread(job: Job) -> str:
    """For a job that cannot be read here: its description is always plain text."""
    return display.shorten(redact_text(str(job.description or "…")))


def payload_of(agent: Agent, job: Job, rank: int, broker: str) -> bytes:
    """Returns the record of a job's arguments and original. `broker` is the identity of its Redis."""
    name, data = name_of(job), job.data
    body: dict[str, Any] | None = None
    try:
        args, kwargs = job.args, job.kwargs
        text, is_masked = show_job(agent, job)
        if job.instance is None and is_plain(args) and is_plain(kwargs):
            body = {"args": list(args), "kwargs": dict(kwargs)}
    except DeserializationError:
        text, is_masked = show_unread(job), True
    is_secret = is_masked or body is None
    original: dict[str, Any] | None = None
    if len(data) <= _LARGE:
        body = body or {"body64": base64.b64encode(data).decode("ascii")}
        options = {key: value for key in OPTIONS if (value := getattr(job, key, None)) is not None}
        if job.meta:
            body, is_secret = {**body, **_stored_meta(job)}, True  # the sender's own data, which is not shown
        original = body | ({"job": options} if is_plain(options) and options else {})
    return agent.shown_payload(
        ENGINE, job.id, attempt_of(job), name, job.origin or "", rank, (text, is_masked), original, is_secret=is_secret, broker=broker
    )  # fmt: skip


def _stored_meta(job: Job) -> dict[str, Any]:
    """The data as JSON if that preserves it, else the serialiser's bytes; those that cannot be read here are unchanged."""
    unreadable = unreadable_meta(job)
    if unreadable is None and isinstance(job.meta, dict) and is_plain(job.meta):
        return {"meta": job.meta}
    raw = job.serializer.dumps(job.meta) if unreadable is None else unreadable
    return {"meta64": base64.b64encode(raw).decode("ascii")}


def unreadable_meta(job: Job) -> bytes | None:
    """Returns the bytes of a meta that RQ could not read ({"unserialized": bytes}), None if it could."""
    value = job.meta.get("unserialized") if isinstance(job.meta, dict) and len(job.meta) == 1 else None
    return value if isinstance(value, bytes) else None


def read_arguments(original: Original, serializer: Any, job_class: type[Job]) -> tuple[list[Any], dict[str, Any]]:
    """Returns the stored job's arguments as JSON values. Raises Refused if they have no JSON form, or are a pickle that was not sealed."""
    data = original.data
    if isinstance(data.get("args"), list) and isinstance(data.get("kwargs"), dict):
        return data["args"], data["kwargs"]
    job = job_class(original.task_id, connection=None, serializer=serializer)
    job.data = base64.b64decode(str(data.get("body64", "")))
    try:
        args, kwargs = job.args, job.kwargs
    except DeserializationError as error:
        raise Refused("the stored job cannot be read in this process. Nothing was sent.") from error
    if job.instance is not None or not is_editable(args) or not is_editable(kwargs):
        raise Refused("its arguments are objects that cannot be written as text")
    return list(args), dict(kwargs)


def edited(original: Original, args: list[Any], kwargs: dict[str, Any]) -> Original:
    """Returns the stored job with other arguments."""
    rest = {key: value for key, value in original.data.items() if key in ("job", "meta", "meta64")}
    return replace(original, data={"args": args, "kwargs": kwargs, **rest})


def job_again(original: Original, new_id: str, connection: Any, serializer: Any, job_class: type[Job]) -> Job:
    """Returns the stored job under a new ID, not written yet. Raises Refused."""
    data = original.data
    if job_class.exists(new_id, connection=connection):
        raise Refused("a job with the new ID already exists in RQ. Nothing was sent.", check="task_id.exists")
    job = job_class(new_id, connection=connection, serializer=serializer)
    if "body64" in data:
        job.data = base64.b64decode(str(data["body64"]))
        if not original.is_bound and name_of(job) != original.name:
            raise Refused(f"the original runs another task than {original.name[:80]}. Nothing was sent.", check="original.name")
    elif isinstance(data.get("args"), list) and isinstance(data.get("kwargs"), dict):
        job.func_name, job.instance, job.args, job.kwargs = original.name, None, tuple(data["args"]), data["kwargs"]
    else:
        raise Refused("the stored job has no arguments. Nothing was sent.")
    for key, value in (data.get("job") or {}).items():
        if key in OPTIONS:
            setattr(job, key, value)
    job.description = job.get_call_string() if "body64" not in data else f"{original.name} again"
    job.origin = original.queue
    _give_meta(job, data)
    forget_attempts(job, of=original.task_id)
    return job


def _give_meta(job: Job, data: dict[str, Any]) -> None:
    raw = base64.b64decode(str(data["meta64"])) if "meta64" in data else None
    if raw is None:
        job.meta = dict(data.get("meta") or {})
        return
    try:
        job.meta = job.serializer.loads(raw)
    except Exception as error:  # any exception of a serialiser: this process lacks the class, so the bytes stay unchanged
        let_through(error)
        job.meta = {"unserialized": raw}
        note_of(job).unreadable_meta = raw
