# SPDX-License-Identifier: AGPL-3.0-or-later
"""The one way a command leaves the server: choose an agent, mark the command as sent to its spool folder, send it; send it again when an
agent of that folder connects; end it when its time is over.

Three laws hold for every kind of command. A command is marked, durably and in the transaction that finds it still waiting, before its
frame leaves, so that it never goes to a second spool folder; the ledger of the folder keeps it from running twice. It is only sent to an
agent of the app, engine, environment, worker and broker that its `Need` names. A command that was sent and has no result is `unknown`,
until an agent of that folder reports the result.

The owners of the kinds (`Owner`), which register here, define what differs.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from z4j import clock
from z4j.agents.command_frames import OutgoingCommand, frame_of
from z4j.agents.command_owner import Cause, Chosen, ExpiringOwner, Owner, Refused
from z4j.agents.command_results import Answer
from z4j.agents.connections import AgentLink, Hub, Need
from z4j.duty_loop import WHENEVER_S, Duties, repeat
from z4j.rules.command_ids import CommandId, Kind
from z4j.rules.commands import RULES
from z4j.store.fleet.agents import read_proofs
from z4j.store.operations.value_encryption import SealError
from z4j.store.sqlite.db import Store
from z4j.store.tasks import originals
from z4j.store.tasks.originals import Original
from z4j.wire.frames import Schedules

RETRY_S: Final = 5
EXPIRE_S: Final = 1
NO_ORIGINAL: Final = "its original was deleted before the command was sent"
Proofs = Mapping[int, Mapping[str, Mapping[str, str]]]
"""App id → task name → what `read_proofs` found."""


class Outbox:
    """One per server."""

    def __init__(self, store: Store, hub: Hub, duties: Duties | None = None) -> None:
        self.store = store
        self.hub = hub
        self.duties = duties or Duties()
        self._owners: dict[Kind, Owner] = {}

    def register(self, owner: Owner) -> None:
        """Raises ValueError for a kind that has an owner."""
        if owner.kind in self._owners:
            raise ValueError(f"commands of the kind {owner.kind} have an owner already")
        self._owners[owner.kind] = owner

    # -- leaving -------------------------------------------------------------------------------------------------------
    async def deliver(self, owner: Owner, commands: Sequence[OutgoingCommand], at: int) -> list[Chosen]:
        """Hands each command that still waits to one agent that can execute it. Returns those that were sent. The others wait, or were
        ended by the owner, which receives the reason. Raises StoreError where they could not be marked: then none was sent."""
        commands, kept = await self._read_tasks(commands)
        chosen, others, refused = self._choose(owner, commands, kept)
        chosen, unreadable = await _complete(owner, chosen)
        refused += unreadable
        if not chosen and not refused:
            return []
        proofs = await self._read_proofs(each.command for each in chosen)
        marked = await self.store.write(lambda db: owner.mark(db, chosen, refused, at), durable=True)
        sent = [each for each in chosen if each.command.id in marked]
        names = _BrokerNames(self.hub)
        for each in sent:
            self._send(each, names, kept, proofs)
            owner.sent(each)
            self._send_to_others(each, others.get(each.command.id, []), names)
        return sent

    def ask(self, command: OutgoingCommand) -> AgentLink | None:
        """Sends a command that is kept in memory only to one agent that can execute it. Returns that agent."""
        links, _ = self.hub.find(command.need)
        if not links:
            return None
        self._send(Chosen(command, links[0]), _BrokerNames(self.hub), {}, {})
        return links[0]

    def send_to(self, link: AgentLink, command: OutgoingCommand) -> None:
        """Sends an agent what it must know. It may be sent any number of times."""
        self._send(Chosen(command, link), _BrokerNames(self.hub), {}, {})

    async def retry(self, at: int) -> int:
        """Sends commands that wait although an agent for them is connected, because sending them failed. Returns how many were checked."""
        looked = 0
        for app_id in {link.app_id for link in self.hub.all()}:
            for owner in self._owners.values():
                waiting = await owner.list_waiting(app_id, at)
                looked += len(waiting)
                await self.deliver(owner, waiting, at)
        return looked

    # -- what agents do ------------------------------------------------------------------------------------------------
    async def agent_connected(self, link: AgentLink) -> None:
        """Sends an agent that has connected the waiting commands that it can execute, the unanswered commands of its spool folder, and what
        every process must do for itself. The last come last: an older command that pauses a queue must not outlive its end."""
        at = clock.now()
        for owner in self._owners.values():
            commands = await owner.list_open(link.app_id, at)
            await self.deliver(owner, [command for command in commands if not command.spool], at)
            await self._send_again(link, [command for command in commands if command.spool == link.spool])
        await self._send_copies(link, at)

    async def brokers_learned(self, link: AgentLink) -> None:
        """Sends the commands that wait for brokers that an agent's discovery names and its hello did not. Commands that were sent to it
        before are not sent again."""
        at = clock.now()
        for owner in self._owners.values():
            await self.deliver(owner, [command for command in await owner.list_open(link.app_id, at) if not command.spool], at)
        await self._send_copies(link, at)

    async def schedules_listed(self, link: AgentLink, listed: Schedules) -> None:
        """Passes on the list of schedules that a process of a scheduler reported."""
        for owner in self._owners.values():
            await owner.schedules_listed(link, listed)

    async def answered(self, app_id: int, answers: Iterable[Answer]) -> None:
        """Passes stored answers on to their owners. Raises nothing: an owner that fails is a duty that fails."""
        by_kind: dict[Kind, list[Answer]] = {}
        for answer in answers:
            by_kind.setdefault(answer.id.kind, []).append(answer)
        for kind, answers_of_kind in by_kind.items():
            if (owner := self._owners.get(kind)) is not None:
                await self.duties.add(f"answers to {kind}", WHENEVER_S).attempt(partial(owner.answered, app_id, answers_of_kind))

    # -- as time passes ------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Sends commands that could not be sent before and expires the commands of each kind, until cancelled. A kind that fails does not
        affect the others."""
        expiries = [
            repeat(self.duties.add(f"expiry of {kind}", EXPIRE_S), owner.expire)
            for kind, owner in self._owners.items()
            if isinstance(owner, ExpiringOwner)
        ]
        await asyncio.gather(repeat(self.duties.add("delivery of waiting commands", RETRY_S), self.retry), *expiries)

    # -- pieces --------------------------------------------------------------------------------------------------------
    async def _read_tasks(self, commands: Sequence[OutgoingCommand]) -> tuple[list[OutgoingCommand], dict[int, Original]]:
        """The commands with the brokers of their tasks, and the kept messages of those tasks whose command needs one."""
        need_original = {task for command in commands if (task := task_of_original(command)) is not None}
        kept = await originals.read_originals(self.store, need_original) if need_original else {}
        rest = {command.task for command in commands if command.task is not None} - need_original
        brokers = await originals.read_brokers(self.store, rest) if rest else {}
        brokers |= {task: original.broker for task, original in kept.items()}
        return [_with_broker(command, brokers) for command in commands], kept

    def _choose(
        self, owner: Owner, commands: Iterable[OutgoingCommand], kept: Mapping[int, Original]
    ) -> tuple[list[Chosen], dict[CommandId, list[AgentLink]], list[Refused]]:
        """(the commands with their agents, the able agents of each command that others have to know of, too, those that cannot be sent)"""
        able_by_need: dict[Need, tuple[list[AgentLink], str]] = {}
        chosen, others, refused = list[Chosen](), dict[CommandId, list[AgentLink]](), list[Refused]()
        for command in commands:
            if (task := task_of_original(command)) is not None and task not in kept:
                refused.append(Refused(command, Cause.NO_ORIGINAL, NO_ORIGINAL))
                continue
            if command.need not in able_by_need:
                able_by_need[command.need] = self.hub.find(command.need)
            able, missing = able_by_need[command.need]
            if able:
                chosen.append(Chosen(command, able[0]))
                if command.need.action == "cancel_task":
                    others[command.id] = able
            elif owner.is_refused_without_agent:
                refused.append(Refused(command, Cause.NO_AGENT, missing))
        return chosen, others, refused

    def _send(self, each: Chosen, names: _BrokerNames, kept: Mapping[int, Original], proofs: Proofs) -> None:
        command, link = each.command, each.link
        task = task_of_original(command)
        original = None if task is None else kept.get(task)
        link.send(frame_of(self.hub, command, link, names.name_for(link, command.need), original, proofs.get(link.app_id, {})))

    def _send_to_others(self, each: Chosen, others: list[AgentLink], names: _BrokerNames) -> None:
        """Where an engine keeps cancellations in its workers or their host, every other spool folder has to know of one too."""
        command, first = each.command, each.link
        scoped = [link for link in others if link.capabilities[command.need.engine, command.need.action] == "worker"]
        for other in {link.spool: link for link in scoped if link.spool != first.spool}.values():
            copy = dataclasses.replace(command, id=dataclasses.replace(command.id, process=other.boot))
            self._send(Chosen(copy, other), names, {}, {})

    async def _send_again(self, link: AgentLink, commands: Sequence[OutgoingCommand]) -> None:
        """To an agent of the spool folder that has them: agents of several engines, environments and workers may share one."""
        if not commands or not link.is_secure:
            return
        commands, kept = await self._read_tasks(commands)
        names = _BrokerNames(self.hub)
        its = [command for command in commands if concerns(command, link) and names.may_use(link, command.need)]
        its = [command for command in its if (task := task_of_original(command)) is None or task in kept]
        again, _ = await _complete(self._owners[commands[0].id.kind], [Chosen(command, link) for command in its])
        proofs = await self._read_proofs(each.command for each in again)
        for each in again:
            self._send(each, names, kept, proofs)

    async def _send_copies(self, link: AgentLink, at: int) -> None:
        """What every process must receive, however often: each ID is executed once."""
        if link.role != "worker" or not link.is_secure:
            return
        names = _BrokerNames(self.hub)
        for owner in self._owners.values():
            for command in await owner.list_copies(link, at):
                if concerns(command, link) and names.may_use(link, command.need):
                    self._send(Chosen(command, link), names, {}, {})

    async def _read_proofs(self, commands: Iterable[OutgoingCommand]) -> Proofs:
        names_by_app: dict[int, set[str]] = {}
        for command in commands:
            if command.task_name:
                names_by_app.setdefault(command.need.app_id, set()).add(command.task_name)
        return {app_id: await read_proofs(self.store, app_id, task_names) for app_id, task_names in names_by_app.items()}


class _BrokerNames:
    """The names that agents have for brokers, each found once: there may be twenty thousand commands, and what is sought is looked for in
    every agent of the app."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._known: dict[tuple[int, str, str, str], tuple[str, bool]] = {}

    def name_for(self, link: AgentLink, need: Need) -> str:
        """ "" where the agent reported no such broker."""
        return self._look(link, need)[0]

    def may_use(self, link: AgentLink, need: Need) -> bool:
        return self._look(link, need)[1]

    def _look(self, link: AgentLink, need: Need) -> tuple[str, bool]:
        key = (link.app_id, link.boot, need.engine, need.broker)
        if key not in self._known:
            self._known[key] = self._hub.name_for(link, need), self._hub.may_use_broker(link, need)
        return self._known[key]


def task_of_original(command: OutgoingCommand) -> int | None:
    """Returns the row ID of the task whose original the agent must get with this command; None where it needs none."""
    is_needed = command.task is not None and RULES[command.need.action].needs_original
    return command.task if is_needed else None


def concerns(command: OutgoingCommand, link: AgentLink) -> bool:
    """Whether an agent is one that a command is for. Agents of several engines, environments and workers may share a spool folder."""
    need = command.need
    return (
        (need.engine, need.action) in link.capabilities and need.environment in ("", link.environment) and need.worker in ("", link.worker)
    )


async def _complete(owner: Owner, chosen: Sequence[Chosen]) -> tuple[list[Chosen], list[Refused]]:
    whole, refused = list[Chosen](), list[Refused]()
    for each in chosen:
        try:
            whole.append(Chosen(await owner.complete(each.command), each.link))
        except SealError as error:
            refused.append(Refused(each.command, Cause.NO_KEY, error.message))
    return whole, refused


def _with_broker(command: OutgoingCommand, brokers: Mapping[int, str]) -> OutgoingCommand:
    if command.task is None:
        return command
    return dataclasses.replace(command, need=dataclasses.replace(command.need, broker=brokers.get(command.task, "")))
