# SPDX-License-Identifier: AGPL-3.0-or-later
"""Workers: one row for each worker name and environment of an app."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from z4j.rules.seats import replaced
from z4j.store import agents
from z4j.store.agents import AgentRow
from z4j.store.db import Store


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker by its name. `state`: connected; left (it said goodbye); silent (it went without a word)."""

    name: str
    app: str
    environment: str
    state: Literal["connected", "left", "silent"]
    agent: AgentRow
    """Its newest process that is connected, else its newest."""
    processes: int
    """How many processes of this name are connected; more than one means two workers share a name."""


async def list_workers(store: Store, *, since: int = 0) -> list[WorkerRow]:
    """The workers seen since then: connected ones first, then those that went silent, by app and name.

    Those that are gone and whose place another has taken are left out.
    """
    newest: dict[tuple[int, str, str], AgentRow] = {}
    connected: dict[tuple[int, str, str], int] = {}
    for agent in await agents.list_agents(store, since=since):
        if agent.role != "worker":
            continue
        key = (agent.app_id, agent.environment, agent.worker)
        connected[key] = connected.get(key, 0) + (agent.left_at is None)
        if key not in newest or _order(agent) > _order(newest[key]):
            newest[key] = agent
    others = replaced(
        [agents.sitting(of.app_id, of.environment, of.seat, of.began_at, of.seen_at, of.left_at, of.left_reason) for of in newest.values()]
    )
    rows = [
        WorkerRow(agent.worker, agent.app, agent.environment, _state(agent), agent, connected[key])
        for position, (key, agent) in enumerate(newest.items())
        if position not in others
    ]
    order = {"connected": 0, "silent": 1, "left": 2}
    return sorted(rows, key=lambda row: (order[row.state], row.app, row.name, row.environment))


def _order(agent: AgentRow) -> tuple[bool, int, int]:
    return agent.left_at is None, agent.connected_at, agent.id


def _state(agent: AgentRow) -> Literal["connected", "left", "silent"]:
    if agent.left_at is None:
        return "connected"
    return "left" if agent.is_orderly else "silent"
