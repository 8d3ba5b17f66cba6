# SPDX-License-Identifier: Apache-2.0
"""A job that has ended is not stopped while its work horse still exits: RQ would store it as stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue, Worker
from rq.job import JobStatus

from z4j_agent.conformance.harness import Harness
from z4j_agent.contract.adapter import Refused
from z4j_rq.adapter import RqAdapter
from z4j_rq.job_hooks.outcomes import RunningJob


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    made = Harness(tmp_path, "")
    yield made.start_valkey()
    made.tear_down()


@pytest.mark.parametrize(("status", "is_stopped"), [(JobStatus.STARTED, True), (JobStatus.FINISHED, False), (JobStatus.FAILED, False)])
def test_what_has_ended_is_not_stopped(port: int, status: JobStatus, is_stopped: bool) -> None:
    queue = Queue("work", connection=Redis(port=port))
    job = queue.enqueue("engine_app.succeed", 1)
    job.set_status(status)
    worker, adapter = Worker([queue], connection=queue.connection), RqAdapter()
    adapter.state.alive[id(worker)] = worker
    adapter.state.hands.take(worker, RunningJob(job.id, 0, job.func_name, "work", 1, 2, pid=7))
    received = queue.connection.pubsub()
    received.subscribe(f"rq:pubsub:{worker.name}")
    assert received.get_message(timeout=5) is not None
    if is_stopped:
        adapter.terminate_task(job.id)
    else:
        with pytest.raises(Refused, match="just ended"):
            adapter.terminate_task(job.id)
    assert (received.get_message(timeout=1) is not None) is is_stopped
    received.close()
