# SPDX-License-Identifier: AGPL-3.0-or-later
"""A chain and a group with Celery: `celery -A tests.support.many.celery_workflow worker`; `python -m …` enqueues them once."""

from __future__ import annotations

import os

from celery import Celery, chain, group

import z4j_agent
import z4j_celery

app = Celery("workflow", broker=os.environ["BROKER_URL"])
app.conf.update(task_default_queue="orders", broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
z4j_celery.install(app)


@app.task(name="step")
def step(word: str, *, fails: bool = False) -> str:
    if fails and not os.path.exists(os.environ["UNLOCK"]):
        raise ConnectionError(f"no answer for {word}")
    return word


if __name__ == "__main__":
    bad = [step.si("group 1", fails=True), step.si("group 3", fails=True)]
    members = group(step.si("group 0"), bad[0], step.si("group 2"), bad[1])
    chain(step.si("first"), members).apply_async()
    group(step.si("alone 0"), step.si("alone 1", fails=True)).apply_async()
    chain(step.si("begin"), step.si("middle", fails=True), step.si("never")).apply_async()
    agent = z4j_agent.current()
    assert agent is not None
    agent.flush(20.0)
