# SPDX-License-Identifier: AGPL-3.0-or-later
"""One app that floods: `python -m tests.support.flood URL CONNECTIONS SECONDS [FIRST]` sends batches of tasks with invented names, as fast
as they are acked, over many connections, and lies about time: years and hours behind, minutes and years ahead. Prints how many names it
invented; they begin at FIRST."""

from __future__ import annotations

import sys
import threading
import time

from tests.support.wire_client import WireClient, life, now
from z4j_agent import wire

TASKS = 100
HOUR = 3_600_000_000
LIES = (0, -HOUR, -20 * 365 * 24 * HOUR, HOUR // 10, -9 * HOUR, 5 * 365 * 24 * HOUR, -40 * 24 * HOUR)
"""Added to the time of a batch. What is more than ten minutes ahead is refused."""


def flood(url: str, number: int, ends: float, sent: list[int], start: int) -> None:
    with WireClient(url) as client:
        acked, count = 0, 0
        while time.monotonic() < ends:
            at = now() + LIES[count // TASKS % len(LIES)]
            first = start + number * 10_000_000 + count
            seq = client.send(
                b"".join(
                    life(client.boot, first + n, at, name=f"made.up.{first + n}", queue=f"q{(first + n) % 5_000}") for n in range(TASKS)
                )
            )
            count += TASKS
            while seq - acked >= wire.WINDOW:
                frame = client.hear(60)
                acked = frame["seq"] if frame["type"] == "ack" else acked
        sent.append(count)


if __name__ == "__main__":
    done: list[int] = []
    start = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    until = time.monotonic() + float(sys.argv[3])
    threads = [threading.Thread(target=flood, args=(sys.argv[1], number, until, done, start)) for number in range(1, int(sys.argv[2]) + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sum(done))
