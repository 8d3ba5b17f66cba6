# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="untyped-decorator"
"""An application whose queues are bound to a topic exchange. `serve` reads names of tasks as JSON and answers with ids."""

from __future__ import annotations

import json
import os
import sys

from celery import Celery
from kombu import Exchange, Queue

import z4j_celery

app = Celery("topic", broker=os.environ.get("BROKER_URL", "memory://"))
tasks = Exchange("tasks", type="topic")
app.conf.update(
    task_default_queue="default",
    task_default_exchange="tasks",
    task_default_exchange_type="topic",
    task_default_routing_key="task.default",
    task_queues=(Queue("default", tasks, routing_key="task.#"), Queue("feed_tasks", tasks, routing_key="feed.#")),
    task_routes={"topic_app.import_feed": {"exchange": "tasks", "routing_key": "feed.import"}},
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)
if "BROKER_URL" in os.environ:
    z4j_celery.install(app)


@app.task
def add(left: int, right: int) -> int:
    return left + right


@app.task
def import_feed(url: str) -> str:
    return url


def serve() -> None:
    for line in sys.stdin:
        sent = add.delay(1, 2) if json.loads(line) == "add" else import_feed.delay("u")
        print(sent.id, flush=True)
