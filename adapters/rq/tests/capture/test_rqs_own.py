# SPDX-License-Identifier: Apache-2.0
"""What is RQ's alone: dependencies, schedules, repeats, jobs of strangers, horses without a worker, and jobs nobody ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import rq.exceptions
import rq.worker
from redis import Redis
from rq import Queue, Retry
from rq.job import Job
from rq.version import VERSION

from z4j_agent.conformance.gateway import Gateway, Link, Record
from z4j_agent.conformance.harness import Harness, wait_for

RQ = tuple(int(part) for part in VERSION.split(".")[:2])
IS_KILLED_TOO = RQ < (2, 2)
"""RQ 2.0 and 2.1 subtract a time without a zone from one that has it when a job's second horse is killed, and the worker ends."""
IS_SPAWNING = hasattr(rq.worker, "SpawnWorker") and (RQ >= (2, 12) or redis.__version__ < "8")
"""Before 2.12 RQ writes the connection's arguments into the horse's program as they print, which those of redis-py 8 cannot be."""
APPS = Path(__file__).resolve().parents[1] / "apps"
ENDS = ("succeeded", "failed", "cancelled", "expired", "rejected", "lost", "retried")
OF_JSON = ("-S", "rq.serializers.JSONSerializer", "-j", "own_app.OwnJob")


class Shop(Harness):
    """The application `own_app.py` in a folder of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.switches = {"PYTHONPATH": str(APPS)}
        port = self.start_valkey()
        self.broker_url = f"redis://127.0.0.1:{port}/0"
        self.switches["BROKER_URL"] = self.broker_url
        self.redis = Redis(port=port)

    def environment(self) -> dict[str, str]:
        return super().environment() | self.switches

    def start_worker(self, *options: str, command: str = "worker", count: int = 1) -> subprocess.Popen[bytes]:
        before = self.log("worker").count("Listening on")
        rq = [sys.executable, "-m", "rq.cli", command, "-c", "own_app", "--url", self.broker_url, *options, "work"]
        worker = self.start("worker", rq, cwd=self.folder)

        def is_ready() -> bool:
            assert worker.poll() is None, self.log("worker")[-3000:]
            return self.log("worker").count("Listening on") >= before + count

        wait_for(is_ready, "the worker is ready", seconds=30)
        return worker

    def tear_down(self) -> None:
        self.redis.close()
        super().tear_down()

    def request(self, *line: Any) -> Any:
        return json.loads(self.ask_producer([sys.executable, APPS / "own_app.py"], line))

    def send(self, name: str, *args: Any, **options: Any) -> str:
        return str(self.request("send", name, args, options))


@dataclass
class Scene:
    gateway: Gateway
    shop: Shop

    def records(self, task_id: str, *kinds: str) -> list[Record]:
        return [record for record in self.gateway.records(task_id) if not kinds or record.kind in kinds]

    def one(self, task_id: str, kind: str, attempt: int = 0) -> Record:
        return wait_for(lambda: [r for r in self.records(task_id, kind) if r.attempt == attempt], f"{kind} of {task_id}")[0]

    def end(self, task_id: str, attempt: int = 0) -> Record:
        return wait_for(lambda: [r for r in self.records(task_id, *ENDS) if r.attempt == attempt], f"the end of {task_id}")[-1]

    def ends(self, task_id: str, attempt: int = 0) -> tuple[str, str]:
        """(kind, reason)."""
        end = self.end(task_id, attempt)
        return end.kind, end.rest.get("reason", "")

    def workers(self) -> list[Link]:
        return [link for link in self.gateway.open_links() if link.hello["role"] == "worker"]

    def retry(self, task_id: str) -> tuple[str, str]:
        """(new id, status)."""
        payload, new_id = self.one(task_id, "payload"), str(uuid.uuid4())
        key_id, blob = payload.rest["original"]
        params = {"task_id": task_id, "new_id": new_id, "name": payload.name, "queue": payload.queue, "original": blob, "key_id": key_id}
        command_id = self.gateway.ask(wait_for(self.workers, "a worker")[-1], "retry_task", "rq", params)
        return new_id, wait_for(lambda: [answer for answer in self.gateway.answers(command_id) if answer[0] != "accepted"], "an answer")[0][
            0
        ]


@contextlib.contextmanager
def make_scene(folder: Path) -> Iterator[Scene]:
    gateway = Gateway()
    gateway.start()
    shop = Shop(folder, gateway.url)
    try:
        yield Scene(gateway, shop)
    finally:
        shop.tear_down()
        gateway.stop()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One worker that forks, with its scheduler process."""
    with make_scene(tmp_path_factory.mktemp("rq")) as made:
        made.shop.start_worker("--with-scheduler")
        yield made


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Scene]:
    """No worker yet."""
    with make_scene(tmp_path) as made:
        yield made


# -- enqueueing ----------------------------------------------------------------------------------------------------------
def test_a_job_that_waits_for_another_is_told_when_it_is_sent(scene: Scene) -> None:
    first = scene.shop.send("wait", 0.5)
    second = scene.shop.send("succeed", "then", depends_on=first)
    sent = scene.one(second, "enqueued")
    assert sent.meta["code"].startswith("__main__:")
    assert (sent.meta["reason"], sent.meta["depends_on"]) == ("blocked", [first])
    assert sent.at < scene.end(first).at
    assert scene.end(second).rest["result"] == '"then"'
    assert {record.attempt for record in scene.records(second)} == {0}
    assert [record.pid for record in scene.records(second, "enqueued")] == [sent.pid, scene.one(first, "started").pid]
    assert "reason" not in scene.records(second, "enqueued")[1].meta


def test_a_job_says_what_it_depended_on_where_that_has_already_ended(scene: Scene) -> None:
    first = scene.shop.send("succeed", "first")
    assert scene.end(first).kind == "succeeded"
    second = scene.shop.send("succeed", "then", depends_on=first)
    assert scene.one(second, "enqueued").meta["depends_on"] == [first]
    assert "reason" not in scene.one(second, "enqueued").meta
    assert "depends_on" not in scene.one(first, "enqueued").meta


def test_many_jobs_at_once_are_all_told(scene: Scene) -> None:
    first = scene.shop.send("wait", 0.5)
    free, bound = scene.shop.request("many", first)
    assert scene.one(bound, "enqueued").at < scene.end(first).at
    assert [scene.end(task_id).rest["result"] for task_id in (free, bound)] == ['"many"', '"after"']
    assert {record.attempt for record in scene.records(bound)} == {0}


def test_runs_of_rq_scheduler_are_numbered_one_by_one(scene: Scene) -> None:
    """RQ comes to an enqueue by two methods of its own, and it counts once."""
    task_id = scene.shop.request("scheduled_runs", 3)
    for attempt in range(3):
        assert scene.one(task_id, "started", attempt).attempt == attempt
    assert sorted({record.attempt for record in scene.records(task_id)}) == [0, 1, 2]


def test_the_scheduler_s_process_enqueues_what_is_due(scene: Scene) -> None:
    task_id = scene.shop.send("succeed", "later", delay_s=1)
    assert scene.one(task_id, "enqueued").rest["eta"] is not None
    assert scene.end(task_id).kind == "succeeded"
    assert [record.rest["eta"] is None for record in scene.records(task_id, "enqueued")] == [False, True]
    assert {record.attempt for record in scene.records(task_id)} == {0}


@pytest.mark.skipif(not hasattr(rq, "Repeat"), reason="this RQ does not repeat")
def test_every_run_of_a_repeated_job_is_an_attempt(scene: Scene) -> None:
    task_id = scene.shop.send("succeed", "again", repeat={"times": 2, "interval": 0})
    assert [scene.ends(task_id, attempt) for attempt in (0, 1, 2)] == [("succeeded", "")] * 3
    wait_for(lambda: scene.records(task_id, "payload"), "its arguments are told, by another process than its ends")
    assert len(scene.records(task_id, "payload")) == 1


@pytest.mark.skipif(not hasattr(rq.exceptions, "DuplicateJobError"), reason="this RQ knows no unique jobs")
def test_a_second_job_of_an_id_that_must_be_unique_is_not_told(scene: Scene) -> None:
    task_id = uuid.uuid4().hex
    scene.shop.send("succeed", 1, job_id=task_id, unique=True)
    assert scene.end(task_id).rest["result"] == "1"
    assert scene.shop.request("twice", task_id) == "DuplicateJobError"
    scene.end(scene.shop.send("succeed", "something later"))
    assert len(scene.records(task_id, "enqueued")) == 1


def test_a_pipeline_that_is_never_executed_has_sent_nothing(scene: Scene) -> None:
    task_id, waiting = scene.shop.request("unfinished")
    assert waiting == "0"
    assert scene.one(task_id, "enqueued").queue == "nowhere"


@pytest.mark.skipif(RQ < (3, 0), reason="RQ 2 knows no rate limits")
def test_jobs_held_back_by_a_rate_limit_are_told_when_they_are_sent(scene: Scene) -> None:
    made = scene.shop.request("limited", 3)
    assert [len(wait_for(lambda task_id=task_id: scene.records(task_id, "enqueued"), "it is reported")) for task_id in made] == [1, 1, 1]
    assert [scene.ends(task_id) for task_id in made] == [("succeeded", "")] * 3


def test_a_queue_without_workers_runs_its_tasks_in_place(scene: Scene) -> None:
    task_id, bad = scene.shop.send("succeed", "here", is_eager=True), scene.shop.send("fail", "there", is_eager=True)
    assert scene.end(task_id).rest["result"] == '"here"'
    assert scene.one(task_id, "started").meta["eager"] is True
    assert scene.end(task_id).pid == scene.one(task_id, "enqueued").pid
    assert not scene.records(task_id, "received")
    end = scene.end(bad)
    assert (end.kind, end.rest["error_type"], end.rest["error"]) == ("failed", "ValueError", "there")


# -- ends ----------------------------------------------------------------------------------------------------------------
def test_a_job_whose_result_is_not_kept_is_reported(scene: Scene) -> None:
    assert scene.end(scene.shop.send("succeed", "unkept", result_ttl=0)).rest["result"] == '"unkept"'


def test_a_task_that_leaves_politely_has_failed(scene: Scene) -> None:
    end = scene.end(scene.shop.send("own_app.leave_politely"))
    assert (end.kind, end.rest["error_type"]) == ("failed", "SystemExit")


@pytest.mark.skipif(IS_KILLED_TOO, reason="the worker ends itself, also without us")
def test_a_killed_horse_s_task_is_tried_again(scene: Scene) -> None:
    task_id = scene.shop.send("crash", retry={"max": 1})
    assert scene.ends(task_id) == ("retried", "child_killed")
    assert scene.ends(task_id, 1) == ("lost", "child_killed")
    assert "signal 9" in scene.end(task_id).rest["error"]
    assert scene.end(task_id).pid == scene.one(task_id, "started").pid


def test_a_cancelled_job_never_ran(scene: Scene) -> None:
    task_id = scene.shop.send("succeed", 1, delay_s=60)
    assert scene.shop.request("cancel_twice", task_id)
    assert scene.ends(task_id) == ("cancelled", "revoked")
    assert len(scene.records(task_id, "cancelled")) == 1


def test_a_cancelled_job_can_be_put_back(scene: Scene) -> None:
    task_id = scene.shop.send("succeed", "back", delay_s=60)
    scene.shop.request("operate", task_id, "cancel")
    scene.shop.request("operate", task_id, "restore")
    assert scene.end(task_id, 1).rest["result"] == '"back"'


def test_a_deleted_job_never_ran(scene: Scene) -> None:
    task_id = scene.shop.send("succeed", 1, delay_s=60)
    assert scene.shop.request("operate", task_id, "delete") == "gone"
    assert scene.ends(task_id) == ("cancelled", "deleted")


def test_deleting_what_has_ended_is_no_end(scene: Scene) -> None:
    task_id = scene.shop.send("succeed", 1)
    scene.end(task_id)
    wait_for(lambda: Queue("work", connection=scene.shop.redis).finished_job_registry.get_job_ids().count(task_id), "RQ has kept it")
    scene.shop.request("operate", task_id, "delete")
    scene.end(scene.shop.send("succeed", "something later"))
    assert not scene.records(task_id, "cancelled")


def test_a_requeued_job_is_at_its_next_attempt(scene: Scene) -> None:
    task_id = scene.shop.send("fail", "twice")
    assert scene.ends(task_id) == ("failed", "")
    wait_for(lambda: Queue("work", connection=scene.shop.redis).failed_job_registry.get_job_ids().count(task_id), "RQ has kept it")
    scene.shop.request("operate", task_id, "requeue")
    assert scene.ends(task_id, 1) == ("failed", "")
    kinds = ("enqueued", "received", "started", "failed")  # by processes of their own: what each tells may come later than the end
    wait_for(
        lambda: sorted(record.attempt for record in scene.records(task_id, *kinds)) == [0, 0, 0, 0, 1, 1, 1, 1], "all of both attempts"
    )


def test_rq_s_own_stop_command_is_told(scene: Scene) -> None:
    task_id = scene.shop.send("wait", 30)
    scene.one(task_id, "started")
    scene.shop.request("stop", task_id)
    assert scene.ends(task_id) == ("cancelled", "stopped")


def test_a_job_whose_ttl_was_over_has_expired(fresh: Scene) -> None:
    task_id = fresh.shop.send("succeed", 1, ttl=1)
    assert fresh.one(task_id, "enqueued").meta["expires"] > fresh.one(task_id, "enqueued").at
    time.sleep(1.2)
    fresh.shop.start_worker()
    end = fresh.end(task_id)
    assert (end.kind, end.queue) == ("expired", "work")
    assert not fresh.records(task_id, "received")


# -- jobs of strangers ---------------------------------------------------------------------------------------------------
def test_a_stranger_s_task_has_its_arguments_from_the_worker(scene: Scene) -> None:
    secret = f"hunter-{uuid.uuid4().hex}"
    task_id = Queue("work", connection=scene.shop.redis).enqueue("engine_app.secret", "eve", secret).id
    assert scene.end(task_id).kind == "succeeded"
    payload = scene.one(task_id, "payload")
    assert (payload.rest["rank"], payload.rest["original_state"]) == (1, "sealed")
    assert "eve" in payload.rest["args"]
    assert secret.encode() not in b"".join(scene.gateway.raw)
    new_id, status = scene.retry(task_id)
    assert status == "done"
    assert scene.end(new_id).rest["result"] == scene.end(task_id).rest["result"]


def test_a_stranger_s_retries_are_counted(scene: Scene) -> None:
    queue = Queue("work", connection=scene.shop.redis)
    raised = queue.enqueue("engine_app.retry", retry=Retry(max=1)).id
    assert [scene.ends(raised, attempt) for attempt in (0, 1)] == [("retried", ""), ("succeeded", "")]
    if RQ < (2, 1):
        return  # a task that returns Retry has just returned something there
    returned = queue.enqueue("engine_app.again").id
    assert [scene.ends(returned, attempt) for attempt in (0, 1)] == [("retried", "returned"), ("succeeded", "")]


def test_the_arguments_of_what_nobody_knows_are_not_shown(scene: Scene) -> None:
    secret = f"hunter-{uuid.uuid4().hex}"
    task_id = Queue("work", connection=scene.shop.redis).enqueue("engine_app.nothing", secret).id
    assert scene.ends(task_id) == ("rejected", "unknown_task")
    assert secret.encode() not in b"".join(scene.gateway.raw)


def test_a_job_that_cannot_be_read_is_rejected(scene: Scene) -> None:
    queue = Queue("work", connection=scene.shop.redis)
    job = queue.create_job("engine_app.succeed", args=(1,))
    job.save()
    scene.shop.redis.hset(job.key, "data", b"no pickle at all")
    scene.shop.redis.rpush(queue.key, job.id)
    assert scene.ends(job.id) == ("rejected", "malformed")


def test_a_serialiser_and_a_job_class_of_the_application_s(fresh: Scene) -> None:
    fresh.shop.switches["ENGINE_SERIALIZER"] = OF_JSON[1]
    fresh.shop.start_worker(*OF_JSON)
    task_id = fresh.shop.send("own_app.whoami", "it", meta={"mine": 1})
    assert fresh.end(task_id).rest["result"] == "\"OwnJob it ['mine']\""
    new_id, status = fresh.retry(task_id)
    assert status == "done"
    assert fresh.end(new_id).rest["result"] == "\"OwnJob it ['mine']\""


# -- processes -----------------------------------------------------------------------------------------------------------
def test_a_horse_that_outlives_its_worker_is_heard(fresh: Scene) -> None:
    worker = fresh.shop.start_worker()
    task_id = fresh.shop.send("wait", 1.5)
    horse = psutil.Process(fresh.one(task_id, "started").pid)
    worker.kill()
    worker.wait(60)
    assert horse.is_running()
    wait_for(lambda: not horse.is_running() or horse.status() == psutil.STATUS_ZOMBIE, "the horse has ended")
    fresh.shop.start_worker()
    assert fresh.ends(task_id) == ("succeeded", "")
    assert fresh.end(task_id).pid == horse.pid


@pytest.mark.parametrize("retries", [0, 1])
def test_a_job_that_another_worker_finds_abandoned(fresh: Scene, retries: int) -> None:
    worker = fresh.shop.start_worker()
    task_id = fresh.shop.send("wait", 30 if not retries else 1, **({"retry": {"max": 1}} if retries else {}))
    horse = fresh.one(task_id, "started").pid
    wait_for(lambda: fresh.shop.redis.hget(Job.key_for(task_id), "status") == b"started", "RQ itself has stored that it runs")
    os.kill(worker.pid, signal.SIGKILL)
    os.kill(horse, signal.SIGKILL)
    worker.wait(60)
    queue = Queue("work", connection=fresh.shop.redis)
    queue.connection.delete(queue.registry_cleaning_key)  # the first worker may have looked already, and RQ looks once in a quarter hour
    registry = queue.started_job_registry
    for member in fresh.shop.redis.zrange(registry.key, 0, -1):
        fresh.shop.redis.zadd(registry.key, {member: 1})  # as if its claim had run out, which takes a minute and more
    fresh.shop.start_worker()
    assert fresh.ends(task_id) == (("retried", "worker_gone") if retries else ("lost", "worker_gone"))
    if retries:
        assert fresh.ends(task_id, 1) == ("succeeded", "")


@pytest.mark.skipif(not IS_SPAWNING, reason="this RQ spawns no horses, or cannot with this redis-py")
def test_a_spawned_horse_tells_what_a_forked_one_does(fresh: Scene) -> None:
    worker = fresh.shop.start_worker("-w", "rq.worker.SpawnWorker")
    boot = wait_for(fresh.workers, "the worker")[0].hello["boot"]
    good, bad, dead = fresh.shop.send("succeed", "spawned"), fresh.shop.send("retry", retry={"max": 1}), fresh.shop.send("crash")
    password = uuid.uuid4().hex
    stranger = Queue("work", connection=fresh.shop.redis).enqueue("engine_app.secret", "eve", password).id
    for task_id in (good, bad, dead, stranger):
        started = fresh.one(task_id, "started")
        assert started.boot == boot
        assert started.pid != worker.pid
    assert fresh.end(good).rest["result"] == '"spawned"'
    assert [fresh.ends(bad, attempt) for attempt in (0, 1)] == [("retried", ""), ("succeeded", "")]
    assert "ConnectionError: mail host refused" in fresh.end(bad).rest["traceback"]
    assert fresh.ends(dead) == ("lost", "child_killed")
    assert fresh.ends(stranger) == ("succeeded", "")
    assert "eve" in fresh.one(stranger, "payload").rest["args"]
    assert password.encode() not in b"".join(fresh.gateway.raw)
    assert len(fresh.workers()) == 1, "a horse never connects"


def test_every_worker_of_a_pool_is_a_worker(fresh: Scene) -> None:
    pool = fresh.shop.start_worker("-n", "2", command="worker-pool", count=2)
    workers = wait_for(lambda: fresh.workers() if len(fresh.workers()) == 2 else [], "both have connected")
    assert len({link.hello["worker"] for link in workers}) == 2
    made = [fresh.shop.send("wait", 0.5) for _ in range(2)]
    assert len({fresh.end(task_id).boot for task_id in made}) == 2
    pool.terminate()
    assert pool.wait(60) == 0
    wait_for(lambda: not fresh.workers(), "both have said goodbye")


def test_an_old_rq_is_left_alone_with_one_line(fresh: Scene) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import rq.version as v; v.VERSION = '1.16.2'; import z4j_rq; z4j_rq.install(); z4j_rq.install()"],
        env=fresh.shop.environment() | {"Z4J_LOG": "stderr"}, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert "RQ 1.16" in done.stderr
    assert done.stderr.count("\n") <= 2
    assert not fresh.shop.spool.exists()


def test_what_is_uninstalled_tells_nothing_more(fresh: Scene) -> None:
    task_id = fresh.shop.send("succeed", 1)
    fresh.one(task_id, "enqueued")
    assert fresh.shop.request("depart") == "gone"
    silent = fresh.shop.send("succeed", 2)
    fresh.shop.start_worker()
    assert fresh.end(silent).kind == "succeeded"
    assert not fresh.records(silent, "enqueued")
