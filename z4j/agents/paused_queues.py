# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores paused queues and sends them to every worker that connects, because its engine may have forgotten them.

Workers that are connected when a queue is paused receive an ordinary command. This module is for workers that connect later.
"""

from __future__ import annotations

from typing import Final

from z4j.agents.command_frames import OutgoingCommand
from z4j.agents.command_owner import Owner
from z4j.agents.connections import AgentLink, Need
from z4j.agents.outbox import Outbox
from z4j.rules.command_ids import PAUSE, RESUME, CommandId
from z4j.rules.commands import RULES
from z4j.rules.paused_queues import newest
from z4j.store.fleet import paused_queues
from z4j.store.sqlite.db import Connection
from z4j_agent.wire import digest_of

MEMORY_US: Final = 7 * 24 * 3_600_000_000
"""How long after a queue was resumed a worker that connects is sent that."""
ACTIONS: Final = ("pause_queue", "resume_queue")


class PausedQueues(Owner):
    """One per server."""

    kind = "pause"

    def __init__(self, outbox: Outbox) -> None:
        self.store = outbox.store
        self.hub = outbox.hub
        outbox.register(self)

    def may_be_stored(self, need: Need) -> bool:
        """Whether the action can be stored without a connected agent: pauses are stored for workers that connect later."""
        able = self.hub.able(need.app_id, need.engine, need.action)
        others = [link for link in able if not self.hub.may_use_broker(link, need)]
        return need.action in ACTIONS and len(others) == len(able)

    def store_request(self, db: Connection, need: Need, at: int, by: str, reason: str, other_brokers: tuple[str, ...]) -> None:
        """Stores a pause or its end, in the transaction that stores its command. `other_brokers` also have a queue of that name."""
        if need.action not in ACTIONS:
            return
        names = frozenset(self.hub.names_of(need)) if need.broker else frozenset[str]()
        queue = paused_queues.Paused(need.app_id, need.environment, need.engine, need.queue, need.broker, names)
        if need.action == "pause_queue":
            paused_queues.pause_queue_row(db, queue, at, by, reason)
        else:
            paused_queues.resume_queue_row(db, queue, at, by, other_brokers)

    async def list_copies(self, link: AgentLink, at: int) -> list[OutgoingCommand]:
        """Lists the newest state of each queue."""
        holds = await paused_queues.list_for_agent(self.store, link.app_id, at - MEMORY_US)
        its = [hold for hold in holds if hold.environment == link.environment or (not hold.environment and self._is_only(link, hold))]
        states = newest((broker, each) for each in its for broker in self._brokers_in(link, each))
        return [self._copy(link, at, queue, broker, hold) for (_, queue, broker), hold in states.items()]

    def _copy(self, link: AgentLink, at: int, queue: str, broker: str, hold: paused_queues.PausedQueueRow) -> OutgoingCommand:
        action, number = ("pause_queue", PAUSE) if hold.ended_at is None else ("resume_queue", RESUME)
        named = broker or hold.broker  # an agent that has reported no broker yet may know it all the same
        id = CommandId("pause", str(hold.id), number, link.boot + (f"-{digest_of(named)[:8]}" if named else ""))
        params = {"queue": queue} | ({"broker": named} if named else {})
        return OutgoingCommand(id, Need(link.app_id, hold.engine, action), at + RULES[action].expires_us, params)

    def _brokers_in(self, link: AgentLink, hold: paused_queues.PausedQueueRow) -> list[str]:
        """The names under which an agent has the broker of a pause, or each of its own where the pause is of all; "" where it reported
        none, which matches any; nothing where it has other brokers."""
        reported = link.brokers.get(hold.engine)
        if not reported:
            return [""]
        if not hold.broker:
            return list(reported)
        name = self.hub.name_for(link, Need(link.app_id, hold.engine, "pause_queue", hold.environment, broker=hold.broker))
        return [name] if name else []

    def _is_only(self, link: AgentLink, hold: paused_queues.PausedQueueRow) -> bool:
        """Whether a pause without an environment can mean this agent alone: the agents of the app are all of one environment."""
        return link in self.hub.find(Need(link.app_id, hold.engine, "pause_queue"))[0]
