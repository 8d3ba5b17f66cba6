# SPDX-License-Identifier: Apache-2.0
"""Arguments of tasks whose producer is not watched: the process that runs a task reports them before its function is called."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.app.task import Context
from test_conformance import CeleryHarness

from z4j_agent.capture.originals import open_original
from z4j_agent.conformance.gateway import SEAL_KEY, Gateway, Record
from z4j_agent.conformance.harness import wait_for
from z4j_agent.settings import SealKey
from z4j_celery import originals

PLAIN = '[[1], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'


class Unwatched(CeleryHarness):
    pool = ("--pool", "prefork", "--concurrency", "1")
    gateway: Gateway


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Unwatched]:
    gateway = Gateway()
    gateway.start()
    made = Unwatched(tmp_path, gateway.url)
    made.gateway = gateway
    try:
        made.set_up()
        yield made
    finally:
        made.tear_down()
        gateway.stop()


def start(harness: Unwatched) -> int:
    """Starts a watched worker; what is enqueued from here on is not watched. Returns its main process."""
    worker = harness.start_worker()
    wait_for(harness.gateway.open_links, "the worker is connected")
    harness.url = ""
    return worker.pid


def one(harness: Unwatched, task_id: str, kind: str) -> Record:
    records = harness.gateway.records
    return wait_for(lambda: [each for each in records(task_id) if each.kind == kind], f"{kind} of {task_id}")[0]


def body_of(record: Record) -> str:
    blob = base64.b64decode(record.rest["original"][1])
    opened = open_original(blob, "celery", record.task_id, "test", key_id=None, keys=(SealKey.parse(SEAL_KEY),))
    assert opened.binding is not None
    assert (opened.binding.name, opened.binding.queue) == (record.name, "work")
    return str(opened.data["body"])


def test_the_child_reports_them(harness: Unwatched) -> None:
    main = start(harness)
    task_id = harness.enqueue("succeed", 17)
    payload, started = one(harness, task_id, "payload"), one(harness, task_id, "started")
    assert payload.run == started.run != f"{payload.boot}.{main}"
    assert (payload.rest["rank"], payload.rest["args"], payload.rest["original_state"]) == (1, "[17]", "plain")
    assert body_of(payload) == PLAIN.replace("[1]", "[17]")


def test_those_of_a_task_that_waits_are_reported_by_the_main_process(harness: Unwatched) -> None:
    main = start(harness)
    harness.enqueue("wait", 8)
    waits, delayed = harness.enqueue("succeed", 18), harness.enqueue("succeed", 19, delay_s=60)
    for task_id, args in ((waits, "[18]"), (delayed, "[19]")):
        payload = one(harness, task_id, "payload")
        assert (payload.run, payload.rest["args"]) == (f"{payload.boot}.{main}", args)
        assert not [each for each in harness.gateway.records(task_id) if each.kind == "started"]


def test_they_survive_the_worker(harness: Unwatched) -> None:
    """They are in the spool before the function is called, and nothing of a killed worker is needed to send them."""
    reachable, harness.url = harness.url, harness.url.rpartition(":")[0] + ":9"
    main = harness.start_worker().pid
    harness.url = ""
    task_id = harness.enqueue("wait", 30)

    def spooled() -> bytes:
        return b"".join(path.read_bytes() for path in harness.spool.rglob("*.seg"))

    wait_for(lambda: b'"started","celery","' + task_id.encode() in spooled(), "it runs", seconds=30)
    assert b'"payload","celery","' + task_id.encode() in spooled()
    os.killpg(main, signal.SIGKILL)
    harness.url = reachable
    harness.start_worker()
    assert one(harness, task_id, "payload").rest["args"] == "[30]"


def context(body: str, **more: Any) -> Context:
    """`Task.request` as `fast_trace_task` and the tracer make it."""
    args, kwargs, embed = json.loads(body)
    request = {"lang": "py", "id": "t", "timelimit": [None, None], "args": args, "kwargs": kwargs, "delivery_info": {}, **more}
    request.update({"args": args, "kwargs": kwargs, "hostname": "w", "is_eager": False}, **embed)
    return Context(request, args=args, called_directly=False, kwargs=kwargs)


@pytest.mark.parametrize("more", [{}, {"timelimit": [5, 3]}, {"x-mine": 1, "headers": None}])
def test_the_mark_of_a_watched_producer_is_seen_where_the_task_runs(more: dict[str, Any]) -> None:
    body: Any = json.loads(PLAIN)
    assert not originals.is_reported_run(context(PLAIN, **more))
    originals.mark_reported(body)
    marked = json.dumps(body)
    assert originals.is_reported(marked)
    assert originals.is_reported_run(context(marked, **more))
    assert not originals.is_reported_run(Context({"id": "t"}))
