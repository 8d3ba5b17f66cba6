# SPDX-License-Identifier: AGPL-3.0-or-later
"""One app of several engines on one broker, its workers, and a client of the API that operates them."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2

from tests.support.stack import ROOT, Stack, wait_for

SIDE = "tests.support.many"


class Orders:
    """The applications, each with the one task of `many.orders`. With `is_single` a worker runs one task and fetches none in advance,
    so that the order of execution is the order of the queue."""

    def __init__(self, shop: Stack, engines: tuple[str, ...], *, is_single: bool = False) -> None:
        self.shop = shop
        self.engines = engines
        self.is_single = is_single
        self.unlock = shop.folder / "unlock"
        token = shop.command("token", "create", "--api", "test", "--role", "operator").strip()
        self.client = httpx2.Client(base_url=f"{shop.address}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=60)
        shop.at_end.append(self.client.close)

    def environment(self, **more: str) -> dict[str, str]:
        kind = {"HUEY_KIND": "priority"} if self.is_single else {}
        return {**os.environ, **self.shop.environment(), "UNLOCK": str(self.unlock), "Z4J_ALLOW": "all", **kind, **more}

    def python(self, engine: str) -> Path:
        return ROOT / f".venvs/{engine}/bin/python"

    def start_workers(self) -> None:
        at_once = "1" if self.is_single else "2"
        words: dict[str, tuple[str, ...]] = {
            "celery": (
                "-m", "celery", "-A", f"{SIDE}.celery_side", "worker", "-Q", "orders", "-c", at_once, "--loglevel", "WARNING",
                *(("--prefetch-multiplier", "1") if self.is_single else ()),
            ),
            "rq": ("-m", f"{SIDE}.rq_side", "worker"),
            "huey": ("-m", "huey.bin.huey_consumer", f"{SIDE}.huey_side.huey", "-w", at_once, "-n", "-q"),
            "arq": ("-m", "arq", f"{SIDE}.arq_side.WorkerSettings"),
            "dramatiq": ("-m", "dramatiq", f"{SIDE}.dramatiq_side", "-p", "1", "-t", at_once),
            "taskiq": ("-m", "taskiq", "worker", f"{SIDE}.taskiq_side:broker", "--workers", "1"),
        }  # fmt: skip
        for engine in self.engines:
            self.shop.start(f"{engine}-worker", [self.python(engine), *words[engine]], self.environment())
        wait_for(
            lambda: len(self.get("/workers")["workers"]) >= len(self.engines), seconds=60, what="the workers of every engine are connected"
        )

    def produce(self, engine: str, queue: str, amount: int) -> None:
        module = f"{SIDE}.huey_produce" if engine == "huey" else f"{SIDE}.{engine}_side"
        done = self.shop.run(self.python(engine), module, queue, str(amount), env=self.environment(HUEY_QUEUE=queue))
        assert done.returncode == 0, done.stderr

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, params=query).raise_for_status().json()

    def post(self, path: str, **body: Any) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def count(self, state: int) -> int:
        return int(self.shop.rows("SELECT coalesce(sum(tasks), 0) FROM counter WHERE state = ?", state)[0][0])

    def account(self, id: int) -> dict[str, int]:
        found = self.get(f"/plans/{id}")
        account = {word: items for word, items in found["account"].items() if items}
        assert sum(account.values()) == found["plan"]["items"]
        return account

    def ran(self) -> Counter[str]:
        return Counter(" ".join(line) for line in self.shop.testimony())

    def wait(self, id: int, *status: str) -> dict[str, Any]:
        def look() -> Any:
            found = self.get(f"/plans/{id}")
            return found["plan"] if found["plan"]["status"] in status and not found["account"]["sent"] else None

        return wait_for(look, seconds=300, what=f"plan {id} is {status}")

    def ask_queue(self, action: str, engine: str, **more: Any) -> dict[str, Any]:
        """What became of a command about the queue `orders`."""
        found = wait_for(lambda: self._queue(engine), seconds=60, what=f"the queue of {engine} is known")
        where = {"app": "shop", "engine": engine, "queue": found["name"], "environment": found["environment"]}
        made = self.post("/queues/actions", action=action, **where, **more)
        id = made["commands"][0]["id"]

        def look() -> Any:
            command = self.get(f"/commands/{id}")
            return command if command["status"] not in ("waiting", "sent", "accepted") else None

        command: dict[str, Any] = wait_for(look, seconds=60, what=f"{engine} answers {action}")
        assert command["status"] == "done", command
        return command

    def _queue(self, engine: str) -> Any:
        queues = self.get("/queues")["queues"]
        return next((row for row in queues if row["engine"] == engine and row["name"].endswith("orders")), None)
