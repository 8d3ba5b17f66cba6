# SPDX-License-Identifier: AGPL-3.0-or-later
"""`python -m bench.log_lines`: what a log line of a task costs with and without the handler of z4j, by the kind of line.

The same line is logged with and without the handler in turns, each time to a handler of the application that writes nothing. The cost is
the difference of two neighbours. A record is redacted and appended to a real spool.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.measure import percentile
from z4j_agent.capture import current_run, log_lines
from z4j_agent.spool.spool import Spool

TURNS: Final = 3_000
LINES: Final[dict[str, tuple[str, ...]]] = {
    "plain": (
        "Order 4711 was shipped to the customer in 3 parcels", "worker finished the import of the catalogue",
        "Retrying in 5 seconds because the mail host refused",
    ),
    "with a URL": (
        "GET https://api.example.com/v2/orders/4711?expand=items&limit=50 returned 200 in 0.31 s",
        "fetched https://shop.example/catalogue/shoes/42.html", "POST https://hooks.example.com/deliver/4711 answered 204",
        "connecting to https://s3.eu-central-1.amazonaws.com/invoices/2026/11/invoice-4711.pdf",
    ),
    "key=value": (
        "order=4711 customer=ann status=shipped took_ms=310",
        'level=info msg="order shipped" order_id=4711 total=12.50 currency=EUR', "user_id=42 action=login result=ok duration=0.120",
    ),
    "JSON": (
        '{"event": "order.shipped", "order": 4711, "customer": "ann", "parcels": [1, 2, 3]}',
        '{"level": "info", "logger": "shop.orders", "message": "order shipped", "took_ms": 310}',
        '{"id": "9b2f1c1e-5a52-4c0b-9f0e-0d6c3ffb0f11", "state": "done"}',
    ),
}  # fmt: skip


class Process:
    """What a run needs of an agent."""

    is_worker_child = False
    run = "boot.7"

    def __init__(self, folder: Path) -> None:
        self.settings = None
        self.spool = Spool(folder, lambda: b"\x1eO\n")

    def append(self, record: bytes) -> bool:
        return self.spool.append(record)


@contextmanager
def loggers() -> Iterator[tuple[logging.Logger, logging.Logger]]:
    """One with the handler of z4j and one without."""
    made = []
    for name in ("shop.orders", "shop.orderz"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
        made.append(logger)
    made[0].addHandler(log_lines.LogHandler())
    yield made[0], made[1]
    for logger in made:
        logger.handlers.clear()


def measure(process: Process, lines: tuple[str, ...], turns: int = TURNS) -> list[float]:
    """Microseconds that the handler adds to a line."""
    costs = []
    with loggers() as (on, off):
        for turn in range(turns):
            if turn % 50 == 0:  # before the limits of a run
                run = current_run.begin(process, "celery", f"task-{turn}", 0, 1_700_000_000_000_000, "shop.ship", "orders")
            if run.lines is not None:
                run.lines.in_second = 0
            line = lines[turn % len(lines)]
            took = []
            for logger in (off, on) if turn % 2 else (on, off):
                begun = time.perf_counter_ns()
                logger.info(line)
                took.append(time.perf_counter_ns() - begun)
            costs.append((took[1] - took[0] if turn % 2 else took[0] - took[1]) / 1_000)
            if turn % 50 == 49:
                current_run.end(run)
    return costs[turns // 10 :]


def main() -> None:
    """Prints the median and the 90th percentile of each kind of line."""
    with tempfile.TemporaryDirectory() as folder:
        process = Process(Path(folder) / "spool")
        print("kind of line   median µs   p90 µs")
        for kind, lines in LINES.items():
            costs = measure(process, lines)
            print(f"{kind:<14} {statistics.median(costs):>9.1f} {percentile(costs, 0.9):>8.1f}")
            for line in lines if len(lines) > 1 else ():
                of_line = measure(process, (line,), TURNS // 3)
                print(f"  {statistics.median(of_line):>21.1f} {percentile(of_line, 0.9):>8.1f}  {line[:70]}")


if __name__ == "__main__":
    main()
