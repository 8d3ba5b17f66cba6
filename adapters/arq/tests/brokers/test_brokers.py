# SPDX-License-Identifier: Apache-2.0
"""One process enqueues to two Redis databases, both with arq's default queue."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis
from arq import Worker, create_pool
from arq.connections import RedisSettings
from arq.constants import default_queue_name

import z4j_agent
import z4j_arq
from z4j_agent.conformance.brokers.two_brokers import BOTH, TwoAsyncBrokers, TwoBrokersContract
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.contract.adapter import Refused
from z4j_arq.adapter import ArqAdapter
from z4j_arq.attempts import Run
from z4j_arq.queues import Broker


async def note(ctx: dict[str, Any], value: str) -> None: ...


class Settings:
    functions = (note,)


class TwoDatabases(TwoAsyncBrokers):
    engine = "arq"
    queue = default_queue_name

    def set_up(self) -> None:
        self.port = self.start_valkey()
        self.variables["TWO_PORT"] = str(self.port)

    def connect(self, gateway: Gateway) -> None:
        self.start_loop()
        z4j_arq.install(Settings, **self.options(gateway))
        self.pools = [self.run(create_pool(RedisSettings(port=self.port, database=which))) for which in BOTH]

    def disconnect(self) -> None:
        z4j_arq.uninstall()
        for pool in self.pools:
            self.run(pool.connection_pool.disconnect(inuse_connections=True))
        self.stop_loop()

    def send(self, which: int, value: str, *, delay_s: float = 0, task_id: str = "") -> str:
        job = self.run(self.pools[which].enqueue_job("note", value, _job_id=task_id or None, _defer_by=delay_s or None))
        return str(job.job_id)

    def start_worker_of(self, which: int) -> subprocess.Popen[bytes]:
        return self.start(f"worker-{which}", [sys.executable, Path(__file__).resolve().parents[1] / "apps/two_app.py", str(which)])

    def depth(self, which: int) -> int:
        with redis.Redis(port=self.port, db=which) as client:
            return int(client.zcard(self.queue))  # type: ignore[arg-type]


class TestTwoDatabases(TwoBrokersContract):
    harness_class = TwoDatabases

    def test_a_task_is_not_moved_to_a_queue_of_the_other_database(self, gateway: Gateway, two: TwoDatabases) -> None:
        first, _ = self.brokers(gateway, two)
        job_id = two.send(0, "stays")
        two.run(two.pools[1].enqueue_job("note", "there", _queue_name="only-there"))
        status, facts = self.ask(gateway, two, "move_task", task_id=job_id, queue="only-there", broker=first)
        assert status == "refused", facts
        assert "another Redis" in facts["error"] or facts.get("check") == "queue.unknown", facts
        assert [two.depth(which) for which in BOTH] == [2, 1]

    def test_an_id_that_both_databases_have_is_taken_out_of_the_one_that_is_named(self, gateway: Gateway, two: TwoDatabases) -> None:
        """arq lets the application choose its ids."""
        names = self.brokers(gateway, two)
        for which in BOTH:
            two.send(which, "invoice", task_id="invoice-17")
        status, facts = self.ask(gateway, two, "cancel_task", task_id="invoice-17")
        assert (status, facts.get("check")) == ("refused", "broker.unknown"), facts
        assert [two.depth(which) for which in BOTH] == [2, 2]
        status, facts = self.ask(gateway, two, "cancel_task", task_id="invoice-17", broker=names[1])
        assert status == "done", facts
        assert [two.depth(which) for which in BOTH] == [2, 1]

    def test_two_workers_of_one_process_do_not_mix_up_what_they_run(self, gateway: Gateway, two: TwoDatabases) -> None:
        agent = z4j_agent.current()
        assert agent is not None
        (adapter,) = agent.adapters
        assert isinstance(adapter, ArqAdapter)
        workers = [Worker(functions=[note], redis_pool=pool, handle_signals=False) for pool in two.pools]
        runs = [adapter.capture.on_taken(worker, "same", 1) for worker in workers]
        adapter.state.workers += workers
        assert all(isinstance(run, Run) for run in runs)
        assert len(adapter.list_running()) == 2
        with pytest.raises(Refused) as refused:
            adapter.terminate_task(runs[0].task_id)
        assert refused.value.check == "broker.unknown"
        adapter.capture.on_left(runs[0])
        assert list(adapter.state.running.values()) == [runs[1]]
        adapter.capture.on_left(runs[1])
        adapter.state.workers.clear()
        workers[0].loop.close()  # the event loop of this thread, which arq makes where there is none
        asyncio.set_event_loop(None)


def test_a_broker_is_named_by_what_leads_to_it_and_never_by_a_credential() -> None:
    def identity(settings: RedisSettings) -> str:
        async def make_pool() -> Any:
            from arq.connections import ArqRedis
            from redis.asyncio import ConnectionPool

            where = {"path": settings.unix_socket_path} if settings.unix_socket_path else {"host": settings.host, "port": settings.port}
            from redis.asyncio import UnixDomainSocketConnection

            kind = {"connection_class": UnixDomainSocketConnection} if settings.unix_socket_path else {}
            made = ConnectionPool(**where, **kind, db=settings.database, username=settings.username, password=settings.password)
            return ArqRedis(made)

        return Broker.of(asyncio.run(make_pool())).identity("here")

    named = [
        identity(RedisSettings.from_dsn("redis://user:hunter2@cache.internal:6380/3")),
        identity(RedisSettings.from_dsn("redis://cache.internal:6380/4")),
        identity(RedisSettings.from_dsn("redis://127.0.0.1:6380/3")),
        identity(RedisSettings.from_dsn("unix:///run/redis.sock?db=2")),
    ]
    assert named == [
        "redis://cache.internal:6380/3", "redis://cache.internal:6380/4", "redis://localhost:6380/3@here", "redis:///run/redis.sock/2@here",
    ]  # fmt: skip
