# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="untyped-decorator"
"""Tasks whose end no signal of Celery's reports. `serve` reads names of `SENDS` as JSON and answers with ids."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from celery import Celery, Task, chain, chord, group
from celery.exceptions import Ignore
from celery_batches import Batches

import z4j_celery

app = Celery("ends", broker=os.environ["BROKER_URL"], backend=os.environ["RESULTS_URL"])
app.conf.update(task_default_queue="work", worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)
app.conf.result_backend_transport_options = {"retry_policy": {"max_retries": 1, "interval_start": 0.1}}
z4j_celery.install(app)


@app.task
def ok(value: int = 1) -> int:
    return value


@app.task
def boom() -> None:
    try:
        raise LookupError("an inner one")
    except LookupError:
        raise ValueError("real reason")  # noqa: B904


@app.task(bind=True, max_retries=1)
def again(self: Task) -> None:
    raise self.retry(exc=OSError("net"), countdown=0.2)


@app.task(time_limit=1)
def slow() -> None:
    time.sleep(30)


@app.task(bind=True)
def by_hand(self: Task) -> None:
    self.backend.mark_as_failure(self.request.id, ValueError("quota"))
    raise Ignore


@app.task
def body(results: list[int]) -> int:
    return sum(results)


@app.task(base=Batches, flush_every=3, flush_interval=30)
def count(requests: list[Any]) -> None:
    app.backend.mark_as_done(requests[0].id, "counted", request=requests[0])
    app.backend.mark_as_failure(requests[1].id, KeyError("no row"), request=requests[1], call_errbacks=False)


@app.task(base=Batches, flush_every=3, flush_interval=1)
def bad(requests: list[Any]) -> None:
    raise ValueError("db down")


@app.task(base=Batches, flush_every=1, flush_interval=1)
def long_batch(requests: list[Any]) -> None:
    time.sleep(8)


def ids(result: Any) -> list[str]:
    return [] if result is None else [*ids(result.parent), str(result.id)]


def in_chord(then: Any) -> list[str]:
    """The ids of the body, or of its tasks where it is a group, behind those of the member that succeeds and of the one that fails."""
    sent = chord([ok.s(), boom.s()])(then)
    tasks = sent.results if hasattr(sent, "results") and sent.results else [sent]
    return [*(str(member.id) for member in sent.parent.results), *(str(task.id) for task in tasks)]


def eager() -> list[str]:
    app.conf.update(task_always_eager=True, task_eager_propagates=True, task_store_eager_result=False)
    try:
        boom.apply_async(task_id="eager-boom")
    except ValueError:
        return ["eager-boom"]
    finally:
        app.conf.update(task_always_eager=False)
    raise AssertionError("it does not propagate")


SENDS: dict[str, Callable[[], list[str]]] = {
    "unknown": lambda: [app.send_task("ends_app.nowhere").id],
    "boom": lambda: [boom.apply_async(ignore_result=False).id],
    "again": lambda: [again.delay().id],
    "ok": lambda: [ok.delay().id],
    "slow": lambda: [slow.delay().id],
    "by_hand": lambda: [by_hand.delay().id],
    "expired": lambda: [ok.apply_async(expires=-5).id],
    "chord": lambda: in_chord(body.s()),
    "chord of a group": lambda: in_chord(group(body.s(), body.s())),
    "chain": lambda: ids(chain(boom.si(), ok.si(1), ok.si(2)).delay()),
    "count": lambda: [count.delay(click).id for click in range(3)],
    "bad": lambda: [bad.delay(click).id for click in range(3)],
    "long_batch": lambda: [long_batch.delay(1).id],
    "eager": eager,
}


def serve() -> None:
    for line in sys.stdin:
        print(json.dumps(SENDS[json.loads(line)]()), flush=True)
