# SPDX-License-Identifier: AGPL-3.0-or-later
"""Orders with Celery: `celery -A tests.support.many.celery_side worker`; `python -m … QUEUE N` enqueues."""

from __future__ import annotations

import os
import sys

from celery import Celery

import z4j_agent
import z4j_celery
from tests.support.many.orders import execute

app = Celery("many", broker=os.environ["BROKER_URL"])
app.conf.update(task_default_queue="orders", broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
z4j_celery.install(app)


@app.task(name="celery_order")
def order(number: int) -> int:
    return execute("celery", number)


if __name__ == "__main__":
    for number in range(int(sys.argv[2])):
        order.apply_async((number,), queue=sys.argv[1])
    agent = z4j_agent.current()
    assert agent is not None
    agent.flush(20.0)
