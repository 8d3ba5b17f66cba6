# SPDX-License-Identifier: Apache-2.0
"""Commands for workers: the queues that they consume, shutdown, size, limits. They call Celery's remote control commands in this process,
so they also work if remote control is disabled or the broker has no broadcast.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from celery.worker import state as worker_state

from z4j_agent.contract.adapter import Refused, Unsupported
from z4j_agent.runtime.native_threads import SLEEP, ticks
from z4j_celery.messages import now, read_steadily
from z4j_celery.state import AppState, CeleryPart, report_released
from z4j_celery.task_commands import panel, state_of

LOOP_S = 5.0


def release_reserved(state: AppState, task_id: str) -> dict[str, Any] | None:
    """Passes a task that waits for its eta in this worker's timer to the pool. Returns None if it does not wait here."""
    consumer = state.consumer
    if consumer is None or _find_in_timer(consumer, task_id) is None:
        return None
    request = _in_own_thread(consumer, lambda: _taken_from_timer(consumer, task_id))
    if request is None:
        return None
    queue = state.queue_in(request.delivery_info)
    report_released(task_id, int((request.request_dict or {}).get("retries") or 0), now(), request.name, queue)
    return {"queue": queue}


def _in_own_thread(consumer: Any, call: Callable[[], Any]) -> Any:
    """Runs `call` in the worker's own thread, the only one that takes entries from its timer and repairs its pool. Raises Refused if that
    thread is too busy, and the exceptions of `call`."""
    results: list[Any] = []
    begun: list[bool] = []

    def apply() -> None:
        if results:
            return
        begun.append(True)
        try:
            results.append(call())
        except BaseException as error:
            results.append(error)

    consumer.call_soon(apply)
    ends = ticks() + LOOP_S
    while not results:
        if ticks() > ends:
            if begun:
                raise Refused(f"the worker's own thread did not finish this within {LOOP_S:g} s; the result is unknown.")
            results.append(TimeoutError())  # if it is called later, it does nothing
            raise Refused(f"the worker's own thread has been busy for {LOOP_S:g} s. No changes were made.")
        SLEEP(0.01)
    if isinstance(results[0], BaseException):
        raise results[0]
    return results[0]


def _taken_from_timer(consumer: Any, task_id: str) -> Any:
    entry_and_cancel = _find_in_timer(consumer, task_id)
    if entry_and_cancel is None:
        return None
    entry, cancel = entry_and_cancel
    cancel()
    entry.fun(*entry.args, **entry.kwargs)
    return entry.args[0]


def _find_in_timer(consumer: Any, task_id: str) -> tuple[Any, Callable[[], object]] | None:
    """(entry, function that cancels it): kombu's timer contains tuples, that of gevent and eventlet greenlets."""
    queue: list[Any] = read_steadily(lambda: list(consumer.timer.schedule.queue), [])
    for waits in queue:
        entry = waits[2] if isinstance(waits, tuple) else waits.entry
        if not entry.canceled and entry.args and getattr(entry.args[0], "id", None) == task_id:
            return entry, entry.cancel if isinstance(waits, tuple) else waits.cancel
    return None


def _resized(state: AppState, by: int) -> int:
    pool = worker_of(state).pool
    size = _size(pool)
    if size + by < 1:
        raise Refused(f"the pool has {size}; at least one must remain. No changes were made.")
    if by < 0 and (idle := _idle(pool)) is not None and idle < -by:
        raise Refused(f"only {idle} processes of the pool are idle; a process that runs a task is not ended. No changes were made.")
    if by:
        ask(state, "pool_grow" if by > 0 else "pool_shrink", n=abs(by))
    return size + by


def can_resize(pool: Any) -> bool:
    return hasattr(pool, "grow") and hasattr(pool, "shrink") and hasattr(pool, "limit")


def _idle(pool: Any) -> int | None:
    """Number of processes that can be ended; None if they are greenlets. Found by experiment: if more are requested, billiard ends those
    and then raises."""
    look = getattr(getattr(pool, "_pool", None), "_iterinactive", None)
    return None if look is None else sum(1 for _ in look())


def _size(pool: Any) -> int:
    return int(getattr(getattr(pool, "_pool", None), "_processes", 0) or pool.limit)


def _look_again(consumer: Any, name: str) -> None:
    """Applies new limits. Found by experiment: the code that passes a task to the pool has read its limits once, at the worker's start."""
    task = consumer.app.tasks[name]
    consumer.strategies[name] = task.start_strategy(consumer.app, consumer)


def worker_of(state: AppState) -> Any:
    if state.consumer is None:
        raise Unsupported("this process is not a Celery worker")
    return state.consumer


def consumed(consumer: Any) -> list[str]:
    return [queue.name for queue in consumer.task_consumer.queues] if consumer.task_consumer is not None else []


def ask(state: AppState, command: str, **params: Any) -> None:
    """Raises Refused with Celery's own message."""
    try:
        answer = panel()[command](state_of(state.app, worker_of(state)), **params)
    except (ValueError, AttributeError, NotImplementedError) as error:
        raise Refused(str(error) or f"Celery refused {command}") from error
    if isinstance(answer, dict) and "error" in answer:
        raise Refused(str(answer["error"]))


def consume(state: AppState, queue: str) -> None:
    """Requests that the worker consumes a queue, as Celery's `add_consumer` does, after what was requested before."""
    _change_queues(state, worker_of(state).add_task_queue, queue)


def leave(state: AppState, queue: str) -> None:
    """Requests that the worker leaves a queue, as Celery's `cancel_consumer` does, after what was requested before."""
    _change_queues(state, worker_of(state).cancel_task_queue, queue)


def _change_queues(state: AppState, change: Callable[[str], object], queue: str) -> None:
    """Found by experiment: what is passed to `call_soon` during one round of the worker's loop is kept in a set, so a queue that was left
    and consumed again at once could remain without a consumer. Whichever of the calls comes first applies all changes, in order."""
    state.queue_changes.append(partial(change, queue))
    worker_of(state).call_soon(_apply_changes, state)


def _apply_changes(state: AppState) -> None:
    while state.queue_changes:
        state.queue_changes.popleft()()


class WorkerCommands(CeleryPart):
    """Commands for the worker of this process."""

    def consume_queue(self, queue: str) -> dict[str, Any]:
        """Raises Unsupported, Refused."""
        worker_of(self.first)
        consume(self.first, queue)
        return {"note": "until the worker is restarted"}

    def leave_queue(self, queue: str) -> dict[str, Any]:
        """Raises Unsupported, Refused."""
        if queue not in consumed(worker_of(self.first)):
            raise Refused(f"this worker does not take from {queue}")
        leave(self.first, queue)
        return {"note": "until the worker is restarted; tasks that it has prefetched still run"}

    def shutdown_worker(self) -> dict[str, Any]:
        """Starts Celery's warm shutdown, as SIGTERM does. Raises Unsupported."""
        worker_of(self.first)
        worker_state.should_stop = os.EX_OK  # read between two messages
        return {"note": "the worker finishes its running tasks and ends"}

    def restart_worker(self) -> dict[str, Any]:
        """Restarts the pool if `worker_pool_restarts` allows it, else the whole worker, as SIGHUP does. Raises Unsupported."""
        if worker_of(self.first).app.conf.worker_pool_restarts:
            ask(self.first, "pool_restart")
            return {"note": "the pool's processes are restarted; code is not reloaded"}
        handler = signal.getsignal(signal.SIGHUP)
        if "restart_worker" not in getattr(handler, "__qualname__", ""):
            raise Unsupported("started from a terminal or inside another program; it cannot restart itself")
        if sys.argv[0].endswith("__main__.py"):  # found by experiment: Celery runs its own arguments again, and that file only runs with -m
            raise Unsupported("started as `python -m celery`; Celery can only restart its `celery` command")
        os.kill(os.getpid(), signal.SIGHUP)  # its handler stops the worker as above
        return {"note": "the worker finishes its running tasks and restarts with the current code"}

    def resize_worker(self, by: int) -> dict[str, Any]:
        """Changes the size of the pool, in the worker's own thread: found by experiment, billiard asserts that its pool does not become
        smaller while that thread starts a process, and the worker ends. Raises Unsupported, Refused."""
        consumer = worker_of(self.first)  # which this waits for, so not in one of its greenlets
        if not can_resize(consumer.pool):
            raise Unsupported("this worker's pool cannot grow or shrink")
        return {"concurrency": _in_own_thread(consumer, lambda: _resized(self.first, by))}

    def limit_name(self, name: str, rate: str | None, soft_s: float | None, hard_s: float | None) -> dict[str, Any]:
        """Sets limits in this worker, until it is restarted. Raises Unsupported, Refused."""
        state = self.first
        worker_of(state)
        if rate is not None:
            ask(state, "rate_limit", task_name=name, rate_limit=rate)
        if soft_s is not None or hard_s is not None:
            task = state.app.tasks.get(name)
            soft, hard = (
                getattr(task, "soft_time_limit", None) if soft_s is None else soft_s or None,
                getattr(task, "time_limit", None) if hard_s is None else hard_s or None,
            )
            ask(state, "time_limit", task_name=name, soft=soft, hard=hard)
            _look_again(state.consumer, name)
        return {"note": "in this worker, until it is restarted"}
