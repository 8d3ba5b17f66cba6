# SPDX-License-Identifier: AGPL-3.0-or-later
"""Cancellations that are sent again to each process that connects: they were executed, but their task still waits, and an engine such as
Celery forgets a cancellation when its worker restarts. They are the rows of executed commands and items of plans; nothing else is stored.
The agents of some engines also keep the IDs in a file, see `z4j_agent.spool.cancelled_ids`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from z4j.agents.command_frames import OutgoingCommand
from z4j.agents.connections import AgentLink, Need
from z4j.rules.command_ids import CommandId
from z4j.rules.commands import RULES
from z4j.store.operations import plans
from z4j.store.sqlite.db import Store
from z4j.store.tasks import originals


async def of_commands(store: Store, link: AgentLink, cancellations: Sequence[OutgoingCommand]) -> list[OutgoingCommand]:
    """Returns executed cancellations for one process that has never received them, whatever the ledger of its spool folder contains."""
    brokers = await originals.read_brokers(store, [command.task for command in cancellations if command.task is not None])
    return [_copy(command, link, brokers.get(command.task or 0, "")) for command in cancellations]


async def of_plans(store: Store, link: AgentLink, at: int) -> list[OutgoingCommand]:
    """Returns the cancellations of plans for one process, as of a time (microseconds UTC)."""
    expires_us = RULES["cancel_task"].expires_us
    return [
        OutgoingCommand(
            CommandId("plan_item", key, seq, link.boot), Need(link.app_id, engine, "cancel_task", environment, broker=broker),
            at + expires_us, {"task_id": task_id},
        )
        for key, seq, task_id, engine, environment, broker in await plans.list_cancelled(store, link.app_id, at - expires_us)
    ]  # fmt: skip


def _copy(command: OutgoingCommand, link: AgentLink, broker: str) -> OutgoingCommand:
    id, need = dataclasses.replace(command.id, process=link.boot), dataclasses.replace(command.need, broker=broker)
    return dataclasses.replace(command, id=id, need=need, task=None)
