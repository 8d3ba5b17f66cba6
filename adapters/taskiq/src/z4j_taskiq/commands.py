# SPDX-License-Identifier: Apache-2.0
"""What operators ask. Called in the agent's thread, never in the loop; a synchronous Redis connection of its own does what it can."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import z4j_agent
from z4j_agent import hooks, records
from z4j_agent.adapter import Original, Refused, Unsupported
from z4j_agent.guard import faults, let_through
from z4j_taskiq import originals
from z4j_taskiq.facts import ENGINE, RETRY_ON_ERROR, attempt_of, queue_of, sent_meta
from z4j_taskiq.queues import LOOP_WAIT_S, in_loop, redis_kind, redis_of

if TYPE_CHECKING:
    from z4j_taskiq.capture import Capture
    from z4j_taskiq.run import Run

LOOKED_AT = 10_000
"""Messages of a queue that are read in search of one task; the nearest to their turn first."""
PAGE = 500

class SkipList:
    """Ids of tasks that no worker of this spool folder shall run: one id a line, shared by the children of a worker.

    taskiq has no way to revoke a task. Asking the file costs one `stat` per task, and nothing more while nobody cancels.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "taskiq.cancelled"
        self._stamp: tuple[int, int] = (0, 0)
        self._ids: set[str] = set()

    def add(self, task_id: str) -> None:
        """Raises OSError when it cannot be written: then this process alone knows it."""
        self._ids.add(task_id)
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, (task_id.encode("utf-8", "backslashreplace").hex() + "\n").encode())
        finally:
            os.close(fd)

    def take(self, task_id: str) -> bool:
        """Whether this task is not to be run."""
        with contextlib.suppress(OSError):
            facts = os.stat(self._path)
            if (stamp := (facts.st_mtime_ns, facts.st_size)) != self._stamp:
                self._stamp = stamp
                self._ids |= {bytes.fromhex(line).decode() for line in self._path.read_text("ascii").split()}
        return bool(self._ids) and task_id in self._ids


# -- retry ---------------------------------------------------------------------------------------------------------------
def retry_task(capture: Capture, original: Original, new_id: str) -> dict[str, Any]:
    """Sends the kept message under `new_id`, past the middlewares it has been through already.

    To a Redis by a connection of our own, so that any process can; to any other broker in the loop that uses it. The worker that
    takes it reports its arguments. Raises Refused.
    """
    broker = capture.broker
    message = originals.message_again(broker, original, new_id)
    sent, at = broker.formatter.dumps(message), hooks.now()
    queue = queue_of(broker, message.labels)
    match redis_kind(broker):
        case "list":
            with redis_of(broker) as client:
                client.lpush(queue, sent.message)
        case "stream":
            with redis_of(broker) as client:
                client.xadd(queue, {b"data": sent.message}, maxlen=broker.maxlen, approximate=broker.approximate)
        case _:
            in_loop(capture, lambda: broker.kick(sent))
    agent = z4j_agent.current()
    if agent is not None:
        agent.append(records.enqueued(ENGINE, new_id, 0, at, agent.run, original.name, queue, meta=sent_meta(message.labels)))
    return {"task_id": new_id, "queue": queue}


# -- cancel --------------------------------------------------------------------------------------------------------------
def cancel_task(capture: Capture, task_id: str) -> dict[str, Any]:
    """Takes the task out of its queue where that is possible, else has the workers of this folder drop it. Raises Refused."""
    if capture.receiver is None:
        raise Unsupported("only a worker can cancel, and this process is none")
    if task_id in capture.running:
        raise Refused("it runs already; stop it instead")
    broker = capture.broker
    if redis_kind(broker) == "list" and (labels := _taken_out(broker, task_id)) is not None:
        name, attempt, queue = labels
        agent = z4j_agent.current()
        if agent is not None:
            agent.append(records.cancelled(ENGINE, task_id, attempt, hooks.now(), agent.run, name, queue, reason="revoked"))
        return {"note": "it was taken out of the queue"}
    try:
        capture.skips.add(task_id)
    except OSError as error:
        faults.report("telling the other workers of a cancellation", error)
        return {"note": "this worker will not run it; the others could not be told"}
    return {"note": "no worker of this host and user will run it; the task is cancelled when one of them comes to it"}


def _taken_out(broker: Any, task_id: str) -> tuple[str, int, str] | None:
    """(name, attempt, queue) of a task that was in a list and is not any more; LREM says for certain whether we were first."""
    queue = queue_of(broker, {})
    with redis_of(broker) as client:
        for raw in _waiting(client, queue):
            message = _read(broker, raw)
            if message is not None and message.task_id == task_id and client.lrem(queue, 1, raw):
                return message.task_name, attempt_of(message.labels), queue
    return None


def _waiting(client: Any, queue: str) -> Iterator[bytes]:
    """The messages of a list, those first that are next (it is filled from the left and read from the right)."""
    for begin in range(0, LOOKED_AT, PAGE):
        page = client.lrange(queue, -(begin + PAGE), -(begin + 1))
        yield from reversed(page)
        if len(page) < PAGE:
            return


def _read(broker: Any, raw: bytes) -> Any:
    try:
        return broker.formatter.loads(message=raw)
    except Exception as error:
        let_through(error)
        return None  # nothing of taskiq's, or not readable here: a worker will say so when it comes to it


def find_waiting(capture: Capture, task_id: str) -> str | None:
    """Where the task waits, "" when it does not, None where the broker cannot be asked."""
    broker = capture.broker
    queue = queue_of(broker, {})
    match redis_kind(broker):
        case "list":
            with redis_of(broker) as client:
                found = any(_is_task(broker, raw, task_id) for raw in _waiting(client, queue))
                return f"in list {queue}" if found else ""
        case "stream":
            with redis_of(broker) as client:
                return _in_stream(client, broker, queue, task_id)
    return None


def _in_stream(client: Any, broker: Any, queue: str, task_id: str) -> str:
    """Unread, or handed to a consumer that has not acknowledged it."""
    import redis

    try:
        groups = client.xinfo_groups(queue)
    except redis.ResponseError:  # no such stream yet
        return ""
    group = broker.consumer_group_name
    last = next((entry["last-delivered-id"] for entry in groups if entry["name"] in (group, group.encode())), b"0-0")
    text = last.decode() if isinstance(last, bytes) else str(last)
    for _id, fields in client.xrange(queue, f"({text}", "+", count=LOOKED_AT):
        if _is_task(broker, fields.get(b"data", b""), task_id):
            return f"in stream {queue}"
    for entry in client.xpending_range(queue, group, "-", "+", PAGE):
        for _id, fields in client.xrange(queue, entry["message_id"], entry["message_id"]):
            if _is_task(broker, fields.get(b"data", b""), task_id):
                consumer = entry["consumer"]
                return f"handed to consumer {consumer.decode() if isinstance(consumer, bytes) else consumer}, not acknowledged"
    return ""


def _is_task(broker: Any, raw: bytes, task_id: str) -> bool:
    message = _read(broker, raw)
    return message is not None and message.task_id == task_id


# -- stop ----------------------------------------------------------------------------------------------------------------
def terminate_task(capture: Capture, task_id: str) -> dict[str, Any]:
    """Cancels the task's coroutine in its loop. A retry middleware does not send it again. Raises Refused."""
    if capture.receiver is None:
        raise Unsupported("only the worker that runs it can stop a task")
    run, loop = capture.running.get(task_id), capture.loop
    if run is None or loop is None:
        raise Refused("it does not run in this worker (any more)")
    if run.started_at is not None and run.coroutine is None:
        raise Refused("it is a plain function in a thread or process of its own, which cannot be stopped")
    answer: Future[bool] = Future()
    loop.call_soon_threadsafe(_stop, run, answer)
    try:
        if not answer.result(LOOP_WAIT_S):
            raise Refused("it was just ending by itself")
    except TimeoutError:
        answer.cancel()
        raise Refused("the event loop of its worker is blocked and did not answer in time") from None
    return {"note": "its coroutine was cancelled; a task that catches CancelledError goes on"}


def _stop(run: Run, answer: Future[bool]) -> None:
    """In the loop's thread, between two steps of the task: only its own code is cancelled, never taskiq's work after it."""
    if not answer.set_running_or_notify_cancel():
        return  # nobody waits for the answer any more
    if run.is_told or run.task is None or not run.is_in_its_own_code():
        answer.set_result(False)
        return
    run.is_stopped = True
    run.message.labels[RETRY_ON_ERROR] = False
    run.task.cancel()
    answer.set_result(True)
