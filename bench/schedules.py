# SPDX-License-Identifier: AGPL-3.0-or-later
"""z4j's own scheduler: from the due time to the command at an agent. Ten thousand schedules spread over a minute, then all at once."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.measure import percentile
from tests.support.stack import Stack, stack
from tests.support.wire_client import WireClient, now
from z4j.store.schedules import schedules
from z4j.store.sqlite.db import Connection, Store
from z4j_agent import wire

SECOND = 1_000_000
MANY = 10_000


def fill(path: Path, dues: list[int]) -> None:
    """A one-off for each due time, written into the database of a server that does not run."""

    def write(db: Connection) -> None:
        for number, due in enumerate(dues):
            at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(due // SECOND)) + f".{due % SECOND:06}+00:00"
            schedules.add_own(
                db,
                {
                    "id": 0, "broker": "",
                    "app_id": 1, "environment": "production", "key": f"k{number}", "engine": "celery", "name": f"bench {number}",
                    "kind": "once", "expression": at, "timezone": "UTC", "task_name": "shop.ship", "args": f"[{number}]", "kwargs": "{}",
                    "queue": "", "is_enabled": 1, "catch_up": "all", "overlap": "allow", "jitter_us": 0, "starts_at": None, "ends_at": None,
                    "anchor": 0, "next_at": due, "wake_at": due, "at": now(),
                },
            )  # fmt: skip

    async def put() -> None:
        store = Store(path)
        await store.start()
        await store.write(write)
        await store.close()

    asyncio.run(put())


def listen(made: Stack, count: int, *, seconds: float) -> list[tuple[int, int]]:
    """(number of the schedule, when its command came), in the order they came; each is answered."""
    came: list[tuple[int, int]] = []
    answers: list[bytes] = []
    acked = 0
    with WireClient(made.url, say_hello=False) as agent:
        agent.say(agent.hello(capabilities=[["celery", "run_task", "any", "exact", [], ""]], allow="all"))
        agent.hear()
        ends = time.monotonic() + seconds
        while len(came) < count and time.monotonic() < ends:
            try:
                said: dict[str, Any] = json.loads(agent.socket.recv(timeout=0.2))
            except TimeoutError:
                said = {"type": ""}
            if said["type"] == "command":
                came.append((said["params"]["args"][0], now()))
                answers.append(wire.encode_record(["command", said["id"], now(), "done", {}]))
            elif said["type"] == "ack":
                acked = said["seq"]
            if len(answers) >= 200 and agent.seq - acked < wire.WINDOW:
                agent.send(b"".join(answers))
                answers = []
    return came


def run(dues: list[int]) -> list[tuple[int, int]]:
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), is_fresh=True) as made:
        made.command("migrate")
        made.add_app()
        fill(made.data / "z4j.db", dues)
        made.start_server()
        return listen(made, len(dues), seconds=(dues[-1] - now()) / SECOND + 60)


def measure(many: int = MANY) -> dict[str, float]:
    start = now() + 15 * SECOND
    spread = [start + number * 60 * SECOND // many for number in range(many)]
    late = [(at - spread[number]) / 1000 for number, at in run(spread)]
    at_once = [now() + 15 * SECOND + number for number in range(many)]
    came = run(at_once)
    order = [number for number, _ in came]
    return {
        "fire_p50_ms": percentile(late, 0.5),
        "fire_p99_ms": percentile(late, 0.99),
        "fire_lost": float(2 * many - len(late) - len(set(order))),
        "fire_out_of_order": float(sum(1 for before, after in itertools.pairwise(order) if before > after)),
        "fires_at_once_per_s": len(came) / max((came[-1][1] - at_once[0]) / SECOND, 0.001) if came else 0.0,
    }


if __name__ == "__main__":
    for name, figure in measure(int(sys.argv[1]) if len(sys.argv) > 1 else MANY).items():
        print(f"{name} = {figure:,.2f}")
