# SPDX-License-Identifier: AGPL-3.0-or-later
"""Defines what the owner of a kind of command implements for the outbox. The kinds: see `rules.command_ids`."""

from __future__ import annotations

import abc
import enum
from collections.abc import Sequence
from dataclasses import dataclass

from z4j.agents.command_frames import OutgoingCommand
from z4j.agents.command_results import Answer
from z4j.agents.connections import AgentLink
from z4j.rules.command_ids import CommandId, Kind
from z4j.store.sqlite.db import Connection
from z4j.wire.frames import Schedules


class Cause(enum.Enum):
    """Why a command cannot be sent."""

    NO_AGENT = "no agent"
    NO_ORIGINAL = "the kept message of its task was deleted"
    NO_KEY = "its parameters cannot be decrypted"


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that cannot be sent now; `reason` is half a sentence."""

    command: OutgoingCommand
    cause: Cause
    reason: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """A command and the agent that will get it."""

    command: OutgoingCommand
    link: AgentLink


class Owner:
    """Of one kind. Every method may be called again at any time: after a restart, at each connect, for the same command."""

    kind: Kind
    is_refused_without_agent = False
    """Whether a command for which no agent is connected is given to `mark` as refused, instead of waiting for one."""

    async def list_open(self, app_id: int, at: int) -> list[OutgoingCommand]:
        """Commands of an app that wait for an agent, or were sent to a spool folder (`spool`) and have no result yet."""
        return []

    async def list_waiting(self, app_id: int, at: int) -> list[OutgoingCommand]:
        """Lists open commands that should have been sent already, because sending them failed. Called every few seconds."""
        return []

    async def complete(self, command: OutgoingCommand) -> OutgoingCommand:
        """Returns the command with what only an agent may receive. Raises SealError if that cannot be decrypted."""
        return command

    def mark(self, db: Connection, chosen: Sequence[Chosen], refused: Sequence[Refused], at: int) -> set[CommandId]:
        """Stores which spool folder each command is for from now on, and ends the refused ones. Returns the ids of those that still waited
        in this transaction: no other is sent. Commands that are kept in memory only are never marked."""
        raise NotImplementedError

    def sent(self, chosen: Chosen) -> None:
        """Called after a command was marked and sent."""

    async def list_copies(self, link: AgentLink, at: int) -> list[OutgoingCommand]:
        """Lists what every worker process must execute itself, however often others did. Each command has `id.process` of this process."""
        return []

    async def schedules_listed(self, link: AgentLink, listed: Schedules) -> None:
        """Called when a process of a scheduler has reported its schedules."""

    async def answered(self, app_id: int, answers: Sequence[Answer]) -> None:
        """Called with results that agents of an app reported, after the commit that stored them."""


class ExpiringOwner(Owner, abc.ABC):
    """Owner of a kind whose commands are stored and expire."""

    @abc.abstractmethod
    async def expire(self, at: int) -> None:
        """Ends the commands that no agent took, or answered, before `at` (microseconds UTC). Called every second. Raises StoreError."""
