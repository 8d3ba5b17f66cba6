# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores agents: the processes that connect, their capabilities, their running tasks, and when they disconnected."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec

from z4j.rules.worker_succession import WorkerSession, replaced
from z4j.store.fleet import processes, queues
from z4j.store.names.name_limits import flush, intern, is_known
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Row, Store
from z4j.wire.frames import CapabilityItem, Discovery, Heartbeat, Hello, RunningItem
from z4j_agent.wire.redaction import redact_answer, redact_text
from z4j_agent.wire.task_signatures import redact_signature

SQL = sql.load("fleet/agents")

redacted_signature = lru_cache(16_384)(redact_signature)
"""An agent reports its tasks repeatedly."""
NEXT_WORD_US: Final = 10_000_000
"""A heartbeat comes every ten seconds."""
MOST: Final = 5_000
"""Processes kept of one app; beyond it those that left first are deleted, before their age."""
MAY_RETURN_US: Final = 7 * 24 * 3_600_000_000
"""A process that was not seen for so long is not expected to come back as it was configured."""
SILENT: Final = "silent"
RESTARTED: Final = "server restarted"


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One process that dials or dialled in. Times are microseconds UTC; `left_at` is None while it is connected."""

    id: int
    app_id: int
    app: str
    boot: str
    spool: str
    host: str
    pid: int
    role: str
    worker: str
    environment: str
    release: str
    engines: dict[str, str]
    capabilities: list[CapabilityItem]
    allow: str
    denied: list[str]
    seal_key: str
    app_seal_key: str
    """The key this app's originals should be sealed with; another in `seal_key` deserves a warning."""
    agent_version: str
    notes: list[str]
    worker_notes: list[str]
    pool: str
    concurrency: int | None
    queues: list[str]
    running: list[RunningItem]
    spool_bytes: int
    dropped: int
    faults: int
    is_shipper: bool
    clock_skew_us: int
    """Our clock minus the agent's."""
    seat: str
    """What is the same of a worker that was started again; "" where its name is."""
    began_at: int
    """When it first said hello."""
    connected_at: int
    seen_at: int
    left_at: int | None
    left_reason: str
    is_orderly: bool
    options: dict[str, str]
    """What should be the same of all workers of a queue, by its name in the engine's settings; {} of an older agent."""


@dataclass(frozen=True, slots=True)
class UnpinnedProcess:
    """A process whose connection string lacks a pin. `reports` is False for an older agent, of which that is unknown. Times are
    microseconds UTC; `left_at` is None while it is connected."""

    app: str
    environment: str
    host: str
    pid: int
    worker: str
    agent_version: str
    reports: bool
    seen_at: int
    left_at: int | None


@dataclass(frozen=True, slots=True)
class TaskNameRow:
    """A registered task, as the agents of one environment describe it."""

    app: str
    environment: str
    engine: str
    name: str
    signature: str
    doc: str
    queue: str
    seen_at: int


OLD_AGENT: Final = (
    "This agent is too old to verify the author of the message of a retried task: anyone who controls this server could make it run other "
    "functions. Update the z4j packages of this application."
)


def record_hello(db: Connection, app_id: int, hello: Hello, at: int, skew: int) -> int:
    """Records a process that connected. Returns the agent's row id. `skew`: the server's clock minus the agent's, in microseconds."""
    processes.record_origin(
        db, app_id, hello.boot, hello.at, host=hello.host, pid=hello.pid, role=hello.role,
        worker=hello.worker or "", environment=hello.environment, release=hello.release or "",
    )  # fmt: skip
    processes.note_redaction(db, app_id, hello.boot, hello.redaction)
    params = {
        "host": hello.host, "pid": hello.pid, "role": hello.role, "app_id": app_id, "boot": hello.boot, "spool": hello.spool,
        "worker_id": intern(db, app_id, "worker", hello.worker or ""),
        "environment_id": intern(db, app_id, "environment", hello.environment),
        "release_id": intern(db, app_id, "release", hello.release or ""),
        "engines": json.dumps(hello.engines), "capabilities": _text(hello.capabilities), "allow": hello.allow,
        "denied": _text(hello.denied), "seal_key": hello.seal_key or "", "agent_version": hello.agent_version,
        "notes": _text(([] if hello.authenticates_originals else [OLD_AGENT]) + redact_answer(hello.notes or [], "notes")),
        "is_shipper": int(hello.shipper), "skew": skew, "seat": hello.seat or "", "at": at,
        "pins": None if hello.pins is None else _text(hello.pins),
    }  # fmt: skip
    id = int(db.execute(SQL["put_agent"], params).fetchone()[0])
    flush(db, app_id)
    _forget_some(db, app_id)
    return id


def _forget_some(db: Connection, app_id: int) -> None:
    """Keeps at most `MOST` processes of an app, as far as they have left.

    The count in memory goes up with every hello, of a known process too, so it is only a reason to count the rows.
    """
    counts = db.recall("processes of apps")
    counts[app_id] = counts.get(app_id, MOST) + 1
    if counts[app_id] > MOST:
        count = db.execute(SQL["count_of_app"], {"app_id": app_id}).fetchone()[0]
        if count > MOST:
            count -= db.execute(SQL["forget_some"], {"app_id": app_id, "limit": count - MOST}).rowcount
        counts[app_id] = count


def record_heartbeat(db: Connection, app_id: int, boot: str, beat: Heartbeat, at: int) -> None:
    """Records a heartbeat and the tasks the process runs. A boot without a hello is ignored."""
    row = db.execute(
        SQL["put_heartbeat"],
        {
            "app_id": app_id, "boot": boot, "at": at, "running": None if beat.running is None else _text(beat.running),
            "spool_bytes": beat.spool_bytes, "dropped": beat.dropped, "faults": beat.faults,
            "is_shipper": int(beat.shipper),
        },
    ).fetchone()  # fmt: skip
    if row is not None and beat.queues:
        seen = [(q.engine, q.name, q.broker, q.depth, q.consumers, q.oldest_at, q.delayed, q.dead) for q in beat.queues]
        queues.record(db, app_id, row[0], seen, at)


def record_discovery(db: Connection, app_id: int, boot: str, discovery: Discovery, at: int) -> None:
    """Records what an adapter reported: registered tasks, queues, and its worker."""
    row = db.execute(SQL["find_agent"], {"app_id": app_id, "boot": boot}).fetchone()
    if row is None:
        return
    engine_id = intern(db, app_id, "engine", discovery.engine)
    is_redacted = processes.redacts(db, app_id, boot)
    described = [
        (
            app_id, intern(db, app_id, "name", task.name), engine_id, row[0],
            *((task.signature, task.doc) if is_redacted else (redacted_signature(task.signature), redact_text(task.doc))),
            intern(db, app_id, "queue", task.queue or ""), at, task.proof,
        )
        for task in discovery.tasks
        if is_known(db, app_id, "name", task.name)
    ]  # fmt: skip
    db.executemany(SQL["put_task_name"], described)
    flush(db, app_id)
    seen = [(discovery.engine, q.name, q.broker, q.depth, q.consumers, q.oldest_at, q.delayed, q.dead) for q in discovery.queues]
    queues.record(db, app_id, row[0], seen, at)
    if discovery.worker is not None:
        worker = discovery.worker
        db.execute(
            SQL["put_worker"],
            {
                "app_id": app_id, "boot": boot, "at": at, "pool": worker.pool, "concurrency": worker.concurrency,
                "queues": _text(worker.queues), "notes": _text(redact_answer(worker.notes, "notes")),
                "options": _text(redact_answer(worker.options, "options")),
            },
        )  # fmt: skip


def record_left(db: Connection, app_id: int, boot: str, at: int, reason: str, *, is_orderly: bool) -> None:
    """Records the end of a connection. `is_orderly`: the agent said goodbye, so nothing looks for it."""
    db.execute(SQL["put_left"], {"app_id": app_id, "boot": boot, "at": at, "reason": redact_text(reason), "is_orderly": int(is_orderly)})


def record_restart(db: Connection, at: int) -> None:
    """Marks every agent as disconnected, when the server starts."""
    db.execute(SQL["put_all_left"], {"at": at, "reason": RESTARTED})


def record_silence(db: Connection, at: int, since: int) -> int:
    """Marks every connection without a message since `since` as disconnected. Times are microseconds UTC. Returns how many."""
    return len(db.execute(SQL["put_silent"], {"at": at, "since": since, "reason": SILENT}).fetchall())


async def list_agents(store: Store, *, since: int = 0, ids: list[int] | None = None) -> list[AgentRow]:
    """Lists the processes seen since `since` (microseconds UTC), or those with the row ids `ids`: connected ones first, then by app and
    worker."""
    chosen = None if ids is None else json.dumps(ids)
    return [_row(row) for row in await store.fetch_all(SQL["list_agents"], {"since": since, "ids": chosen})]


async def list_without_pin(store: Store, pin: str, *, since: int, limit: int = 200) -> list[UnpinnedProcess]:
    """Lists processes seen since `since` (microseconds UTC) whose connection string lacks the pin, connected ones first.

    A process that left may come back with the string it had, so it counts unless another came in its place: of the same app, environment
    and role, with the same host and worker name, or the same seat."""
    rows = await store.fetch_all(SQL["list_pins"], {"since": since, "pin": pin, "limit": limit})
    return [
        UnpinnedProcess(app, environment or "", host, pid, worker or role, version, bool(reports), seen_at, left_at)
        for app, environment, host, pid, worker, role, version, reports, seen_at, left_at in rows
    ]


async def count_connected(store: Store, *, since: int) -> tuple[int, int]:
    """Counts processes. Returns (connected, seen since `since`)."""
    row = await store.fetch_one(SQL["count_connected"], {"since": since})
    return (row[0], row[1]) if row else (0, 0)


async def list_task_names(store: Store, *, limit: int = 5_000) -> list[TaskNameRow]:
    """Lists registered tasks, at most `limit` of each app, by app, engine, name and environment."""
    return [_task_name(row) for row in await store.fetch_all(SQL["list_task_names"], {"limit": limit})]


async def list_named(store: Store, name: str, limit: int) -> list[TaskNameRow]:
    """Lists what is registered under a task name, by app, engine and environment."""
    return [_task_name(row) for row in await store.fetch_all(SQL["list_named"], {"name": name, "limit": limit})]


async def find_task_name(store: Store, app: str, engine: str, name: str, environment: str = "") -> TaskNameRow | None:
    """Returns a registered task of an environment, or None. With the environment "" it is the one that was reported last."""
    rows = [_task_name(row) for row in await store.fetch_all(SQL["find_task_name"], {"app": app, "engine": engine, "name": name})]
    return next((row for row in rows if environment in ("", row.environment)), None)


def _task_name(row: Row) -> TaskNameRow:
    app, environment, engine, name, signature, doc, queue, at = row
    return TaskNameRow(app, environment or "", engine, name, signature, doc, queue or "", at)


async def read_proofs(store: Store, app_id: int, task_names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Returns {task name: {engine: proof}} of the names that an agent of the app has proved."""
    proofs: dict[str, dict[str, str]] = {}
    for name, engine, proof in await store.fetch_all(SQL["read_proofs"], {"app_id": app_id, "names": json.dumps(sorted(set(task_names)))}):
        proofs.setdefault(name, {})[engine] = proof
    return proofs


async def count_silent(store: Store, *, since: int) -> int:
    """Workers seen since then that went without a word and were not replaced."""
    rows = await store.fetch_all(SQL["list_sittings"], {"since": since})
    others = replaced([worker_session(*row[:7]) for row in rows])
    return sum(1 for position, row in enumerate(rows) if row[5] is not None and not row[7] and position not in others)


def worker_session(
    app_id: int, environment: Any, seat: str, began_at: int, seen_at: int, left_at: int | None, reason: str
) -> WorkerSession:
    """Returns what `rules/worker_succession.py` requires of a worker. A worker without heartbeats ended when its next heartbeat was due."""
    gone_at = left_at if left_at is None or reason != SILENT else min(left_at, seen_at + NEXT_WORD_US)
    return WorkerSession((app_id, environment, seat) if seat else None, began_at, gone_at)


_capabilities = msgspec.json.Decoder(list[CapabilityItem])
_running = msgspec.json.Decoder(list[RunningItem])


def _row(row: Row) -> AgentRow:
    (
        id, app_id, app, boot, spool, host, pid, role, worker, environment, release, engines, capabilities, allow,
        denied, seal_key, app_seal_key, agent_version, notes, worker_notes, pool, concurrency, queues, running,
        spool_bytes, dropped, faults, is_shipper, clock_skew_us, seat, began_at, connected_at, seen_at, left_at, left_reason, is_orderly,
        options,
    ) = row  # fmt: skip
    return AgentRow(
        id=id, app_id=app_id, app=app, boot=boot, spool=spool, host=host, pid=pid, role=role, worker=worker or "",
        environment=environment or "", release=release or "", engines=json.loads(engines),
        capabilities=_capabilities.decode(capabilities), allow=allow, denied=json.loads(denied), seal_key=seal_key,
        app_seal_key=app_seal_key, agent_version=agent_version, notes=json.loads(notes),
        worker_notes=json.loads(worker_notes), pool=pool, concurrency=concurrency, queues=json.loads(queues),
        running=_running.decode(running), spool_bytes=spool_bytes, dropped=dropped, faults=faults,
        is_shipper=bool(is_shipper), clock_skew_us=clock_skew_us, seat=seat, began_at=began_at, connected_at=connected_at, seen_at=seen_at,
        left_at=left_at, left_reason=left_reason, is_orderly=bool(is_orderly), options=json.loads(options),
    )  # fmt: skip


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
