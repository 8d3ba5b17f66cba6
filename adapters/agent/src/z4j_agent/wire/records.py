# SPDX-License-Identifier: Apache-2.0
"""Formats the task records that an adapter appends to the spool, in the layout of `wire.TASK_RECORDS`.

A general encoder costs 4–10 µs in a real worker, one f-string with the C string quoter a fifth of it. Text arguments are plain
strings and are quoted here; `meta` is a JSON object as text (see `meta`) or "null"; `usage` is "" or what `run_usage` returns. Times are
integer microseconds UTC, `runtime` is microseconds of the worker's monotonic clock.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from typing import Any

from z4j_agent.wire import quote
from z4j_agent.wire.codec import make_encoder

NO_META = "null"
_encode = make_encoder((",", ":"))


def meta(facts: Mapping[str, Any]) -> str:
    """The non-empty values as JSON text, or "null" if there are none."""
    fields = [
        f"{quote(key)}:{quote(value) if type(value) is str else _encode(value)}"
        for key, value in facts.items()
        if value is not None and value != "" and value is not False
    ]
    return f"{{{','.join(fields)}}}" if fields else NO_META


def _number(value: int | None) -> str:
    return "null" if value is None else str(value)


def _head(kind: str, engine: str, task_id: str, attempt: int, at: int, run: str, name: str, queue: str) -> str:
    return f'\x1e["{kind}","{engine}",{quote(task_id)},{attempt},{at},"{run}",{quote(name)},{quote(queue)},'


def enqueued(
    engine: str,
    task_id: str,
    attempt: int,
    at: int,
    run: str,
    name: str,
    queue: str,
    *,
    eta: int | None = None,
    meta: str = NO_META,
) -> bytes:
    """A producer has sent the task to the broker."""
    return f"{_head('enqueued', engine, task_id, attempt, at, run, name, queue)}{_number(eta)},{meta}]\n".encode("ascii")


def received(
    engine: str,
    task_id: str,
    attempt: int,
    at: int,
    run: str,
    name: str,
    queue: str,
    *,
    eta: int | None = None,
    meta: str = NO_META,
) -> bytes:
    """A worker has taken the task from the broker; it may still wait in that worker."""
    return f"{_head('received', engine, task_id, attempt, at, run, name, queue)}{_number(eta)},{meta}]\n".encode("ascii")


def started(engine: str, task_id: str, attempt: int, at: int, run: str, name: str, queue: str, *, meta: str = NO_META) -> bytes:
    """The task function is about to be called."""
    return f"{_head('started', engine, task_id, attempt, at, run, name, queue)}{meta}]\n".encode("ascii")


def succeeded(
    engine: str,
    task_id: str,
    attempt: int,
    at: int,
    run: str,
    name: str,
    queue: str,
    *,
    received_at: int | None,
    started_at: int | None,
    runtime: int | None,
    result: str,
    meta: str = NO_META,
    usage: str = "",
) -> bytes:
    """The task succeeded; `result` is redacted display text."""
    return (
        f"{_head('succeeded', engine, task_id, attempt, at, run, name, queue)}"
        f"{_number(received_at)},{_number(started_at)},{_number(runtime)},{quote(result)},{meta}{usage}]\n"
    ).encode("ascii")


def failed(
    engine: str,
    task_id: str,
    attempt: int,
    at: int,
    run: str,
    name: str,
    queue: str,
    *,
    received_at: int | None,
    started_at: int | None,
    runtime: int | None,
    reason: str,
    error_type: str,
    error: str,
    traceback: str,
    meta: str = NO_META,
    usage: str = "",
) -> bytes:
    """The task ended with an exception and is not retried automatically."""
    return (
        f"{_head('failed', engine, task_id, attempt, at, run, name, queue)}"
        f"{_number(received_at)},{_number(started_at)},{_number(runtime)},{quote(reason)},"
        f"{quote(error_type)},{quote(error)},{quote(traceback)},{meta}{usage}]\n"
    ).encode("ascii")


def retried(
    engine: str,
    task_id: str,
    attempt: int,
    at: int,
    run: str,
    name: str,
    queue: str,
    *,
    started_at: int | None,
    runtime: int | None,
    eta: int | None,
    reason: str,
    error_type: str,
    error: str,
    traceback: str,
    meta: str = NO_META,
    usage: str = "",
) -> bytes:
    """This attempt has ended and the engine will retry the task; `eta` is its time, if known."""
    return (
        f"{_head('retried', engine, task_id, attempt, at, run, name, queue)}"
        f"{_number(started_at)},{_number(runtime)},{_number(eta)},{quote(reason)},"
        f"{quote(error_type)},{quote(error)},{quote(traceback)},{meta}{usage}]\n"
    ).encode("ascii")


def cancelled(
    engine: str,
    task_id: str,
    attempt: int,
    at: int,
    run: str,
    name: str,
    queue: str,
    *,
    started_at: int | None = None,
    runtime: int | None = None,
    reason: str = "",
    error: str = "",
    meta: str = NO_META,
) -> bytes:
    """The engine reported that the task will not run, or was stopped."""
    return (
        f"{_head('cancelled', engine, task_id, attempt, at, run, name, queue)}"
        f"{_number(started_at)},{_number(runtime)},{quote(reason)},{quote(error)},{meta}]\n"
    ).encode("ascii")


def expired(
    engine: str,
    task_id: str,
    attempt: int,
    at: int,
    run: str,
    name: str,
    queue: str,
    *,
    reason: str = "",
    error: str = "",
    meta: str = NO_META,
) -> bytes:
    """The task was too old when a worker received it."""
    head = _head("expired", engine, task_id, attempt, at, run, name, queue)
    return f"{head}{quote(reason)},{quote(error)},{meta}]\n".encode("ascii")


def rejected(
    engine: str,
    task_id: str,
    attempt: int,
    at: int,
    run: str,
    name: str,
    queue: str,
    *,
    started_at: int | None = None,
    runtime: int | None = None,
    reason: str = "",
    error: str = "",
    traceback: str = "",
    meta: str = NO_META,
) -> bytes:
    """The worker refused the task: unknown name, undecodable message, or the task's own Reject."""
    return (
        f"{_head('rejected', engine, task_id, attempt, at, run, name, queue)}"
        f"{_number(started_at)},{_number(runtime)},{quote(reason)},{quote(error)},{quote(traceback)},{meta}]\n"
    ).encode("ascii")


def lost(engine: str, task_id: str, attempt: int, at: int, run: str, name: str, queue: str, *, reason: str, error: str = "") -> bytes:
    """The process that ran the task has died."""
    return f"{_head('lost', engine, task_id, attempt, at, run, name, queue)}{quote(reason)},{quote(error)}]\n".encode("ascii")


def logged(
    engine: str,
    task_id: str,
    attempt: int,
    at: int,
    run: str,
    name: str,
    queue: str,
    *,
    started_at: int | None,
    seq: int,
    level: int,
    logger: str,
    message: str,
    dropped: int,
) -> bytes:
    """The task wrote a log line, number `seq` of its run, after `dropped` lines of the run that are not sent. Level 0: its last one."""
    return (
        f"{_head('logged', engine, task_id, attempt, at, run, name, queue)}"
        f"{_number(started_at)},{seq},{level},{quote(logger)},{quote(message)},{dropped}]\n"
    ).encode("ascii")


def moved(engine: str, task_id: str, attempt: int, at: int, run: str, name: str, queue: str) -> bytes:
    """An operator has moved the waiting task to `queue`."""
    return f"{_head('moved', engine, task_id, attempt, at, run, name, queue)}null]\n".encode("ascii")


def payload(
    engine: str,
    task_id: str,
    attempt: int,
    at: int,
    run: str,
    name: str,
    queue: str,
    *,
    rank: int,
    args: str,
    is_masked: bool,
    original: tuple[str | None, bytes] | None,
    original_state: str,
    broker: str = "",
) -> bytes:
    """Redacted arguments and the original: (key id or None, blob). The producer's rank is 2, the worker's 1. `broker` is the identity in
    the original, so that the server sends commands to an agent that has it."""
    encoded = "null"
    if original is not None:
        key_id, blob = original
        encoded = f'[{"null" if key_id is None else quote(key_id)},"{b2a_base64(blob, newline=False).decode("ascii")}"]'
    return (
        f"{_head('payload', engine, task_id, attempt, at, run, name, queue)}"
        f'{rank},{quote(args)},{"true" if is_masked else "false"},{encoded},"{original_state}",{quote(broker)}]\n'
    ).encode("ascii")
