# SPDX-License-Identifier: Apache-2.0
"""Several Redis databases, several workers, one after the other or at once, in one process; and being stopped and installed again."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus

from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import Harness, wait_for
from z4j_agent.contract.adapter import Original, Refused
from z4j_rq.adapter import RqAdapter

APPS = Path(__file__).resolve().parents[1] / "apps"


class Two:
    """An adapter that has met a queue `work` in two databases of one Redis."""

    def __init__(self, port: int) -> None:
        self.adapter = RqAdapter()
        self.queues = [Queue("work", connection=Redis(port=port, db=database)) for database in (0, 1)]
        for queue in self.queues:
            self.adapter.state.known.meet_queue(queue)
        self.names = list(self.adapter.brokers())


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Harness]:
    made = Harness(tmp_path, "")
    yield made
    made.tear_down()


@pytest.fixture
def two(holder: Harness) -> Two:
    return Two(holder.start_valkey())


def original(broker: str) -> Original:
    return Original("first", "engine_app.succeed", "work", {"args": ["again"], "kwargs": {}}, broker)


def test_each_database_is_a_broker_of_its_own(two: Two) -> None:
    assert len(set(two.names)) == 2
    assert all(name.startswith("redis://localhost:") and "/" in name for name in two.names)
    depths = [queue.depth for queue in two.adapter.list_queues()]
    assert len(depths) == 2
    prints = list(two.adapter.brokers().values())
    assert all(prints), "each says what it is, so that another address of it is known for the same"
    assert prints[0] != prints[1]


@pytest.mark.parametrize("which", [0, 1])
def test_a_task_goes_back_to_the_database_it_came_from(two: Two, which: int) -> None:
    done = two.adapter.retry_task(original(two.names[which]), new_id=(id := str(uuid.uuid4())))
    assert done["task_id"] == id
    assert [Job.exists(id, connection=queue.connection) for queue in two.queues] == [which == 0, which == 1]


def test_an_original_that_names_none_is_refused_where_there_are_two(two: Two) -> None:
    with pytest.raises(Refused) as refused:
        two.adapter.retry_task(original(""), new_id=str(uuid.uuid4()))
    assert refused.value.check == "broker.unknown"
    assert [queue.count for queue in two.queues] == [0, 0]


def test_commands_look_only_into_the_broker_they_name(two: Two) -> None:
    job = two.queues[1].enqueue("engine_app.succeed", 1)
    with pytest.raises(Refused, match="has no such task"):
        two.adapter.of_broker(two.names[0]).cancel_task(job.id)
    assert two.adapter.of_broker(two.names[0]).lookup_task(job.id)["state"] == "unknown"
    assert two.adapter.of_broker(two.names[1]).lookup_task(job.id)["state"] == "queued"
    assert [task.task_id for task in two.adapter.of_broker(two.names[1]).peek_queue("work", "waiting", 5)] == [job.id]
    assert two.adapter.of_broker(two.names[0]).peek_queue("work", "waiting", 5) == []
    two.adapter.of_broker(two.names[1]).cancel_task(job.id)
    assert two.queues[1].count == 0


def test_one_id_in_two_databases_is_told_apart(two: Two) -> None:
    for queue in two.queues:
        queue.enqueue("engine_app.succeed", 1, job_id="nightly-report")
    with pytest.raises(Refused) as refused:
        two.adapter.cancel_task("nightly-report")
    assert refused.value.check == "broker.unknown"
    two.adapter.of_broker(two.names[0]).cancel_task("nightly-report")
    assert [queue.count for queue in two.queues] == [0, 1]


# -- jobs that wait for others -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("end", "word"), [("failed", "has failed"), ("canceled", "been canceled"), ("gone", "no longer exists"), ("", "the end of")]
)
def test_what_a_deferred_job_waits_for_is_said(two: Two, end: str, word: str) -> None:
    queue, view = two.queues[0], two.adapter.of_broker(two.names[0])
    first = queue.enqueue("engine_app.succeed", 1)
    second = queue.enqueue("engine_app.succeed", 2, depends_on=first)
    if end == "gone":
        first.delete()
    elif end:
        first.set_status(JobStatus(end))
    answer = view.lookup_task(second.id)
    assert answer["state"] == "queued"
    assert word in answer["engine_state"]
    assert ("will not run unless" in answer["engine_state"]) == bool(end)
    assert first.id in answer["engine_state"]
    for action, *given in ((view.move_task, "work"), (view.prioritise_task, "next")):
        with pytest.raises(Refused, match=word):
            action(second.id, *given)
    assert view.cancel_task(second.id)


# -- workers of one process ----------------------------------------------------------------------------------------------
WORKERS = """
import json, os, sys, threading, time
from redis import Redis
from rq import Queue, SimpleWorker
from rq.timeouts import TimerDeathPenalty
import z4j_rq, z4j_agent
z4j_rq.install()

class Threaded(SimpleWorker):
    death_penalty_class = TimerDeathPenalty  # a signal needs the main thread: in another one each job would fail before it ran
    def _install_signal_handlers(self): pass

connection = Redis.from_url(os.environ["BROKER_URL"])
def burst(queue, name=None):
    worker = Threaded([Queue(queue, connection=connection)], connection=connection, name=name)
    began = time.monotonic()
    worker.work(burst=True)
    return time.monotonic() - began
"""
ONE_AFTER_ANOTHER = """
sent = []
took = 0
for number in range(5):
    sent.append(Queue("work", connection=connection).enqueue("time.sleep", 0).id)
    took += burst("work", f"worker-{number}")
    time.sleep(float(sys.argv[1]))
print(json.dumps([took, sent]))
"""
AT_ONCE = """
sent = [Queue(name, connection=connection).enqueue("time.sleep", 2).id for name in ("one", "two")]
threads = [threading.Thread(target=burst, args=(name, f"worker-{name}")) for name in ("one", "two")]
[thread.start() for thread in threads]
(adapter,) = z4j_agent.current().adapters
ends = time.monotonic() + 20
while len(adapter.list_running()) < 2 and time.monotonic() < ends:
    time.sleep(0.02)
seen = adapter.worker()
is_both = sorted(task.task_id for task in adapter.list_running()) == sorted(sent)
[thread.join() for thread in threads]
assert adapter.worker() is None
print(json.dumps([is_both, seen.concurrency, sorted(seen.queues), seen.notes]))
"""
AGAIN = """
import rq.job
before = vars(Queue)["_enqueue_job"]
z4j_agent.stop()
assert vars(Queue)["_enqueue_job"] is not before
plain = vars(Queue)["_enqueue_job"]
z4j_rq.install()
ours = vars(Queue)["_enqueue_job"]
assert ours is not plain
import functools
@functools.wraps(ours)
def theirs(*args, **kwargs):
    return ours(*args, **kwargs)
Queue._enqueue_job = theirs
z4j_rq.uninstall()
assert vars(Queue)["_enqueue_job"] is theirs
silent = Queue("work", connection=connection).enqueue("time.sleep", 0).id
z4j_rq.install()
told = Queue("work", connection=connection).enqueue("time.sleep", 0).id
time.sleep(0.5)
z4j_agent.current().flush(5)
print(json.dumps([silent, told]))
"""


def run(holder: Harness, script: str, *args: str, url: str) -> Any:
    port = holder.start_valkey()
    environment = {**holder.environment(), "BROKER_URL": f"redis://127.0.0.1:{port}/0"}
    environment = {name: value for name, value in environment.items() if name != "Z4J_URL"} | ({"Z4J_URL": url} if url else {})
    command = [sys.executable, "-c", textwrap.dedent(WORKERS + script), *args]
    done = subprocess.run(command, env=environment, cwd=holder.folder, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    made.start()
    yield made
    made.stop()


def test_a_worker_s_end_waits_for_nothing(holder: Harness, gateway: Gateway) -> None:
    """Also where no server listens. Each end took a second and more when what was reported was waited for there."""
    gateway.stop()
    plain, _ = run(holder, ONE_AFTER_ANOTHER, "0", url="")
    watched, _ = run(holder, ONE_AFTER_ANOTHER, "0", url=gateway.url)
    assert watched - plain < 3


def test_workers_one_after_another_are_reported_each_under_its_name(holder: Harness, gateway: Gateway) -> None:
    _, sent = run(holder, ONE_AFTER_ANOTHER, "0.7", url=gateway.url)
    for task_id in sent:
        wait_for(lambda task_id=task_id: [r for r in gateway.records(task_id) if r.kind == "succeeded"], "its end is reported")
    names = [link.hello["worker"] for link in gateway.links if link.hello["role"] == "worker"]
    assert len(set(names)) >= 3
    assert set(names) <= {f"worker-{number}" for number in range(5)}
    origins = {fields[1]: fields[3]["worker"] for fields in gateway.decoded() if fields[0] == "origin"}
    for number, task_id in enumerate(sent):  # what was not acknowledged before a new connection is sent twice
        assert {origins[record.boot] for record in gateway.records(task_id) if record.kind == "succeeded"} == {f"worker-{number}"}


def test_two_workers_in_threads_are_both_seen(holder: Harness, gateway: Gateway) -> None:
    is_both, concurrency, queues, notes = run(holder, AT_ONCE, url=gateway.url)
    assert (is_both, concurrency, queues) == (True, 2, ["one", "two"])
    assert all(name in notes[0] for name in ("worker-one", "worker-two"))


def test_it_can_be_stopped_and_installed_again_beside_another_library(holder: Harness, gateway: Gateway) -> None:
    silent, task_id = run(holder, AGAIN, url=gateway.url)
    wait_for(lambda: gateway.records(task_id), "it is reported")
    assert len([record for record in gateway.records(task_id) if record.kind == "enqueued"]) == 1
    assert gateway.records(silent) == []
