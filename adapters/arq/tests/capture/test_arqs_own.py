# SPDX-License-Identifier: Apache-2.0
"""What other engines do not have, and the ends whose shape is arq's own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from z4j_agent.conformance.assertions import ENDS
from z4j_agent.conformance.gateway import Gateway, Link, Record
from z4j_agent.conformance.harness import Harness, wait_for
from z4j_arq.messages import execution_ms_of, job_id_of, task_id_of

APPS = Path(__file__).resolve().parents[1] / "apps"
PASSWORD = "correct-horse-battery-7f3a91"


class Shop(Harness):
    broker_port = 0

    def environment(self) -> dict[str, str]:
        own = {"BROKER_URL": f"redis://127.0.0.1:{self.broker_port}/0", "FOLDER": str(self.folder), "PYTHONPATH": str(APPS)}
        return super().environment() | own

    def set_up(self) -> None:
        self.broker_port = self.start_valkey()

    def start_arq(self, settings: str = "WorkerSettings") -> subprocess.Popen[bytes]:
        count = self.log(settings).count("redis_version=")
        worker = self.start(settings, [sys.executable, "-m", "arq", f"own_app.{settings}"], cwd=self.folder)
        wait_for(lambda: self.log(settings).count("redis_version=") > count, f"{settings} is ready", seconds=30)
        return worker

    def send(self, name: str, *args: Any, **options: Any) -> str:
        return self.ask_producer([sys.executable, APPS / "own_app.py"], [name, args, options])

    @property
    def redis(self) -> redis.Redis:
        return redis.Redis(port=self.broker_port)


@dataclass
class Scene:
    gateway: Gateway
    shop: Shop

    def records_of(self, task_id: str, *kinds: str) -> list[Record]:
        return [record for record in self.gateway.records(task_id) if not kinds or record.kind in kinds]

    def end(self, task_id: str) -> Record:
        return wait_for(lambda: self.records_of(task_id, *ENDS), f"the end of {task_id}: {[r.kind for r in self.records_of(task_id)]}")[-1]

    def one(self, task_id: str, kind: str, attempt: int = 0) -> Record:
        return wait_for(lambda: [r for r in self.records_of(task_id, kind) if r.attempt == attempt], f"{kind} of {task_id}")[0]

    def story(self, task_id: str) -> list[tuple[str, int]]:
        """Kinds and attempts in the order of their times, without the arguments. The producer's record may come later than the end."""
        self.end(task_id)
        self.one(task_id, "enqueued")
        reported = [record for record in self.records_of(task_id) if record.kind != "payload"]
        return [(record.kind, record.attempt) for record in sorted(reported, key=lambda record: (record.attempt, record.at))]

    def executions(self, job_id: str) -> list[str]:
        """Ids of the tasks that were this job, the oldest first."""
        return sorted({str(r.task_id) for r in self.gateway.records("") if job_id_of(r.task_id) == job_id})

    def link(self, queue: str = "work") -> Link:
        def find() -> list[Link]:
            return [link for link in self.gateway.open_links() if str(link.hello.get("worker", "")).startswith(f"{queue}@")]

        return wait_for(find, f"the worker of {queue} connects")[-1]

    def ask(self, action: str, *, worker: str = "work", **params: Any) -> tuple[str, dict[str, Any]]:
        command = self.gateway.ask(self.link(worker), action, "arq", params)
        answers = wait_for(lambda: [a for a in self.gateway.answers(command) if a[0] != "accepted"], f"an answer to {action}")
        return answers[0]

    def retry(self, task_id: str, *, worker: str = "work", **instead: Any) -> tuple[str, dict[str, Any], str]:
        payload, new_id = self.one(task_id, "payload"), str(uuid.uuid4())
        key_id, blob = payload.rest["original"]
        params = {"name": payload.name, "queue": payload.queue, "original": blob, "key_id": key_id} | instead
        status, facts = self.ask("retry_task", worker=worker, task_id=task_id, new_id=new_id, **params)
        return status, facts, new_id


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    gateway = Gateway()
    gateway.start()
    shop = Shop(tmp_path_factory.mktemp("shop"), gateway.url)
    try:
        shop.set_up()
        shop.start_arq()
        yield Scene(gateway, shop)
    finally:
        shop.tear_down()
        gateway.stop()


# -- ends that arq's hooks do not tell -----------------------------------------------------------------------------------
def test_used_up_tries_end_a_task_before_it_runs_once_more(scene: Scene) -> None:
    task_id = scene.shop.send("again")
    assert scene.story(task_id) == [
        ("enqueued", 0), ("started", 0), ("retried", 0),
        ("enqueued", 1), ("started", 1), ("retried", 1),
        ("enqueued", 2), ("received", 2), ("failed", 2),
    ]  # fmt: skip
    end = scene.end(task_id)
    assert (end.rest["reason"], end.rest["error"]) == ("max_tries", "max 2 retries exceeded")
    assert scene.one(task_id, "retried").rest["error_type"] == "Retry"


def test_a_job_that_is_gone_is_expired(scene: Scene) -> None:
    task_id = scene.shop.send("echo", 1, _defer_by=0.4, _expires=0.1)
    assert scene.story(task_id) == [("enqueued", 0), ("received", 0), ("expired", 0)]
    enqueued = scene.one(task_id, "enqueued")
    assert enqueued.meta["expires"] == enqueued.at + 100_000
    assert enqueued.rest["eta"] == enqueued.at + 400_000


def test_an_unreadable_job_is_rejected(scene: Scene) -> None:
    task_id = uuid.uuid4().hex
    with scene.shop.redis as client:
        client.set(f"arq:job:{task_id}", b"\x80no pickle", px=60_000)
        client.zadd("work", {task_id: 1})
    end = scene.end(task_id)
    assert (end.kind, end.rest["reason"], end.rest["error"]) == ("rejected", "malformed", "unable to deserialize job")
    assert "unsupported pickle protocol" in end.rest["traceback"]


def test_a_job_aborted_before_it_began(scene: Scene) -> None:
    task_id = scene.shop.send("echo", 1, _defer_by=60)
    assert scene.shop.send("abort", task_id) == "True"
    assert scene.story(task_id) == [("enqueued", 0), ("received", 0), ("cancelled", 0)]
    assert scene.end(task_id).rest["reason"] == "revoked"


def test_a_job_the_application_aborts_while_it_runs(scene: Scene) -> None:
    task_id = scene.shop.send("wait", 30)
    started = scene.one(task_id, "started")
    assert scene.shop.send("abort", task_id) == "True"
    end = scene.end(task_id)
    assert (end.kind, end.rest["reason"], end.rest["started_at"]) == ("cancelled", "stopped", started.at)
    assert end.rest["runtime"] > 0


def test_a_task_that_survives_being_stopped_has_succeeded(scene: Scene) -> None:
    task_id = scene.shop.send("stubborn")
    scene.one(task_id, "started")
    assert scene.ask("terminate_task", task_id=task_id)[0] == "done"
    end = scene.end(task_id)
    assert (end.kind, end.rest["result"]) == ("succeeded", '"cleaned up"')


def test_a_limit_is_told_without_a_kept_result(scene: Scene) -> None:
    end = scene.end(scene.shop.send("brief", 5))
    assert (end.kind, end.rest["reason"], end.rest["error"]) == ("failed", "time_limit", "it ran longer than its limit of 0.2 s")
    assert "asyncio.sleep(seconds)" in end.rest["traceback"], "where it was when its time was up"


def test_a_task_that_cancels_itself_runs_again(scene: Scene) -> None:
    task_id = scene.shop.send("cancel_itself")
    assert scene.end(task_id).rest["result"] == '"second"'
    retried = scene.one(task_id, "retried")
    assert (retried.rest["reason"], retried.rest["error_type"]) == ("", "CancelledError")


def test_a_result_arq_cannot_print_fails_the_task(scene: Scene) -> None:
    end = scene.end(scene.shop.send("unshowable"))
    assert (end.kind, end.rest["error_type"], end.rest["error"]) == ("failed", "RuntimeError", "no words for this")


# -- ids -----------------------------------------------------------------------------------------------------------------
def test_an_id_that_comes_again_is_another_task(scene: Scene) -> None:
    for number in (1, 2):
        assert scene.shop.send("once", number, _job_id="nightly") == "nightly"
        task_id = wait_for(lambda: scene.executions("nightly")[number - 1 :], "it is reported")[0]  # noqa: B023 -- asked at once
        scene.end(task_id)
    first, second = scene.executions("nightly")
    assert first.startswith("nightly@")
    assert [scene.end(task_id).rest["result"] for task_id in (first, second)] == ["1", "2"]
    whole = [("enqueued", 0), ("started", 0), ("succeeded", 0)]
    wait_for(lambda: scene.story(second) == whole, "the producer's record comes too")


def test_what_arq_did_not_enqueue_is_not_told(scene: Scene) -> None:
    assert scene.shop.send("once", 1, _job_id="single", _defer_by=0.5) == "single"
    assert scene.shop.send("once", 2, _job_id="single") == "none"
    only = wait_for(lambda: scene.executions("single"), "the first is reported")[0]
    assert scene.end(only).rest["result"] == "1"
    assert scene.executions("single") == [only]


def test_cancelling_takes_the_right_life_of_an_id(scene: Scene) -> None:
    scene.shop.send("once", 1, _job_id="weekly", _defer_by=60, _queue_name="elsewhere")
    task_id = wait_for(lambda: scene.executions("weekly"), "it is reported")[0]
    scene.one(task_id, "enqueued")
    assert scene.ask("cancel_task", task_id=f"weekly@{execution_ms_of(task_id) - 1}")[0] == "refused"
    assert scene.ask("cancel_task", task_id=task_id) == ("done", {"queue": "elsewhere"})
    assert scene.end(task_id).rest["reason"] == "revoked"
    with scene.shop.redis as client:
        assert client.keys("arq:*weekly") == []
        assert client.zcard("elsewhere") == 0


@pytest.mark.parametrize(
    ("job_id", "is_once"),
    [(uuid.uuid4().hex, True), (str(uuid.uuid4()), True), ("cron:tick:1763880000123", True), ("nightly", False), ("a@b", False)],
)
def test_ids_have_their_life_behind_them_where_they_can_come_again(job_id: str, is_once: bool) -> None:
    task_id = task_id_of(job_id, 1763880000456)
    assert (task_id == job_id) is is_once
    assert job_id_of(task_id) == job_id
    assert execution_ms_of(task_id) == (0 if is_once else 1763880000456)


# -- originals and arguments ---------------------------------------------------------------------------------------------
def test_what_json_cannot_hold_is_sealed_and_enqueued_as_it_was(scene: Scene) -> None:
    task_id = scene.shop.send("kind_of", {"set": [1, 2]})
    assert scene.end(task_id).rest["result"] == '"set"'
    payload = scene.one(task_id, "payload")
    assert (payload.rest["masked"], payload.rest["original_state"]) == (False, "sealed")
    status, _, again = scene.retry(task_id)
    assert status == "done"
    assert scene.end(again).rest["result"] == '"set"'
    assert scene.one(again, "payload").rest["original_state"] == "sealed"
    assert scene.one(again, "enqueued").meta["retry_of"] == task_id


def test_a_pickle_that_was_not_sealed_is_not_enqueued(scene: Scene) -> None:
    task_id = scene.shop.send("echo", 1)
    scene.end(task_id)
    status, facts, again = scene.retry(task_id, original="AHsiYm9keTY0IjoiZ0FSTkxnPT0ifQ==", key_id=None)
    assert (status, facts["check"]) == ("refused", "original.proof")
    assert scene.records_of(again) == []


def test_arguments_are_kept_as_they_came(scene: Scene) -> None:
    """The worker reads them, since this producer does not know the task, and the task empties them."""
    port = scene.shop.broker_port
    code = f"""
import asyncio, z4j_arq
from arq import create_pool
from arq.connections import RedisSettings
z4j_arq.install()
async def main():
    pool = await create_pool(RedisSettings(port={port}))
    print((await pool.enqueue_job("spend", {{"apples": 2, "pears": 3}}, _queue_name="work")).job_id)
    print((await pool.enqueue_job("login", "eve", "{PASSWORD}", _queue_name="work")).job_id)
asyncio.run(main())
"""
    environment = scene.shop.environment()
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True)
    spent, logged_in = done.stdout.split()
    assert scene.end(spent).rest["result"] == "5"
    payload = scene.one(spent, "payload")
    assert (payload.rest["rank"], payload.rest["args"]) == (1, '[{"apples": 2, "pears": 3}]')
    _, _, again = scene.retry(spent)
    assert scene.end(again).rest["result"] == "5"
    scene.end(logged_in)
    payload = scene.one(logged_in, "payload")
    assert (payload.rest["masked"], payload.rest["original_state"]) == (True, "sealed")
    assert PASSWORD not in json.dumps(scene.gateway.decoded())


def test_a_producer_that_knows_the_task_tells_its_arguments_once(scene: Scene) -> None:
    task_id = scene.shop.send("echo", 1, _defer_by=0.3)
    assert scene.one(task_id, "payload").rest["rank"] == 2
    assert not scene.records_of(task_id, "started")
    scene.end(task_id)
    assert len({r.rest["rank"] for r in scene.records_of(task_id, "payload")}) == 1


def test_another_serialiser_gets_nothing_it_does_not_know(scene: Scene) -> None:
    worker = scene.shop.start_arq("JsonSettings")
    task_id = scene.shop.send("echo", {"n": 1}, json=True)
    assert scene.end(task_id).rest["result"] == '{"n": 1}'
    status, facts, again = scene.retry(task_id, worker="json")
    assert status == "done", facts
    assert scene.end(again).rest["result"] == '{"n": 1}'
    worker.terminate()
    worker.wait(60)


# -- cron ----------------------------------------------------------------------------------------------------------------
def test_cron_jobs_are_tasks_with_ids_of_their_own(scene: Scene) -> None:
    worker = scene.shop.start_arq("CronSettings")

    def runs(name: str) -> list[Record]:
        return [record for record in scene.gateway.records("") if record.kind == "succeeded" and record.name == name]

    wait_for(lambda: len(runs("cron:tick")) > 1 and runs("fixed"), "both run")
    worker.terminate()
    worker.wait(60)
    for run in (*runs("cron:tick"), *runs("fixed")):
        kinds = {record.kind for record in scene.records_of(run.task_id)}
        assert {"enqueued", "started", "succeeded", "payload"} <= kinds
        assert "code" not in scene.one(run.task_id, "enqueued").meta, "nobody's code enqueued it"
        assert run.rest["result"] == '"tick"', "though arq keeps no result of it"
    assert runs("fixed")[0].task_id.startswith("fixed@"), "an id of the application's, which comes again"


# -- workers that go -----------------------------------------------------------------------------------------------------
def test_a_stopped_worker_gives_its_jobs_back(scene: Scene) -> None:
    first = scene.shop.start_arq("HookSettings")
    task_id = scene.shop.send("wait", 1.5, _queue_name="hooked")
    scene.one(task_id, "started")
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 0
    retried = scene.one(task_id, "retried")
    assert retried.rest["reason"] == "shutdown"
    second = scene.shop.start_arq("HookSettings")
    end = scene.end(task_id)
    assert (end.kind, end.attempt, end.rest["result"]) == ("succeeded", 1, '"try 2"')
    second.terminate()
    assert second.wait(60) == 0


def test_a_worker_that_does_not_retry_fails_what_it_cancels(scene: Scene) -> None:
    worker = scene.shop.start_arq("OnceSettings")
    end = scene.end(scene.shop.send("ask_in_vain", _queue_name="once"))
    assert (end.kind, end.rest["reason"], end.rest["error_type"]) == ("failed", "", "Retry")
    assert "mail host refused" in end.rest["traceback"]
    task_id = scene.shop.send("wait", 30, _queue_name="once")
    scene.one(task_id, "started")
    worker.terminate()
    assert worker.wait(60) == 0
    end = scene.end(task_id)
    assert (end.kind, end.rest["reason"], end.rest["error_type"]) == ("failed", "shutdown", "CancelledError")


def test_a_killed_worker_leaves_its_job_to_the_next(scene: Scene) -> None:
    first = scene.shop.start_arq("HookSettings")
    task_id = scene.shop.send("wait", 1.5, _queue_name="hooked")
    scene.one(task_id, "started")
    first.kill()
    first.wait(60)
    with scene.shop.redis as client:  # instead of waiting for it to expire
        assert client.pttl(f"arq:in-progress:{task_id}") > 300_000
        client.delete(f"arq:in-progress:{task_id}")
    second = scene.shop.start_arq("HookSettings")
    assert scene.end(task_id).rest["result"] == '"try 2"'
    assert scene.story(task_id) == [
        ("enqueued", 0), ("received", 0), ("started", 0), ("received", 1), ("started", 1), ("succeeded", 1),
    ]  # fmt: skip
    second.terminate()
    assert second.wait(60) == 0


def test_a_hook_that_raises_ends_the_worker_and_the_job_runs_again(scene: Scene) -> None:
    mark = scene.shop.folder / "refuse"
    mark.touch()
    first = scene.shop.start_arq("HookSettings")
    task_id = scene.shop.send("echo", 1, _queue_name="hooked")
    assert first.wait(60) != 0, "that is how arq takes it"
    retried = scene.one(task_id, "retried")
    assert (retried.rest["reason"], retried.rest["error"]) == ("interrupted", "the database is away")
    assert retried.rest["eta"] - retried.at > 300_000_000, "arq's in-progress key outlives the worker"
    assert [kind for kind, _ in ((r.kind, r.attempt) for r in scene.records_of(task_id, "started", *ENDS))] == []
    mark.unlink()
    with scene.shop.redis as client:  # instead of waiting for it to expire
        client.delete(f"arq:in-progress:{task_id}")
    second = scene.shop.start_arq("HookSettings")
    assert scene.end(task_id).attempt == 1
    second.terminate()
    assert second.wait(60) == 0


def test_a_worker_stopped_before_the_function_is_called(scene: Scene) -> None:
    hold = scene.shop.folder / "hold"
    hold.touch()
    worker = scene.shop.start_arq("HookSettings")
    task_id = scene.shop.send("echo", 1, _queue_name="hooked")
    wait_for((scene.shop.folder / "held").exists, "on_job_start holds it")
    scene.one(task_id, "received")
    worker.terminate()
    worker.wait(60)
    hold.unlink()
    retried = scene.one(task_id, "retried")
    assert (retried.rest["reason"], retried.rest["started_at"]) == ("shutdown", None)
    assert scene.ask("cancel_task", task_id=task_id)[0] == "refused", "arq has it as claimed still"


def test_a_worker_inside_another_process_is_told_as_that_process(scene: Scene) -> None:
    code = f"""
import asyncio, time, z4j_arq, z4j_agent
from arq import Worker, create_pool
from arq.connections import RedisSettings
async def inside(ctx):
    return "here"
z4j_arq.install({{"functions": [inside]}})
async def main():
    pool = await create_pool(RedisSettings(port={scene.shop.broker_port}), default_queue_name="web")
    print((await pool.enqueue_job("inside")).job_id, flush=True)
    while not z4j_agent.current()._connection.is_open:
        await asyncio.sleep(0.05)
    await Worker([inside], queue_name="web", redis_pool=pool, burst=True, handle_signals=False).async_run()
asyncio.run(main())
"""
    environment = scene.shop.environment()
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True)
    end = scene.end(done.stdout.strip())
    assert (end.kind, end.rest["result"]) == ("succeeded", '"here"')
    link = next(link for link in scene.gateway.links if link.hello["boot"] == end.boot)
    assert (link.hello["role"], link.goodbye is not None) == ("producer", True)


def test_a_task_that_leaves_takes_the_worker_with_it(scene: Scene) -> None:
    worker = scene.shop.start_arq("HookSettings")
    task_id = scene.shop.send("leave", _queue_name="hooked")
    assert worker.wait(60) == 3
    assert scene.one(task_id, "retried").rest["error_type"] == "SystemExit"


def test_nothing_went_wrong_inside(scene: Scene) -> None:
    beats = scene.link().heartbeats
    seen = len(beats)
    wait_for(lambda: len(beats) > seen + 1, "the next heartbeats")
    assert (beats[-1]["faults"], beats[-1]["dropped"]) == (0, 0), scene.shop.log("WorkerSettings")[-3000:]
    assert not [record for record in scene.gateway.decoded() if record[0] in ("fault", "gap")]
