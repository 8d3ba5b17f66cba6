# SPDX-License-Identifier: Apache-2.0
"""Commands for tasks. Called in the agent's thread, never in the loop; they use a separate synchronous Redis connection where possible."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, wait
from typing import Any

import z4j_agent
from z4j_agent.capture import hooks
from z4j_agent.capture.guard import faults
from z4j_agent.commands.edits import is_editable
from z4j_agent.contract.adapter import Original, Refused, Unsupported
from z4j_agent.wire import records
from z4j_taskiq import originals, queue_commands, reconcile
from z4j_taskiq.attempts import Run
from z4j_taskiq.brokers.broker_identity import TaskiqPart, broker_key_of, the_one
from z4j_taskiq.brokers.connections import LOOP_WAIT_S, in_loop, redis_kind, redis_of
from z4j_taskiq.messages import ENGINE, RETRY_ON_ERROR, attempt_of, queue_of, sent_meta
from z4j_taskiq.queues import LOOKED_AT, names_of, read, waiting_in
from z4j_taskiq.state import BrokerState

TO_FRONT = "if redis.call('LREM', KEYS[1], -1, ARGV[1]) == 0 then return 0 end redis.call('RPUSH', KEYS[1], ARGV[1]) return 1"
TO_OTHER = "if redis.call('LREM', KEYS[1], -1, ARGV[1]) == 0 then return 0 end redis.call('LPUSH', KEYS[2], ARGV[1]) return 1"
"""The result of LREM shows whether a worker has taken the task; a list is filled from the left and read from the right."""


def has_queue(state: BrokerState, queue: str) -> bool:
    """Whether this broker's workers take from the queue, or the application has sent to it."""
    return bool(queue) and (queue in names_of(state.broker) or queue in state.sent_to)


def _is_owner(broker: Any, task: Any) -> bool:
    """Whether `task.kiq()` sends to this broker: every broker finds a shared task, which is sent to the default one (`default_broker`)."""
    return task.broker is broker or getattr(task.broker, "_default_broker", None) is broker


def _find(states: Sequence[BrokerState], task_id: str) -> tuple[BrokerState, str, queue_commands.WaitingMessage]:
    """Finds a task that waits in a Redis list. Raises Refused."""
    lists = [state for state in states if redis_kind(state.broker) == "list"]
    if not lists:
        raise Refused("a single task can only be removed from Redis lists. No changes were made.")
    holding = {state: message for state in lists if (message := _message_of(state.broker, task_id)) is not None}
    state = the_one(holding)
    if state is None:
        raise Refused("the task does not wait there now. No changes were made.")
    return state, queue_of(state.broker, {}), holding[state]


def _message_of(broker: Any, task_id: str) -> queue_commands.WaitingMessage | None:
    with redis_of(broker) as client:
        for waiting_message in queue_commands.first(client, broker, queue_of(broker, {}), LOOKED_AT):
            message = read(broker, waiting_message.raw)
            if message is not None and message.task_id == task_id:
                return waiting_message
    return None


def _send(state: BrokerState, name: str, message: Any, *, retried_id: str = "") -> dict[str, Any]:
    """Sends a message. `retried_id` is the repeated task."""
    broker, new_id = state.broker, message.task_id
    sent, at = broker.formatter.dumps(message), hooks.now()
    queue = queue_of(broker, message.labels)
    if new_id in state.running or reconcile.has_ended(state, new_id):
        raise Refused("a task with the new ID already exists. Nothing was sent.", check="task_id.exists")
    match redis_kind(broker):
        case "list":
            with redis_of(broker) as client:
                client.lpush(queue, sent.message)
        case "stream":
            with redis_of(broker) as client:
                client.xadd(queue, {b"data": sent.message}, maxlen=broker.maxlen, approximate=broker.approximate)
        case _:
            in_loop(state, lambda: broker.kick(sent))
    agent = z4j_agent.current()
    if agent is not None:
        agent.append(records.enqueued(ENGINE, new_id, 0, at, agent.run, name, queue, meta=sent_meta(message.labels, retry_of=retried_id)))
    return {"task_id": new_id, "queue": queue}


def _taken_out(broker: Any, task_id: str) -> tuple[str, int, str] | None:
    """Removes a task from a list. Returns its (name, attempt, queue); None if a worker has taken it."""
    queue = queue_of(broker, {})
    with redis_of(broker) as client:
        for raw in waiting_in(client, queue):
            message = read(broker, raw)
            if message is not None and message.task_id == task_id and client.lrem(queue, 1, raw):
                return message.task_name, attempt_of(message.labels), queue
    return None


def _stop(run: Run, answer: Future[bool]) -> None:
    """Cancels a task in the loop's thread, between two steps of the task: only its own code, never taskiq's work after it."""
    if not answer.set_running_or_notify_cancel():
        return  # the command no longer waits for the result
    if run.is_reported or run.task is None or not run.is_in_its_own_code():
        answer.set_result(False)
        return
    run.is_stopped = True
    run.message.labels[RETRY_ON_ERROR] = False
    run.task.cancel()
    answer.set_result(True)


class TaskCommands(TaskiqPart):
    """Commands for tasks."""

    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        """Sends the stored message under `new_id`, without the middlewares that it has already passed.

        To Redis with a separate connection, so that any process can send it; to any other broker in the loop that uses it. The worker
        that takes it reports its arguments. Raises Refused.
        """
        state = self._sender_of(original)
        return _send(state, original.name, originals.message_again(state.broker, original, new_id), retried_id=original.task_id)

    def read_arguments(self, original: Original) -> tuple[list[Any], dict[str, Any]]:
        """Returns the stored message's arguments as JSON values. Raises Refused."""
        state = self._sender_of(original)
        message = originals.message_again(state.broker, original, "read")
        if not is_editable(message.args) or not is_editable(message.kwargs):
            raise Refused("its arguments are objects that cannot be written as text")
        return list(message.args), dict(message.kwargs)

    def edit_task(self, original: Original, args: list[Any], kwargs: dict[str, Any], *, new_id: str) -> dict[str, Any]:
        """Like `retry_task`, with other arguments. Raises Refused."""
        state = self._sender_of(original)
        message = originals.message_again(state.broker, original, new_id)
        return _send(state, original.name, message.model_copy(update={"args": args, "kwargs": kwargs}), retried_id=original.task_id)

    def run_task(self, name: str, args: list[Any], kwargs: dict[str, Any], *, new_id: str, queue: str) -> dict[str, Any]:
        """Sends a registered task. Raises Refused if no broker of this process has it, or for a queue that is not the broker's."""
        states = self.states_in_scope()
        able = [state for state in states if state.broker.find_task(name) is not None]
        if queue and len(states) > 1:
            able = [state for state in able if has_queue(state, queue)]
        owners = [state for state in able if _is_owner(state.broker, state.broker.find_task(name))]
        state = the_one(owners or able)
        if state is None:
            raise Refused(f"this application has no task {name[:80]}. Nothing was sent.", check="task.unknown")
        message = state.broker.find_task(name).kicker().with_task_id(new_id)._prepare_message(*args, **kwargs)
        if queue:
            message = originals.sent_to(state.broker, message, queue)
        return _send(state, name, message)

    def prioritise_task(self, task_id: str, level: str) -> dict[str, Any]:
        """Moves a task to the front of a Redis list, which has no other order. Raises Refused."""
        if level != "next":
            raise Refused("a Redis list has no priorities: a task can only be moved to the front. No changes were made.")
        state, queue, message = _find(self.states_in_scope(), task_id)
        with redis_of(state.broker) as client:
            if not client.eval(TO_FRONT, 1, queue, message.raw):
                raise Refused("a worker has already taken the task. No changes were made.")
        return {"queue": queue}

    def move_task(self, task_id: str, queue: str) -> dict[str, Any]:
        """Moves a task to the end of another list of the same Redis, atomically. Raises Refused."""
        state, source, waiting_message = _find(self.states_in_scope(), task_id)
        there = {broker_key_of(each.broker) for each in self.states if has_queue(each, queue)}
        if there and broker_key_of(state.broker) not in there:
            raise Refused(f"{queue[:80]} is in another broker. No changes were made.")
        with redis_of(state.broker) as client:
            if queue == source:
                raise Refused("the task is already in that queue. No changes were made.")
            if client.type(queue) not in (b"list", "list", b"none", "none"):
                raise Refused(f"{queue[:80]} is not a list in that Redis. No changes were made.")
            if not client.eval(TO_OTHER, 2, source, queue, waiting_message.raw):
                raise Refused("a worker has already taken the task. No changes were made.")
        message, agent = read(state.broker, waiting_message.raw), z4j_agent.current()
        if agent is not None:
            agent.append(records.moved(ENGINE, task_id, attempt_of(message.labels), hooks.now(), agent.run, message.task_name, queue))
        return {"queue": queue}

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        """Removes the task from its queue if that is possible, else makes the workers of this spool folder drop it. Raises Refused."""
        states = self.states_in_scope()
        listening = self.listening()
        if not listening:
            raise Unsupported("only a worker can cancel a task, and this process is not one. No changes were made.")
        if any(task_id in state.running for state in listening):
            raise Refused("the task is already running; stop it instead. No changes were made.")
        lists = [state for state in states if redis_kind(state.broker) == "list"]
        holding = the_one(state for state in lists if _message_of(state.broker, task_id) is not None)
        if holding is not None and (removed := _taken_out(holding.broker, task_id)) is not None:
            name, attempt, queue = removed
            agent = z4j_agent.current()
            if agent is not None:
                agent.append(records.cancelled(ENGINE, task_id, attempt, hooks.now(), agent.run, name, queue, reason="revoked"))
            return {"note": "it was removed from the queue"}
        if any(reconcile.has_ended(state, task_id) for state in states):
            raise Refused("the task has already ended. No changes were made.")
        try:
            for state in listening:
                state.skips.add(task_id, self.only)
        except OSError as error:
            faults.report("sending a cancellation to the other workers", error)
            return {"note": "this worker will not run it; the cancellation could not be stored for the others"}
        return {"note": "no worker of this host and user will run it; the task is reported as cancelled when one of them receives it"}

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        """Cancels the task's coroutine in its loop. A retry middleware does not send it again. Raises Refused."""
        states = self.states_in_scope()
        if all(state.receiver is None for state in states):
            raise Unsupported("only the worker that runs a task can stop it. No changes were made.")
        state = the_one(state for state in states if task_id in state.running)
        run = None if state is None else state.running.get(task_id)
        if state is None or run is None or state.loop is None:
            raise Refused("the task does not run in this worker now. No changes were made.")
        if run.started_at is not None and run.coroutine is None:
            raise Refused("the task is a plain function in a thread or process of its own, which cannot be stopped. No changes were made.")
        answer: Future[bool] = Future()
        state.loop.call_soon_threadsafe(_stop, run, answer)
        wait((answer,), LOOP_WAIT_S)
        if answer.cancel():  # `_stop` has not begun, and now never does
            raise Refused("the event loop of its worker is blocked and did not respond in time. No changes were made.")
        if not answer.result():
            raise Refused("the task was just ending. No changes were made.")
        return {"note": "its coroutine was cancelled; a task that catches CancelledError continues"}

    def restore_task(self, original: Original, *, new_id: str, eta_at: int | None, priority: int | None) -> dict[str, Any]:
        """Like `retry_task`: behind the queued tasks, without its time and priority."""
        return self.retry_task(original, new_id=new_id)

    def _sender_of(self, original: Original) -> BrokerState:
        """The broker for an original: one with its queue, preferably one that has the task. Raises Refused if there is none, or several
        brokers match."""
        states = self.states_in_scope(original.broker)
        able = [state for state in states if has_queue(state, original.queue)]
        if not able and len(states) == 1:  # a queue that another process has sent to, by a label
            able = states
        if the_one(able) is None:
            raise Refused(f"no broker of this process has the queue {original.queue[:80]}. Nothing was sent.", check="queue.unknown")
        return next((state for state in able if state.broker.find_task(original.name) is not None), able[0])
