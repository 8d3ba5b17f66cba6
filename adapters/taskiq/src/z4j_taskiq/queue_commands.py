# SPDX-License-Identifier: Apache-2.0
"""Waiting messages of a queue: listed in order, and removed. Used in the agent's thread, with a separate synchronous connection.

Redis lists and streams only: RabbitMQ returns no message without delivering it, which marks it as redelivered.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import z4j_agent
from z4j_agent.capture import display
from z4j_agent.commands.queue_actions import Entry, purge
from z4j_agent.contract.adapter import Refused, WaitingTask
from z4j_taskiq import originals
from z4j_taskiq.brokers.broker_identity import TaskiqPart, the_one
from z4j_taskiq.brokers.connections import redis_kind, redis_of
from z4j_taskiq.messages import ENGINE, attempt_of
from z4j_taskiq.queues import LOOKED_AT, names_of, read, waiting_in
from z4j_taskiq.state import BrokerState

#: Deletes an entry that was never delivered to a consumer: it is after the last delivered one. Atomic.
TAKE_UNREAD = """
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local facts = {}
  for i = 1, #group, 2 do facts[group[i]] = group[i + 1] end
  local a, b = string.match(facts['last-delivered-id'], '(%d+)-(%d+)')
  local c, d = string.match(ARGV[1], '(%d+)-(%d+)')
  if tonumber(a) > tonumber(c) or (tonumber(a) == tonumber(c) and tonumber(b) >= tonumber(d)) then return 0 end
end
return redis.call('XDEL', KEYS[1], ARGV[1])
"""


class WaitingMessage(NamedTuple):
    """A message: the id of its stream's entry, "" in a list, and taskiq's bytes."""

    id: str
    raw: bytes


def first(client: Any, broker: Any, queue: str, limit: int) -> list[WaitingMessage]:
    """Returns the first messages of a queue, in the order they would run."""
    if redis_kind(broker) == "list":
        return [WaitingMessage("", raw) for raw in islice(waiting_in(client, queue), limit)]
    import redis

    try:
        groups = client.xinfo_groups(queue)
    except redis.ResponseError:  # no such stream yet
        return []
    group = broker.consumer_group_name
    last = next((_text(entry["last-delivered-id"]) for entry in groups if entry["name"] in (group, group.encode())), "0-0")
    return [WaitingMessage(_text(id), fields.get(b"data", b"")) for id, fields in client.xrange(queue, f"({last}", "+", count=limit)]


def take(client: Any, broker: Any, queue: str, message: WaitingMessage) -> bool:
    """Removes a message. Returns whether it was still there, which Redis decides."""
    if redis_kind(broker) == "list":
        return bool(client.lrem(queue, -1, message.raw))
    return bool(client.eval(TAKE_UNREAD, 1, queue, message.id))


def _shown(broker: Any, raw: bytes) -> WaitingTask:
    message, agent = read(broker, raw), z4j_agent.current()
    if message is None or agent is None:
        return WaitingTask("", "")
    names = originals.parameter_names(broker, message.task_name)
    if names is None:
        return WaitingTask(message.task_id, message.task_name, "…")
    text, _ = display.show_arguments(message.args, message.kwargs, agent.settings.redact, names)
    return WaitingTask(message.task_id, message.task_name, text)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


class QueueCommands(TaskiqPart):
    """Commands for queues."""

    def peek_queue(self, queue: str, section: str, limit: int) -> list[WaitingTask]:
        """Lists tasks. Changes nothing. taskiq's messages do not contain their time. Raises Refused."""
        state = self._of_queue(queue, section)
        with redis_of(state.broker) as client:
            return [_shown(state.broker, message.raw) for message in first(client, state.broker, queue, limit)]

    def purge_queue(self, queue: str, section: str) -> dict[str, Any]:
        """Removes all current tasks of a queue. Raises Refused."""
        state, agent = self._of_queue(queue, section), z4j_agent.current()
        assert agent is not None  # the command came through it
        broker = state.broker
        with redis_of(broker) as client:

            def entry(delivery: WaitingMessage) -> Entry:
                message, taking = read(broker, delivery.raw), partial(take, client, broker, queue, delivery)
                if message is None:
                    return Entry("", 0, "", taking)
                task_id, name, attempt = message.task_id, message.task_name, attempt_of(message.labels)
                shown = (message.args, message.kwargs, message.labels)
                payload = partial(originals.payload_of_delivery, agent, broker, delivery.raw, task_id, name, attempt, queue, shown)
                return Entry(task_id, attempt, name, taking, payload)

            return purge(agent, ENGINE, queue, map(entry, first(client, broker, queue, LOOKED_AT)))

    def _of_queue(self, queue: str, section: str) -> BrokerState:
        """The broker with this queue, if its queues can be read. Raises Refused."""
        if section != "waiting":
            raise Refused("taskiq stores no delayed and no failed tasks in a queue")
        state = the_one(state for state in self.states_in_scope() if queue in names_of(state.broker))
        if state is None:
            raise Refused(f"no broker of this process has the queue {queue[:80]}. No changes were made.", check="queue.unknown")
        if not redis_kind(state.broker):
            raise Refused("only the queues of Redis lists and streams can be read: this broker returns no message without delivering it")
        return state
