# SPDX-License-Identifier: AGPL-3.0-or-later
"""One app that floods: `python -m tests.support.flood URL CONNECTIONS SECONDS` sends batches of tasks with invented names, as fast as
they are acked, over many connections. Prints how many names it invented."""

from __future__ import annotations

import sys
import threading
import time

from tests.support.wire_client import WireClient, life, now
from z4j_agent import wire

TASKS = 100


def flood(url: str, number: int, ends: float, sent: list[int]) -> None:
    with WireClient(url) as client:
        acked, count = 0, 0
        while time.monotonic() < ends:
            at = now() - (count % 9) * 3_600_000_000  # and it lies about time
            first = number * 10_000_000 + count
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
    until = time.monotonic() + float(sys.argv[3])
    threads = [threading.Thread(target=flood, args=(sys.argv[1], number, until, done)) for number in range(1, int(sys.argv[2]) + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sum(done))
