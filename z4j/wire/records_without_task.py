# SPDX-License-Identifier: AGPL-3.0-or-later
"""Defines the records of the wire that are about no task, and the types of fields that all records share."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from z4j.rules.tasks.fold import MAX_AT

Name = Annotated[str, Meta(max_length=255)]
Id = Annotated[str, Meta(min_length=1, max_length=255)]
At = Annotated[int, Meta(ge=0, lt=MAX_AT)]


class OriginFacts(Struct, gc=False, frozen=True):
    """Who wrote the records that follow."""

    host: Name = ""
    pid: Annotated[int, Meta(ge=0, lt=1 << 53)] = 0
    role: Name = ""
    worker: Name | None = None
    app: Name | None = None
    environment: Name = ""
    release: Name | None = None
    redaction: Annotated[int, Meta(ge=0, lt=1 << 31)] = 0
    """Number of the redaction rules it applies, see `z4j_agent.wire.redaction.RULES`."""


class Origin(Struct, array_like=True, tag="origin", gc=False, frozen=True):
    boot: Id
    at: At
    facts: OriginFacts


class GapFacts(Struct, gc=False, frozen=True):
    """What was dropped before it could be sent."""

    count: Annotated[int, Meta(ge=0, lt=1 << 53)] = 0
    bytes: Annotated[int, Meta(ge=0, lt=1 << 53)] = 0
    first_at: At = 0
    last_at: At = 0
    cause: Name = ""


class Gap(Struct, array_like=True, tag="gap", gc=False, frozen=True):
    key: Id
    at: At
    facts: GapFacts


class CommandResult(Struct, array_like=True, tag="command", gc=False, frozen=True):
    command_id: Id
    at: At
    status: Name
    facts: dict[str, Any] | None


class FaultFacts(Struct, gc=False, frozen=True):
    """A fault of the agent itself, never of its host."""

    where: str = ""
    error: str = ""
    count: Annotated[int, Meta(ge=0, lt=1 << 53)] = 1


class Fault(Struct, array_like=True, tag="fault", gc=False, frozen=True):
    key: Id
    at: At
    facts: FaultFacts


class FiredFacts(Struct, gc=False, frozen=True):
    """What came of a due time, see `z4j_agent.agent.Agent.fired`."""

    scheduler: Id
    schedule: Id
    due_at: At | None = None
    task_id: Name = ""
    outcome: Name = "sent"
    error: Annotated[str, Meta(max_length=4_000)] = ""


class Fired(Struct, array_like=True, tag="fired", gc=False, frozen=True):
    run: Id
    at: At
    facts: FiredFacts
