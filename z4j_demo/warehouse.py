# SPDX-License-Identifier: AGPL-3.0-or-later
"""The warehouse: a real Huey consumer on SQLite, and the application that enqueues for it. Its tasks are simulated work."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huey import SqliteHuey, crontab
from huey.consumer import Consumer

import z4j_agent
import z4j_huey
from z4j_demo.brief import read_brief
from z4j_demo.connect import set_environment

log = logging.getLogger("warehouse.tasks")
QUEUE = "warehouse"
EVERY_S = 5.0
"""Between two rounds of the producer."""
WORKERS = 2


def main(folder: Path) -> None:
    """Runs consumer and producer until SIGTERM, which ends the consumer in order. A restart that z4j requests replaces the process."""
    set_environment(read_brief(folder), QUEUE)
    log.setLevel(logging.INFO)
    log.addHandler(logging.NullHandler())  # without a handler Python writes warnings to the terminal of the demo
    huey = SqliteHuey(QUEUE, filename=str(folder / "huey.db"), fsync=False)
    tasks = register(huey)
    z4j_huey.install(huey)
    consumer = Consumer(huey, workers=WORKERS, worker_type="thread", scheduler_interval=1, check_worker_health=True)
    is_over = threading.Event()
    threading.Thread(target=_produce, args=(tasks, is_over), name="producer", daemon=True).start()
    try:
        consumer.run()
    finally:
        is_over.set()


def register(huey: Any) -> dict[str, Any]:
    """Declares the tasks of the story, under its names: `warehouse.<function>`."""
    made: dict[str, Any] = {}
    for function, options in (
        (warm_cache, {"retries": 1, "retry_delay": 5}), (print_label, {}), (count_stock, {}), (reorder, {"retries": 1, "retry_delay": 8}),
        (pack_order, {}),
    ):  # fmt: skip
        made[function.__name__] = huey.task(**options)(_of_warehouse(function))
    huey.periodic_task(crontab(minute="*"))(_of_warehouse(count_pallets))
    huey.periodic_task(crontab(hour="3", minute="15"))(_of_warehouse(close_day))
    return made


def _of_warehouse(function: Callable[..., Any]) -> Callable[..., Any]:
    function.__module__ = QUEUE  # Huey names a task after its module
    return function


def warm_cache(page: str) -> Any:
    """Loads a page into the cache; the cache does not always answer."""
    return _work(60, 240, 0.12, TimeoutError(f"cache-2 did not answer for {page}"), len(page))


def print_label(order: int) -> str:
    """Prints a label; an order whose number ends in 7 has no address."""
    _work(60, 260)
    log.info("the address of order %d is read from the database", order)
    if order % 10 == 7:
        log.warning("order %d has no address", order)
        raise ValueError(f"order {order} has no address")
    return f"label-{order}"


def count_stock(hall: str) -> Any:
    """Counts the stock of a hall."""
    return _work(200, 700, 0.0, None, 1_822)


def reorder(sku: str, pieces: int) -> bool:
    """Orders pieces from the supplier, who does not always answer."""
    z4j_agent.annotate(sku=sku)
    return bool(_work(100, 500, 0.15, TimeoutError(f"the supplier of {sku} did not answer within 30 s"), True))


def pack_order(order: int) -> str:
    """Takes its time, so that it can be seen running, and reports how far it is."""
    lines = 4 + order % 7
    z4j_agent.annotate(order=order, lines=lines)
    log.info("packing order %d with %d lines", order, lines)
    for packed in range(lines):
        z4j_agent.progress(packed, lines, "lines packed")
        log.info("line %d is packed from shelf B%d", packed + 1, 7 + packed)
        _work(900, 1_400)
    z4j_agent.progress(lines, lines, "lines packed")
    return f"packed {order}"


def count_pallets() -> Any:
    """Runs every minute."""
    return _work(20, 80, 0.0, None, 240)


def close_day() -> Any:
    """Runs every night."""
    return _work(20, 80, 0.0, None, 1)


def _work(low_ms: float, high_ms: float, rate: float = 0.0, error: Exception | None = None, result: Any = None) -> Any:
    time.sleep(random.uniform(low_ms, high_ms) / 1000)  # noqa: S311 -- simulated work
    if error is not None and random.random() < rate:  # noqa: S311
        raise error
    return result


def _produce(tasks: dict[str, Any], is_over: threading.Event) -> None:
    number = int.from_bytes(os.urandom(2), "big")
    while not is_over.wait(EVERY_S):
        number += 1
        tasks["warm_cache"](f"/products/{number % 90}")
        tasks["print_label"](number)
        if number % 3 == 0:
            tasks["reorder"](f"SKU-{number % 97:04}", 12)
        if number % 4 == 0:
            tasks["pack_order"](number)
        if number % 5 == 0:
            tasks["count_stock"].schedule(("hall-2",), delay=300)
        if number % 7 == 0:
            tasks["count_stock"]("hall-1")
