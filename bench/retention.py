# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether retention keeps up: tasks arrive at 2,000 a second while the database is at its limit, and as many have to go.

In this process, with the real store, ingest and duty: a connection more would measure the socket. `python -m bench.retention` prints all.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from pathlib import Path

from bench.measure import percentile
from tests.support.database import database, life, origin, task
from z4j import clock
from z4j.agents.ingest import ingest_batch
from z4j.background.retention import RetentionDuty
from z4j.store.sqlite.db import Store
from z4j.store.tasks import bulk_deletion
from z4j.store.tasks.bulk_deletion import Retention
from z4j_agent import wire

ARRIVAL = 2_000
BATCH = 100
FILLED = 120_000
SECONDS = 30
US = 1_000_000


def batch(first: int, at: int) -> bytes:
    """Tasks as a worker reports them, each with its arguments and its original."""
    records = [origin(at=at)]
    for number in range(first, first + BATCH):
        id = f"{random.getrandbits(128):032x}"
        id = f"{id[:8]}-{id[8:12]}-{id[12:16]}-{id[16:20]}-{id[20:]}"
        name = f"shop.task{number % 40}"
        records += life(id, at + number % BATCH, name=name)
        records.append(task("payload", id, at, 2, f'[{number}, "customer"]', False, [None, "QUFB" * 60], "plain", name=name))
    return b"".join(map(wire.encode_record, records))


async def deletion_rate(store: Store, count: int) -> float:
    """Tasks a second when nothing else is to be done."""
    used, _ = await bulk_deletion.read_size(store)
    before = await tasks(store)
    duty = RetentionDuty(store, lambda _: None, Retention(days=9_999, max_bytes=used - used * count // FILLED))
    began = time.monotonic()
    await duty.round(clock.now())
    return (before - await tasks(store)) / (time.monotonic() - began)


async def tasks(store: Store) -> int:
    return int((await store.fetch_all("SELECT count(*) FROM task"))[0][0])


async def arrive(store: Store, seconds: int, acks: list[float]) -> int:
    """Batches at the rate, whatever becomes of the earlier ones; encoded before the clock starts. Returns how many tasks."""
    prepared = [batch(first, clock.now()) for first in range(0, seconds * ARRIVAL, BATCH)]
    began, first, writes = time.monotonic(), 0, []

    async def one(payload: bytes) -> None:
        sent = time.monotonic()
        await ingest_batch(store, 1, payload, at=clock.now())
        acks.append((time.monotonic() - sent) * 1_000)

    for payload in prepared:
        writes.append(asyncio.ensure_future(one(payload)))
        first += BATCH
        await asyncio.sleep(max(0.0, began + first / ARRIVAL - time.monotonic()))
    await asyncio.gather(*writes)
    return first


async def measured(folder: Path) -> dict[str, float]:
    async with database(folder) as store:
        for first in range(0, FILLED, BATCH):
            await ingest_batch(store, 1, batch(first, clock.now()), at=clock.now())
        await store.checkpoint()
        alone = await deletion_rate(store, FILLED // 4)
        used, _ = await bulk_deletion.read_size(store)
        duty = RetentionDuty(store, lambda _: None, Retention(days=9_999, max_bytes=used))
        holds: list[float] = []
        whole = duty._slice

        async def slice_and_note(work: object) -> object:
            done = await whole(work)  # type: ignore[arg-type]
            holds.append(duty.held_s * 1_000)
            return done

        duty._slice = slice_and_note  # type: ignore[method-assign]
        acks: list[float] = []
        highest, before = used, await tasks(store)

        async def keep() -> None:
            nonlocal highest
            while True:
                await duty.round(clock.now())
                highest = max(highest, (await bulk_deletion.read_size(store))[0])
                await store.checkpoint(4_000_000)
                await asyncio.sleep(1)

        keeping = asyncio.ensure_future(keep())
        began = time.monotonic()
        arrived = await arrive(store, SECONDS, acks)
        took = time.monotonic() - began
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await duty.round(clock.now())
        deleted = before + arrived - await tasks(store)
        over = (highest - used) / used * 100
        return {
            "retention_deleted_per_s": alone,
            "retention_keeps_up_ratio": deleted / arrived,
            "retention_arrival_per_s": arrived / took,
            "retention_over_limit_percent": over,
            "retention_hold_p99_ms": percentile(holds, 0.99),
            "retention_ack_p99_ms": percentile(acks, 0.99),
        }


def measure() -> dict[str, float]:
    random.seed(7)
    with tempfile.TemporaryDirectory(dir=os.environ.get("Z4J_BENCH_FOLDER")) as folder:
        return asyncio.run(measured(Path(folder)))


if __name__ == "__main__":
    for name, figure in measure().items():
        print(f"{name} = {figure:,.2f}")
