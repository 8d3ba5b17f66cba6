# SPDX-License-Identifier: AGPL-3.0-or-later
"""Defines a command as its owner passes it to the outbox, and the frame that an agent receives. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from z4j.agents.connections import AgentLink, Hub, Need
from z4j.rules.command_ids import CommandId
from z4j.store.tasks.originals import Original
from z4j.text import Json, JsonObject


@dataclass(frozen=True, slots=True)
class OutgoingCommand:
    """One command. Times are microseconds UTC.

    `need` says which agents it is for. The outbox adds what depends on the agent that gets it: the broker by the name that agent has for
    it, the kept message of the task, the proofs of the task name and of the queue.
    """

    id: CommandId
    need: Need
    expires_at: int
    params: Mapping[str, Json]
    task: int | None = None
    """The row id of the task that it is about."""
    task_name: str = ""
    """The registered task that it runs, for which the agent is sent the application's proofs."""
    spool: str = ""
    """The spool folder that it was sent to; empty while it waits."""


def command_frame(id: str, action: str, engine: str, expires_at: int, params: Mapping[str, Json]) -> JsonObject:
    """Returns the frame of a command. `expires_at` is microseconds UTC."""
    return {"type": "command", "id": id, "action": action, "engine": engine, "expires_at": expires_at, "params": dict(params)}


def frame_of(
    hub: Hub, command: OutgoingCommand, link: AgentLink, broker: str, original: Original | None, proofs: Mapping[str, Mapping[str, str]]
) -> JsonObject:  # fmt: skip
    """Returns a command as this agent receives it. `broker` is the agent's name for its broker, "" if it reported none; `proofs` is task
    name → the result of `store.fleet.agents.read_proofs`."""
    params = dict(command.params)
    if original is not None:  # it names its broker itself
        params = original_params(original, params, link)
    elif broker:
        params["broker"] = broker
    if command.task_name:
        params["proofs"] = proofs.get(command.task_name, {})
    if not command.id.process:
        params |= queue_proof(hub, link.app_id, command.need.engine, params, link.environment)
    return command_frame(command.id.text, command.need.action, command.need.engine, command.expires_at, params)


def queue_proof(hub: Hub, app_id: int, engine: str, params: Mapping[str, Json], environment: str = "") -> dict[str, str]:
    """Returns {"queue_proof": …} for the queue that the parameters of a command name, and {"from_queue_proof": …} for the queue its task
    waits in, if a connected agent of the environment reported one."""
    proofs = {}
    for name, queue in (("queue_proof", params.get("move_to") or params.get("queue")), ("from_queue_proof", params.get("from_queue"))):
        if queue and (proof := hub.queue_proof(app_id, engine, str(queue), environment)):
            proofs[name] = proof
    return proofs


def original_params(original: Original, params: Mapping[str, Json], link: AgentLink) -> JsonObject:
    """Returns the parameters of a command with the original.

    An agent that authenticates originals takes name and queue from the original, and receives the queue that the task was moved to. Other
    agents receive both, and send the task to the queue they receive.
    """
    kept = {"original": base64.b64encode(original.data).decode("ascii"), "key_id": original.key_id}
    if not link.authenticates_originals:
        return {**params, **kept}
    stated = {key: value for key, value in params.items() if key not in ("name", "queue")}
    return {**stated, **kept, **({"move_to": original.moved_to} if original.moved_to else {})}
