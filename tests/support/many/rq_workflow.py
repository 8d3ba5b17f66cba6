# SPDX-License-Identifier: AGPL-3.0-or-later
"""Jobs that wait for others with RQ: `python -m … worker`, in its own process; `python -m … send` enqueues them once."""

from __future__ import annotations

import os
import sys

from redis import Redis
from rq import Queue, SimpleWorker
from rq.job import Job

import z4j_agent
import z4j_rq

z4j_rq.install(functions=["tests.support.many.rq_workflow.step"])


def step(word: str, fails: bool = False) -> str:
    if fails and not os.path.exists(os.environ["UNLOCK"]):
        raise ConnectionError(f"no answer for {word}")
    return word


def main() -> None:
    connection = Redis.from_url(os.environ["BROKER_URL"])
    if sys.argv[1] == "worker":
        SimpleWorker([Queue("orders", connection=connection)], connection=connection).work(logging_level="WARNING")
        return
    from tests.support.many import rq_workflow  # the producer reports the arguments of a function that it has imported

    queue = Queue("orders", connection=connection)

    def send(word: str, *, fails: bool = False, after: Job | None = None) -> Job:
        return queue.enqueue(rq_workflow.step, word, fails, depends_on=after)

    first = send("first")
    send("good", after=first)
    send("never", after=send("bad", fails=True, after=first))
    send("other", fails=True)
    agent = z4j_agent.current()
    assert agent is not None
    agent.flush(20.0)


if __name__ == "__main__":
    main()
