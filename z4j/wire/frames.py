# SPDX-License-Identifier: AGPL-3.0-or-later
"""Defines the text frames that an agent sends (`z4j_agent.wire.AGENT_FRAMES`), with their checks. Fields of newer agents are ignored."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from z4j.wire.records import At, Id, Name

Text = Annotated[str, Meta(max_length=4_000)]
Count = Annotated[int, Meta(ge=0, lt=1 << 53)]
Short = Annotated[list[Name], Meta(max_length=1_000)]
Notes = Annotated[list[Text], Meta(max_length=50)]
Brokers = Annotated[dict[Name, Name], Meta(max_length=100)]


class CapabilityItem(Struct, array_like=True, frozen=True):
    """One action that an agent can execute for one engine, see `z4j_agent.contract.adapter.Capability`."""

    engine: Id
    action: Id
    scope: Name
    certainty: Name
    states: Short = []
    note: Text = ""


class KeptHead(Struct, frozen=True):
    """The last head of the audit log an agent was shown."""

    seq: Annotated[int, Meta(ge=1, lt=1 << 53)]
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Hello(Struct, tag_field="type", tag="hello", frozen=True):
    """First frame of a connection: who dials in, what it can do, what its owner allows."""

    protocol: int
    agent_version: Name
    boot: Id
    spool: Name
    host: Name
    pid: Count
    role: Name
    environment: Name
    engines: dict[Name, Name]
    capabilities: Annotated[list[CapabilityItem], Meta(max_length=500)]
    allow: Name
    denied: Short
    shipper: bool
    at: At
    worker: Name | None = None
    seat: Name | None = None
    app: Name | None = None
    release: Name | None = None
    seal_key: Name | None = None
    notes: Notes | None = None
    audit_head: KeptHead | None = None
    redaction: Count = 0
    """As in an origin record."""
    authenticates_originals: bool = False
    """False of an older agent, which also runs originals without a proof."""
    pins: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=20)] | None = None
    """The pins of its connection string; None of an older agent, which does not report them."""
    brokers: Annotated[dict[Name, Brokers], Meta(max_length=100)] | None = None
    """engine → the brokers its process uses; an older agent reports them in its discovery alone, a moment later: None."""


class TaskItem(Struct, array_like=True, frozen=True):
    """A registered task."""

    name: Id
    signature: Text = ""
    doc: Text = ""
    queue: Name | None = None
    proof: Annotated[str, Meta(max_length=100)] = ""
    """That the application knows the name, for agents to check, see `z4j_agent.capture.originals.prove_name`; "" of an older agent."""


class QueueItem(Struct, array_like=True, frozen=True):
    """A queue as the broker sees it; None where it cannot tell."""

    name: Id
    depth: Count | None = None
    consumers: Count | None = None
    oldest_at: At | None = None
    delayed: Count | None = None
    dead: Count | None = None
    proof: Annotated[str, Meta(max_length=100)] = ""
    """That the application uses the queue, for other agents of it to check; "" of an older agent."""
    broker: Name = ""
    """The identity of its broker, see `z4j_agent.capture.broker`; "" if unknown."""


class EngineQueueItem(Struct, array_like=True, frozen=True):
    """A queue of one engine as the broker sees it."""

    engine: Id
    name: Id
    depth: Count | None = None
    consumers: Count | None = None
    oldest_at: At | None = None
    delayed: Count | None = None
    dead: Count | None = None
    broker: Name = ""


class WorkerFacts(Struct, frozen=True):
    """The worker a process is."""

    name: Id
    pool: Name = ""
    concurrency: Count | None = None
    queues: Short = []
    pids: Annotated[list[Count], Meta(max_length=10_000)] = []
    notes: Notes = []
    options: Annotated[dict[Name, Name], Meta(max_length=20)] = {}
    """What should be the same of all workers of a queue, by its name in the engine's settings; {} of an older agent."""


class RunningItem(Struct, array_like=True, frozen=True):
    """A task an agent's process holds now; `started_at` is 0 while it is only reserved."""

    engine: Id
    task_id: Id
    attempt: Count
    name: Name
    queue: Name
    started_at: Count
    pid: Count = 0


class Discovery(Struct, tag_field="type", tag="discovery", frozen=True):
    """What an adapter found out about its engine."""

    engine: Id
    tasks: Annotated[list[TaskItem], Meta(max_length=10_000)]
    queues: Annotated[list[QueueItem], Meta(max_length=1_000)]
    worker: WorkerFacts | None = None
    brokers: Brokers = {}
    """{identity: fingerprint} of the brokers the process uses, see `z4j_agent.capture.broker`; {} where it did not report any."""


class Heartbeat(Struct, tag_field="type", tag="heartbeat", frozen=True):
    """Every few seconds: still here, holding this. `running` is None when the adapter could not tell this time;
    `dropped` and `faults` are totals since the process began."""

    at: At
    running: Annotated[list[RunningItem], Meta(max_length=10_000)] | None
    spool_bytes: Count
    dropped: Count
    faults: Count
    shipper: bool
    queues: Annotated[list[EngineQueueItem], Meta(max_length=1_000)] | None = None
    audit_head: KeptHead | None = None


Short60 = Annotated[str, Meta(max_length=60)]
Json = Annotated[str, Meta(max_length=8_000)]


class ScheduleItem(Struct, frozen=True):
    """An entry of a scheduler, see `z4j_agent.contract.scheduler.ScheduleInfo`."""

    key: Id
    name: Name
    kind: Literal["cron", "interval", "once", "other"]
    expression: Annotated[str, Meta(max_length=500)]
    timezone: Name
    task_name: Name
    args: Json = "[]"
    kwargs: Json = "{}"
    queue: Name = ""
    priority: Annotated[int, Meta(ge=-(1 << 31), lt=1 << 31)] | None = None
    is_enabled: bool = True
    next_at: At | None = None
    last_at: At | None = None
    is_code: bool = False
    unable: dict[Short60, Text] = {}
    note: Text = ""


class Schedules(Struct, tag_field="type", tag="schedules", frozen=True):
    """All schedules of a scheduler, as reported by one process."""

    scheduler: Id
    engine: Id
    store: Name
    is_firing: bool
    tick_us: Count
    timezone: Name
    can_create: bool
    entries: Annotated[list[ScheduleItem], Meta(max_length=2_000)]
    applied: Name = ""
    failed: dict[Name, Text] = {}
    notes: Notes = []
    is_cut: bool = False


class Goodbye(Struct, tag_field="type", tag="goodbye", frozen=True):
    """The last frame of an orderly end."""

    reason: Name = ""


Frame = Hello | Discovery | Heartbeat | Schedules | Goodbye

_decoder: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)


def decode_frame(text: str | bytes) -> Frame:
    """Decodes the frame of a text message. Raises ValueError with the reason for anything else, including a NUL."""
    # One search spares a look at every string; no name of ours may hold a NUL.
    if "\\u0000" in text if isinstance(text, str) else b"\\u0000" in text:
        raise ValueError("a frame may not hold a NUL")
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
