# SPDX-License-Identifier: Apache-2.0
"""A job's arguments for display, and the original that can be enqueued again.

The original of a job whose arguments are plain JSON is those arguments. Of any other it is what RQ's serialiser made, byte for byte;
that is pickle unless the application says otherwise, so it is always sealed, and only what was sealed is ever enqueued again.
"""

from __future__ import annotations

import base64
from typing import Any

from rq.exceptions import DeserializationError
from rq.job import Job

from z4j_agent import display, records
from z4j_agent.adapter import Original, Refused
from z4j_agent.agent import Agent
from z4j_agent.hooks import now, parameter_names
from z4j_agent.originals import MAX_ORIGINAL, close_original, is_plain
from z4j_agent.redaction import redact_text
from z4j_rq.facts import ENGINE, MARK, attempt_of, function_of, name_of

BY_PRODUCER, BY_WORKER = 2, 1
"""Whose word on arguments counts more when both report them."""
_LARGE = 8 * MAX_ORIGINAL
"""Originals are compressed before they are measured; a message larger than this will not fit however well that goes."""
#: What else of a job is its sender's wish. `retries_left` is what is left now; a job sent again begins with that.
WISHES = ("timeout", "result_ttl", "failure_ttl", "ttl", "retries_left", "retry_intervals")


def payload_of(agent: Agent, job: Job, rank: int) -> bytes:
    """The record of a job's arguments and original. Of a function that is not known here nothing is shown: any argument may be secret."""
    name, data = name_of(job), job.data
    body: dict[str, Any] | None = None
    try:
        args, kwargs = job.args, job.kwargs
        function = function_of(name) if job.instance is None else getattr(job.instance, name, None)
        if function is None:
            text, is_masked = "…", True
        else:
            text, is_masked = display.show_arguments(args, kwargs, agent.settings.redact, parameter_names(function))
        if job.instance is None and is_plain(args) and is_plain(kwargs):
            body = {"args": list(args), "kwargs": dict(kwargs)}
    except DeserializationError:  # the description is always plain text
        text, is_masked = display.shorten(redact_text(str(job.description or "…"))), True
    is_secret = is_masked or body is None
    held, state = None, "too_large"
    if len(data) <= _LARGE:
        body = body or {"body64": base64.b64encode(data).decode("ascii")}
        wishes = {key: value for key in WISHES if (value := getattr(job, key, None)) is not None}
        meta = {key: value for key, value in job.meta.items() if key != MARK} if isinstance(job.meta, dict) else {}
        if meta and is_plain(meta):
            body, is_secret = {**body, "meta": meta}, True  # the sender's own data, of which we show nothing
        original = body | ({"job": wishes} if is_plain(wishes) and wishes else {})
        held, state = close_original(original, ENGINE, job.id, is_masked=is_secret, key=agent.settings.seal_key)
    return records.payload(
        ENGINE, job.id, attempt_of(job), now(), agent.run, name, job.origin or "", rank=rank, args=text, is_masked=is_masked,
        original=held, original_state=state,
    )  # fmt: skip


def job_again(original: Original, new_id: str, connection: Any, serializer: Any, job_class: type[Job]) -> Job:
    """The kept job under a new id, not written yet. Raises Refused."""
    data = original.data
    job = job_class(new_id, connection=connection, serializer=serializer)
    if "body64" in data:
        if not original.is_sealed:
            raise Refused("the kept job is a pickle that this application has not sealed; it is not handed to a worker")
        job.data = base64.b64decode(str(data["body64"]))
    elif isinstance(data.get("args"), list) and isinstance(data.get("kwargs"), dict):
        job.func_name, job.instance, job.args, job.kwargs = original.name, None, tuple(data["args"]), data["kwargs"]
    else:
        raise Refused("the kept job has no arguments")
    for key, value in (data.get("job") or {}).items():
        if key in WISHES:
            setattr(job, key, value)
    job.description = job.get_call_string() if "body64" not in data else f"{original.name} again"
    job.origin = original.queue
    job.meta = {**(data.get("meta") or {}), MARK: {"n": 0, "after": "", "of": original.task_id}}
    return job
