# SPDX-License-Identifier: Apache-2.0
"""Commands for tasks, executed with Dramatiq's own API in the agent's thread."""

from __future__ import annotations

import heapq
from dataclasses import replace
from typing import Any

from dramatiq.message import Message
from dramatiq.middleware.threading import current_platform, is_gevent_active, supported_platforms

import z4j_agent
from z4j_agent.capture import hooks
from z4j_agent.capture.guard import faults
from z4j_agent.commands.edits import is_editable
from z4j_agent.contract.adapter import Original, Refused, Unsupported
from z4j_agent.wire import records
from z4j_dramatiq import originals, queue_commands
from z4j_dramatiq.broker_identity import DramatiqPart
from z4j_dramatiq.encoding import message_marks
from z4j_dramatiq.messages import DEAD, ENGINE, attempt_of, queue_of
from z4j_dramatiq.queues import declared, find_in_redis, key_of, kind_of, lent_connection
from z4j_dramatiq.reconcile import has_result
from z4j_dramatiq.state import BrokerState

TO_FRONT = "if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end redis.call('LPUSH', KEYS[1], ARGV[1]) return 1"
TO_OTHER = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1]) redis.call('HSET', KEYS[4], ARGV[1], ARGV[2]) redis.call('RPUSH', KEYS[3], ARGV[1]) return 1
"""
"""The result of LREM shows whether a worker has taken the message."""


def can_reach_broker() -> bool:
    """Whether the agent's thread may use the broker's connections.

    Under gevent they belong to the greenlets of other threads, and the agent's is a real thread: it would hang or break them.
    """
    return not is_gevent_active()


def _need_broker() -> None:
    if not can_reach_broker():
        raise Unsupported("under gevent the agent's thread cannot use the broker's connections")


def _again(broker: Any, original: Original, new_id: str) -> tuple[Message[Any], str]:
    """The stored message under its new ID, and a note. Raises Refused, Unsupported."""
    _need_broker()
    if not original.is_bound:
        originals.check_targets(original, lambda name: name in broker.actors, lambda queue: queue in declared(broker))
    message, note = originals.message_again(original, new_id)
    check_new(broker, message)
    return message, note


def check_new(broker: Any, message: Message[Any]) -> None:
    """Raises Refused if a result is stored under the new ID: it would be overwritten."""
    if has_result(broker, message):
        raise Refused("a result is already stored under the new ID. Nothing was sent.", check="task_id.exists")


def _due_at_once(state: BrokerState, task_id: str) -> Any:
    """The message, if a consumer of this process has it in memory: it is moved to the front of its delayed messages."""
    for consumer in list(state.worker.consumers.values()) if state.worker is not None else ():
        delayed = consumer.delay_queue
        with delayed.mutex:
            for index, entry in enumerate(delayed.queue):
                is_pair = isinstance(entry, tuple)  # before Dramatiq 2: (eta, message)
                message: Any = entry[-1] if is_pair else entry.message
                if message.message_id == task_id:
                    delayed.queue[index] = (0, *entry[1:]) if is_pair else replace(entry, priority=0)
                    heapq.heapify(delayed.queue)
                    return message
    return None


def _need_redis(broker: Any) -> None:
    if kind_of(broker) != "redis":
        raise Refused("a single message can only be removed from queues in Redis")


def _taken_out(broker: Any, task_id: str) -> tuple[bool, bool]:
    """Removes the message. Returns (it is a dead letter, it was waiting and was removed). The result of LREM shows whether a worker has
    taken it."""
    is_dead = is_removed = False
    for queue_name, delivery, message in find_in_redis(broker, task_id):
        if queue_name.endswith(DEAD):
            is_dead = True
        elif broker.client.lrem(key_of(broker, queue_name), 1, delivery):
            broker.client.hdel(f"{key_of(broker, queue_name)}.msgs", delivery)
            is_removed = True
            agent, queue, attempt = z4j_agent.current(), queue_of(queue_name), attempt_of(message.options)
            if agent is not None:
                agent.append(
                    records.cancelled(ENGINE, task_id, attempt, hooks.now(), agent.run, message.actor_name, queue, reason="revoked")
                )
    return is_dead, is_removed


def can_terminate() -> bool:
    """Whether an exception can be raised in another thread here, as Dramatiq's own time limits do."""
    return current_platform in supported_platforms and not is_gevent_active()


class TaskCommands(DramatiqPart):
    """Commands for tasks."""

    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        """Enqueues the stored message again under `new_id`; the hooks report it with the task that it repeats. Raises Refused.

        The actor need not be declared in this process. A queue that does not exist in RabbitMQ is declared, as Dramatiq does.
        """
        broker = self.broker_of(original)
        message, note = _again(broker, original, new_id)
        with lent_connection(broker), message_marks.repeating(original.task_id):
            broker.enqueue(message)
        return {"task_id": new_id, "queue": original.queue} | ({"note": note} if note else {})

    def read_arguments(self, original: Original) -> tuple[list[Any], dict[str, Any]]:
        """Returns the stored message's arguments as JSON values. Raises Refused."""
        message, _ = originals.message_again(original, "read")
        if not is_editable(message.args) or not is_editable(message.kwargs):
            raise Refused("its arguments are objects that cannot be written as text")
        return list(message.args), dict(message.kwargs)

    def edit_task(self, original: Original, args: list[Any], kwargs: dict[str, Any], *, new_id: str) -> dict[str, Any]:
        """Like `retry_task`, with other arguments. Raises Refused."""
        broker = self.broker_of(original)
        message, note = _again(broker, original, new_id)
        with lent_connection(broker), message_marks.repeating(original.task_id):
            broker.enqueue(message.copy(args=tuple(args), kwargs=kwargs))
        return {"task_id": new_id, "queue": original.queue} | ({"note": note} if note else {})

    def restore_task(self, original: Original, *, new_id: str, eta_at: int | None, priority: int | None) -> dict[str, Any]:
        """Like `retry_task`, with its time and its priority. Raises Refused."""
        broker = self.broker_of(original)
        message, note = _again(broker, original, new_id)
        if priority is not None:
            message.options["broker_priority"] = priority
        delay = max(0, (eta_at - hooks.now()) // 1000) if eta_at is not None else 0
        with lent_connection(broker), message_marks.repeating(original.task_id):
            broker.enqueue(message, delay=delay or None)
        return {"task_id": new_id, "queue": original.queue} | ({"note": note} if note else {})

    def run_task(self, name: str, args: list[Any], kwargs: dict[str, Any], *, new_id: str, queue: str) -> dict[str, Any]:
        """Sends a declared actor's message. Raises Refused."""
        broker = next((each.broker for each in (self, *self.siblings()) if name in each.broker.actors), self.broker)
        _need_broker()
        actor = broker.actors.get(name)
        if actor is None:
            raise Refused(f"this application declares no actor {name[:80]}. Nothing was sent.", check="task.unknown")
        message = actor.message_with_options(args=tuple(args), kwargs=kwargs).copy(message_id=new_id)
        if queue:
            message = message.copy(queue_name=queue)
        check_new(broker, message)
        with lent_connection(broker):
            broker.enqueue(message)
        return {"task_id": new_id, "queue": message.queue_name}

    def release_task(self, task_id: str) -> dict[str, Any]:
        """Makes a delayed task due now, in Redis or in the memory of this worker. Raises Refused."""
        _need_broker()
        if (message := _due_at_once(self.state, task_id)) is not None:
            agent, queue, attempt = z4j_agent.current(), queue_of(message.queue_name), attempt_of(message.options)
            if agent is not None:
                agent.append(records.enqueued(ENGINE, task_id, attempt, hooks.now(), agent.run, message.actor_name, queue))
            return {"queue": queue}
        _need_redis(self.state.broker)
        name, waiting_message, message = queue_commands.find(self.state.broker, task_id, "delayed")
        if not queue_commands.take(self.state.broker, name, "delayed", waiting_message):
            raise Refused("another worker has the task in its memory and keeps it until its time. No changes were made.")
        options = {key: value for key, value in message.options.items() if key not in ("eta", "redis_message_id")}
        self.state.broker.enqueue(replace(message, queue_name=name, options=options))
        return {"queue": name}

    def prioritise_task(self, task_id: str, level: str) -> dict[str, Any]:
        """Moves a task to the front of its queue in Redis, which has no other order. Raises Refused."""
        _need_broker()
        _need_redis(self.broker)
        if level != "next":
            raise Refused("Dramatiq's queues in Redis have no priorities: a task can only be moved to the front. No changes were made.")
        name, waiting_message, _ = queue_commands.find(self.broker, task_id, "waiting")
        if not self.broker.client.eval(TO_FRONT, 1, key_of(self.broker, name), waiting_message.delivery):
            raise Refused("a worker has already taken the task. No changes were made.")
        return {"queue": name}

    def move_task(self, task_id: str, queue: str) -> dict[str, Any]:
        """Moves a task to the end of another queue of the same Redis, atomically. Raises Refused."""
        broker = self.broker
        _need_broker()
        _need_redis(broker)
        name, waiting_message, message = queue_commands.find(broker, task_id, "waiting")
        if queue == name:
            raise Refused("the task is already in that queue. No changes were made.")
        keys = (key_of(broker, name), f"{key_of(broker, name)}.msgs", key_of(broker, queue), f"{key_of(broker, queue)}.msgs")
        if not broker.client.eval(TO_OTHER, len(keys), *keys, waiting_message.delivery, message.copy(queue_name=queue).encode()):
            raise Refused("a worker has already taken the task. No changes were made.")
        agent = z4j_agent.current()
        if agent is not None:
            agent.append(records.moved(ENGINE, task_id, attempt_of(message.options), hooks.now(), agent.run, message.actor_name, queue))
        return {"queue": queue}

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        """Removes the message from Redis if no worker has it; else makes the workers of this host and user skip it. Raises Refused."""
        _need_broker()
        if self.state.worker is None:
            raise Unsupported("only a worker can cancel a task, and this process is not one. No changes were made.")
        if self.state.running.get(task_id) is not None:
            raise Refused("the task is already running; stop it instead. No changes were made.")
        if kind_of(self.state.broker) == "redis":
            is_dead, is_removed = _taken_out(self.state.broker, task_id)
            if is_removed:
                return {"note": "it was removed from the queue"}
            if is_dead:
                raise Refused("the task has already ended and is a dead letter. No changes were made.")
        try:
            self.state.skips.add(task_id)
        except OSError as error:
            faults.report("sending a cancellation to the other workers", error)
            return {"note": "this worker process will not run it; the cancellation could not be stored for the others"}
        return {"note": "no worker of this host and user will run it; the task is reported as cancelled when one of them receives it"}

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        """Raises an exception in the thread that runs the task. Raises Refused or Unsupported."""
        if not can_terminate():
            raise Unsupported("a running task cannot be stopped in greenlets and in other interpreters than CPython")
        if self.state.worker is None:
            raise Unsupported("only the worker that runs a task can stop it. No changes were made.")
        if not self.state.running.stop(task_id):
            raise Refused("the task does not run in this worker now. No changes were made.")
        return {"note": "an exception was raised in its thread; a task in a system call ends when the call returns"}
