# SPDX-License-Identifier: AGPL-3.0-or-later
"""A server over a real database, and agents that do what agents do: they keep a ledger in their spool folder, die at any moment, come back,
and answer late, twice, or for one another. Whatever is sent is checked against the laws of the outbox at once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.database import BOOT, SECOND, T, database, life, origin, task
from tests.support.scheduling import NOON, Person, schedule_request
from z4j import clock
from z4j.agents.connections import AgentLink, Hub, Need
from z4j.agents.ingest import ingest_batch
from z4j.agents.outbox import Outbox
from z4j.agents.reconcile import Reconcile
from z4j.exceptions import AgentGone, Unsupported, WrongState
from z4j.live import Live
from z4j.operations.commands import CommandRequest, Dispatch, find_task
from z4j.operations.plans import Plans, Source
from z4j.operations.scheduler import Scheduler
from z4j.operations.schedules import ScheduleService
from z4j.rules.command_ids import CommandId, parse
from z4j.rules.plans import Pace
from z4j.rules.tasks.states import STATES
from z4j.store.access.audit import AuditLog
from z4j.store.fleet import agents
from z4j.store.operations import commands
from z4j.store.operations.commands import CommandRow
from z4j.store.schedules import schedules
from z4j.store.sqlite.db import Store
from z4j.store.tasks.stale_tasks import StaleTask
from z4j.store.tasks.task_search import TaskFilter
from z4j.text import JsonObject
from z4j.wire.frames import Hello, Schedules, decode_frame
from z4j_agent import wire

A, B = "redis://a:6379/0", "redis://b:6379/0"
BROKERS = {"a": A, "b": B}
ENVIRONMENTS = {"p": "production", "s": "staging"}
ACTIONS = ("retry_task", "cancel_task", "run_task", "pause_queue", "resume_queue", "lookup_task")
FORGED = "forged"
OLD_COMMAND, OLD_PLAN = "0" * 32, "f" * 16
STORED = {
    "command": ("SELECT status, spool FROM command WHERE id = ? AND ? = 0", "sent"),
    "plan_item": ("SELECT i.status, i.spool FROM plan_item AS i JOIN plan AS p ON p.id = i.plan_id WHERE p.key = ? AND i.seq = ?", 1),
    "fire": ("SELECT outcome, spool FROM fire WHERE task_id = ? AND ? = 0", "handed"),
}
"""kind → the row of a command by its owner and number, and its status once it was handed over."""


@dataclass
class Folder:
    """A spool folder: its ledger, and the answers that were not acked yet."""

    name: str
    ledger: dict[str, str] = field(default_factory=dict)
    answers: list[list[Any]] = field(default_factory=list)
    shipped: set[tuple[str, str]] = field(default_factory=set)
    """(id, status) that the server has taken in."""


@dataclass(frozen=True)
class Spec:
    """A process that may connect."""

    name: str
    folder: str
    environment: str
    brokers: tuple[str, ...]
    app_id: int = 1
    is_beat: bool = False


SPECS = (
    Spec("one", "f1", "production", (A,)), Spec("two", "f1", "production", (A,)), Spec("three", "f2", "production", (A,)),
    Spec("four", "f1", "production", (B,)), Spec("five", "f1", "staging", (A,)), Spec("six", "f3", "staging", (A, B)),
    Spec("stranger", "f1", "production", (A, B), app_id=2), Spec("beat", "f4", "production", (A,), is_beat=True),
    Spec("other beat", "f4", "staging", (A,), is_beat=True),
)  # fmt: skip


class Agent:
    """A process that is connected."""

    def __init__(self, world: World, spec: Spec, boot: str) -> None:
        self.world, self.spec, self.folder = world, spec, world.folders[spec.folder]
        self.inbox: list[dict[str, Any]] = []
        self.overrides: Any = None
        """The list that it was sent last."""
        able = {("celery_beat", "apply_overrides"): "any"} if spec.is_beat else {("celery", action): "worker" for action in ACTIONS}
        role = "scheduler" if spec.is_beat else "worker"
        self.link = AgentLink(
            spec.app_id, boot, spec.folder, role, spec.name, "all", frozenset(), "", True, self.take, lambda code, why: None, able,
            spec.environment, {"celery": frozenset({"work"})}, brokers={"celery": dict.fromkeys(spec.brokers, "")},
        )  # fmt: skip

    def take(self, frame: dict[str, Any]) -> None:
        """A frame arrives; what must be true of it at this moment is checked."""
        self.world.check(self, frame)
        self.inbox.append(frame)

    def work(self, how: str = "") -> None:
        """The next command, as `z4j_agent.commands.commands` does it. `how`: "slow" ends it later (`World.end_slow`), "begun" dies before
        it has done it, "done" dies before it answers."""
        frame = self.inbox.pop(0)
        id, now, begun = frame["id"], self.world.at, self.folder.ledger.get(frame["id"])
        if begun is not None:
            self.answer(id, "unknown" if begun == "accepted" else begun)
        elif frame["expires_at"] <= now:
            self.answer(id, "expired")
        else:
            self.folder.ledger[id] = "accepted"
            self.answer(id, "accepted")
            self.world.executed[id].append(self.spec.folder)
            if frame["action"] == "apply_overrides":
                self.overrides = frame["params"]["overrides"]
            if how == "slow":
                self.world.slow.append((self, id))
            elif how != "begun":
                self.folder.ledger[id] = "done"
                if how != "done":
                    self.answer(id, "done")

    def answer(self, id: str, status: str) -> None:
        self.folder.answers.append(["command", id, self.world.at, status, {"state": "running"}])


class World:
    """Everything."""

    def __init__(self, store: Store, path: Path, seed: int) -> None:
        self.store, self.path, self.rng, self.at = store, path, random.Random(seed), NOON
        self.folders = {name: Folder(name) for name in ("f1", "f2", "f3", "f4")}
        self.connected: dict[str, Agent] = {}
        self.executed: dict[str, list[str]] = defaultdict(list)
        self.frames: dict[str, set[str]] = defaultdict(set)
        """id → the folders that it was sent to."""
        self.first: dict[str, dict[str, Any]] = {}
        """id → its frame when it was sent first."""
        self.boots = 0
        self.slow: list[tuple[Agent, str]] = []
        """Commands that are being carried out: connected or not, their process ends them."""
        self.start_server()

    # -- the server ----------------------------------------------------------------------------------------------------
    def start_server(self) -> None:
        self.hub = Hub()
        self.outbox = Outbox(self.store, self.hub)
        live = Live()
        self.dispatch = Dispatch(self.outbox, live, AuditLog(self.path))
        self.plans = Plans(self.outbox, live, AuditLog(self.path))
        self.scheduler = Scheduler(self.outbox, live.changed)
        self.desk = ScheduleService(self.dispatch, self.scheduler)
        self.reconcile = Reconcile(self.outbox, live.changed)

    async def expire(self) -> None:
        """Expires the commands of each kind, as `Outbox.run` does every second."""
        for owner in (self.dispatch, self.plans, self.scheduler):
            await owner.expire(self.at)

    async def kill_server(self, work: Awaitable[Any] | None = None) -> None:
        """Ends it in the middle of what it does, and begins again on the same database. What is on the wire may be lost."""
        doing = asyncio.ensure_future(work) if work is not None else None
        await asyncio.sleep(self.rng.choice((0, 0.001, 0.003, 0.01)))
        if doing is not None:
            doing.cancel()
            with contextlib.suppress(asyncio.CancelledError, AgentGone, WrongState, Unsupported):
                await doing
        await self.plans.stop()
        for name in list(self.connected):
            self.leave(name)
        self.start_server()
        await self.plans.start()
        await asyncio.sleep(0.01)

    # -- agents --------------------------------------------------------------------------------------------------------
    async def join(self, spec: Spec) -> Agent:
        self.leave(spec.name)
        self.boots += 1
        agent = self.connected[spec.name] = Agent(self, spec, f"boot{self.boots}")
        hello = _hello(spec, agent.link.boot, self.at)
        await self.store.write(lambda db: agents.record_hello(db, spec.app_id, hello, self.at, 0))
        self.hub.connect(agent.link)
        await self.outbox.agent_connected(agent.link)
        if spec.is_beat:
            await self.outbox.schedules_listed(agent.link, _listing())
        return agent

    def leave(self, name: str) -> None:
        agent = self.connected.pop(name, None)
        if agent is not None:
            self.hub.disconnect(agent.link)

    def end_slow(self) -> None:
        """One that was begun is done."""
        if self.slow:
            agent, id = self.slow.pop(self.rng.randrange(len(self.slow)))
            agent.folder.ledger[id] = "done"
            agent.answer(id, "done")

    async def ship(self, folder: Folder, *, is_acked: bool = True) -> None:
        """Some of the answers of a folder; what is not acked is sent again, however late."""
        some = folder.answers[: self.rng.randint(1, 5)] if is_acked else list(folder.answers)
        if not some:
            return
        app_id = 1
        data = b"".join(map(wire.encode_record, some))
        done = await ingest_batch(self.store, app_id, data, at=self.at, spool=folder.name)
        await self.outbox.answered(app_id, done.answers)
        folder.shipped |= {(of[1], of[3]) for of in some}
        if is_acked:
            del folder.answers[: len(some)]

    async def forge(self) -> None:
        """An agent of another app, or of another folder, answers what it was never handed."""
        ids = [id for id in self.frames if (of := parse(id)) is not None and not of.process]
        if not ids:
            return
        id = self.rng.choice(ids)
        others = [(2, "f1"), *((1, name) for name in self.folders if name not in self.frames[id])]
        app_id, spool = self.rng.choice(others)
        record = [
            "command",
            id,
            self.at,
            self.rng.choice(("done", "failed", "unknown", "accepted")),
            {"error": FORGED, "state": "succeeded"},
        ]
        done = await ingest_batch(self.store, app_id, wire.encode_record(record), at=self.at, spool=spool)
        await self.outbox.answered(app_id, done.answers)

    # -- the laws, at the moment something is sent ---------------------------------------------------------------------
    def check(self, agent: Agent, frame: dict[str, Any]) -> None:
        id, params = parse(frame["id"]), frame["params"]
        assert id is not None
        assert agent.spec.app_id == 1, f"{frame} went to another app"
        assert id.process.partition("-")[0] in ("", agent.link.boot), f"a copy for another process: {frame}"
        self._check_place(agent, frame["action"], params)
        if id.kind in STORED and not id.process:
            self._check_marked(id, agent)
            self.frames[frame["id"]].add(agent.spec.folder)
            assert self.frames[frame["id"]] == {agent.spec.folder}, f"a second folder: {frame}"
            first = self.first.setdefault(frame["id"], frame)
            assert _without_proofs(first) == _without_proofs(frame), "sent again it is another"
        elif id.kind == "lookup":
            self.frames[frame["id"]].add(agent.spec.folder)

    def _check_place(self, agent: Agent, action: str, params: dict[str, Any]) -> None:
        task_id = str(params.get("task_id", ""))
        if task_id[2:3] == "-":
            assert ENVIRONMENTS[task_id[1]] == agent.spec.environment, f"another environment: {params}"
            if action != "lookup_task":
                assert BROKERS[task_id[0]] in agent.spec.brokers, f"another broker: {params}"
        if broker := params.get("broker"):
            assert broker in agent.spec.brokers, f"another broker: {params}"
        if environment := params.get("kwargs", {}).get("environment"):
            assert environment == agent.spec.environment

    def _check_marked(self, id: CommandId, agent: Agent) -> None:
        """In the file, so that a server that is killed now knows it."""
        sql, handed = STORED[id.kind]
        with closing(sqlite3.connect(self.path / "z4j.db")) as db:
            [(status, spool)] = db.execute(sql, (id.owner, id.number)).fetchall()
        assert spool == agent.spec.folder, f"{id} left for {agent.spec.folder} and is marked for {spool}"
        assert status == handed or (id.text in self.first), f"{id} left while it was {status}"

    # -- what people and the clock do ----------------------------------------------------------------------------------
    async def ask_task(self, action: str) -> None:
        state = "failed" if action == "retry_task" else "queued"
        rows = await self.store.fetch_all("SELECT id FROM task WHERE state = :state", {"state": STATES[state]})
        if rows:
            found = await find_task(self.store, self.rng.choice(rows)[0])
            await self.dispatch.ask(Person(), action, found)

    async def run_task(self) -> None:
        environment = self.rng.choice(tuple(ENVIRONMENTS.values()))
        broker = self.rng.choice((A, B))
        need = Need(1, "celery", "run_task", environment, queue="work", broker=broker)
        params: JsonObject = {"name": "shop.ship", "args": [], "kwargs": {"environment": environment}, "queue": "work", "broker": broker}
        await self.dispatch.submit(Person(), CommandRequest(need, "celery:shop.ship", params))

    async def leave_waiting(self) -> None:
        """A command that is stored and was not sent: the server was killed in between."""
        environment = self.rng.choice(tuple(ENVIRONMENTS.values()))
        params: JsonObject = {
            "name": "shop.ship",
            "args": [],
            "kwargs": {"environment": environment},
            "queue": "work",
            "new_id": str(self.rng.random()),
        }
        row = CommandRow(
            f"{self.rng.getrandbits(96):024x}", 1, "celery", "run_task", None, "", params, "", "waiting", {}, "ann", "", self.at,
            self.at + 900 * SECOND, None, "", None, environment,
        )  # fmt: skip
        await self.store.write(lambda db: commands.add_command(db, row))

    async def pause(self, action: str, broker: str = "") -> None:
        need = Need(1, "celery", action, "production", queue="work", broker=broker or self.rng.choice((A, B)))
        await self.dispatch.submit(Person(), CommandRequest(need, "queue celery:work", {"queue": "work", "broker": need.broker}))

    async def plan(self, action: str) -> None:
        state = "failed" if action == "retry_task" else "queued"
        row = await self.plans.freeze(Person(), action, {}, Source("all", TaskFilter(states=(state,))))
        if row.items:
            await self.plans.execute(Person(), row.id, row.digest, Pace())

    async def fire(self) -> None:
        self.at += 60 * SECOND
        while await self.scheduler.fire_due(self.at):
            pass

    async def override(self) -> None:
        rows = [row for row in await schedules.list_schedules(self.store) if row.key == "nightly"]
        if rows:
            row = self.rng.choice(rows)
            await self.desk.switch(Person(), row, on=not row.is_enabled or (row.is_overridden and self.rng.random() < 0.5), reason="law")

    def look_up(self) -> None:
        held = [
            StaleTask(1, "celery", f"{broker}{environment}-queued-{number}", 0, self.at, f"{BOOT}.7", "w1", ENVIRONMENTS[environment])
            for broker in "ab" for environment in "ps" for number in range(2)
        ]  # fmt: skip
        self.reconcile.resolve_orphans(self.at, held)


def _without_proofs(frame: dict[str, Any]) -> dict[str, Any]:
    """What a connected agent proves may change between two frames of one command."""
    params = {key: value for key, value in frame["params"].items() if not key.endswith(("proof", "proofs"))}
    return frame | {"params": params}


def _hello(spec: Spec, boot: str, at: int) -> Hello:
    role = "scheduler" if spec.is_beat else "worker"
    return Hello(1, "0", boot, spec.folder, "h1", 7, role, spec.environment, {"celery": "5.7"}, [], "all", [], True, at, spec.name)


def _listing() -> Schedules:
    entry = {
        "key": "nightly", "name": "nightly", "kind": "interval", "expression": "60", "timezone": "UTC", "task_name": "shop.ship",
        "args": "[1]", "kwargs": "{}", "next_at": NOON + 60 * SECOND, "is_code": True,
    }  # fmt: skip
    found = decode_frame(
        json.dumps(
            {
                "type": "schedules", "scheduler": "celery_beat", "engine": "celery", "store": "code", "is_firing": True,
                "tick_us": 5_000_000, "timezone": "UTC", "can_create": True, "entries": [entry],
            }
        )
    )  # fmt: skip
    assert isinstance(found, Schedules)
    return found


@asynccontextmanager
async def world(folder: Path, seed: int) -> AsyncIterator[World]:
    """With tasks in two environments and two brokers, schedules, and a command and a plan that an earlier release has handed over."""
    async with database(folder) as store:
        made = World(store, folder, seed)
        clock.use(lambda: made.at * 1_000)
        try:
            await store.write(lambda db: db.execute("INSERT INTO app (name, created_at) VALUES ('other', 0)").rowcount)
            for environment, name in ENVIRONMENTS.items():
                boot = f"{BOOT}{environment}"
                records = [origin(boot, environment=name)]
                for broker, identity in BROKERS.items():
                    for number, end in itertools.product(range(2), ("failed", "queued")):
                        id, run = f"{broker}{environment}-{end}-{number}", f"{boot}.7"
                        records += life(id, T, "failed", run=run) if end == "failed" else [task("enqueued", id, T, run=run)]
                        records.append(task("payload", id, T, 2, "[]", False, [None, "AHt9"], "plain", identity, run=run))
                await ingest_batch(store, 1, b"".join(map(wire.encode_record, records)), at=T)
            for environment in ENVIRONMENTS.values():
                await made.desk.create(
                    Person(),
                    schedule_request(
                        name=f"own {environment}", environment=environment, catch_up="all", broker=A, queue="", args=[],
                        kwargs={"environment": environment}, task_name="shop.ship",
                    ),
                )  # fmt: skip
            await _hand_over_as_an_earlier_release(made)
            await made.plans.start()
            yield made
        finally:
            await made.plans.stop()
            clock.use()


async def _hand_over_as_an_earlier_release(made: World) -> None:
    """A command that was carried out, and an item each that was begun and that was lost on the way, all in the folder f1."""
    folder, at = made.folders["f1"], made.at
    made.hub.connect(Agent(made, SPECS[0], "earlier").link)
    row = await made.plans.freeze(Person(), "retry_task", {}, Source("all", TaskFilter(states=("failed",), environment="production")))
    await made.store.write(lambda db: db.execute("UPDATE plan SET key = ?, status = 'paused' WHERE id = ?", (OLD_PLAN, row.id)).rowcount)
    sql = (
        "SELECT i.seq FROM plan_item AS i JOIN original AS o ON o.task = i.task JOIN name AS n ON n.id = o.broker_id"
        " WHERE i.plan_id = :id AND n.text = :broker ORDER BY i.seq"
    )
    listed = await made.store.fetch_all(sql, {"id": row.id, "broker": A})
    (begun,), (lost,) = listed[:2]
    command = CommandRow(
        OLD_COMMAND, 1, "celery", "run_task", None, "", {"name": "shop.ship", "args": [], "kwargs": {}, "queue": "work"}, "", "waiting", {},
        "ann", "", at, at + 900 * SECOND, None, "", None, "production",
    )  # fmt: skip

    def write(db: Any) -> None:
        commands.add_command(db, command)
        assert commands.mark_sent(db, OLD_COMMAND, "f1", at)
        for seq in (begun, lost):
            db.execute("UPDATE plan_item SET status = 1, spool = 'f1', sent_at = ? WHERE plan_id = ? AND seq = ?", (at, row.id, seq))
        db.executemany(
            "INSERT INTO plan_count (plan_id, status, items) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET items = items + excluded.items",
            [(row.id, 0, -2), (row.id, 1, 2)],
        )

    await made.store.write(write)
    folder.ledger |= {OLD_COMMAND: "done", f"{OLD_PLAN}.{begun}": "accepted"}
    folder.answers.append(["command", OLD_COMMAND, at, "done", {}])
    for id in (OLD_COMMAND, f"{OLD_PLAN}.{begun}"):
        made.executed[id].append("f1")
    made.start_server()
