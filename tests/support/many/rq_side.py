# SPDX-License-Identifier: AGPL-3.0-or-later
"""Orders with RQ: `python -m … worker`, in its own process, for a fork per task would take minutes; `python -m … QUEUE N` enqueues."""

from __future__ import annotations

import os
import sys

from redis import Redis
from rq import Queue, SimpleWorker

import z4j_agent
import z4j_rq
from tests.support.many.orders import execute

z4j_rq.install(functions=["tests.support.many.rq_side.rq_order"])


def rq_order(number: int) -> int:
    return execute("rq", number)


def main() -> None:
    connection = Redis.from_url(os.environ["BROKER_URL"])
    if sys.argv[1] == "worker":
        SimpleWorker([Queue("orders", connection=connection)], connection=connection).work(logging_level="WARNING")
        return
    queue = Queue(sys.argv[1], connection=connection)
    for number in range(int(sys.argv[2])):
        queue.enqueue("tests.support.many.rq_side.rq_order", number)
    agent = z4j_agent.current()
    assert agent is not None
    agent.flush(20.0)


if __name__ == "__main__":
    main()
