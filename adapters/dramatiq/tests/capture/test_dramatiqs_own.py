# SPDX-License-Identifier: Apache-2.0
"""What is Dramatiq's alone: pipelines and groups, messages of strangers, skips, stops, shutdowns, and what its brokers can be asked."""

from __future__ import annotations

import base64
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

import pika
import pytest
import redis

from z4j_agent.conformance.brokers.rabbitmq import start_rabbitmq
from z4j_agent.conformance.gateway import Gateway, Link, Record
from z4j_agent.conformance.harness import Harness, wait_for

APPS = Path(__file__).resolve().parents[1] / "apps"
ENDS = ("succeeded", "failed", "cancelled", "expired", "rejected", "lost")


class Shop(Harness):
    """The application `own_app.py` in a folder of its own."""

    def __init__(self, folder: Path, url: str, broker: str = "redis", **switches: str) -> None:
        super().__init__(folder, url)
        self.switches = {"PYTHONPATH": str(APPS), **switches}
        port = start_rabbitmq(self) if broker == "rabbitmq" else self.start_valkey()
        self.broker_url = f"amqp://guest:guest@127.0.0.1:{port}/%2F" if broker == "rabbitmq" else f"redis://127.0.0.1:{port}/0"
        self.switches["BROKER_URL"] = self.broker_url
        self.redis = redis.Redis(port=port)

    def environment(self) -> dict[str, str]:
        return super().environment() | self.switches

    def start_worker(self, *options: str, processes: int = 1) -> subprocess.Popen[bytes]:
        before = self.log("worker").count("ready for action")
        command = [sys.executable, "-m", "dramatiq", "own_app", "-Q", "work", "-p", str(processes), "-t", "4", *options]
        worker = self.start("worker", command, cwd=self.folder)

        def is_ready() -> bool:
            assert worker.poll() is None, self.log("worker")[-3000:]
            return self.log("worker").count("ready for action") >= before + processes

        wait_for(is_ready, "the worker is ready", seconds=30)
        return worker

    def tear_down(self) -> None:
        """At once: a worker that is asked to end takes seconds, and how it ends has tests of its own."""
        for process in self.processes:
            if process.poll() is None and isinstance(process.args, list) and "dramatiq" in process.args:
                os.killpg(process.pid, signal.SIGKILL)
        super().tear_down()

    def request(self, *line: Any) -> Any:
        return json.loads(self.ask_producer([sys.executable, APPS / "own_app.py"], line))

    def send(self, name: str, *args: Any, **options: Any) -> str:
        return str(self.request("send", name, args, options)[0])

    def put(self, body: dict[str, Any] | bytes, queue: str = "work") -> str:
        """A message of somebody who is not watched, straight into Redis."""
        delivery = str(uuid.uuid4())
        if isinstance(body, dict):
            body.setdefault("options", {})["redis_message_id"] = delivery
            body = json.dumps(body).encode()
        self.redis.hset(f"dramatiq:{queue}.msgs", delivery, body)
        self.redis.rpush(f"dramatiq:{queue}", delivery)
        return delivery


@dataclass
class Scene:
    gateway: Gateway
    shop: Shop

    def records_of(self, task_id: str, *kinds: str) -> list[Record]:
        return [record for record in self.gateway.records(task_id) if not kinds or record.kind in kinds]

    def one(self, task_id: str, kind: str) -> Record:
        return wait_for(lambda: self.records_of(task_id, kind), f"{kind} of {task_id}")[0]

    def end(self, task_id: str, attempt: int = 0) -> Record:
        return wait_for(lambda: [r for r in self.records_of(task_id, *ENDS) if r.attempt >= attempt], f"the end of {task_id}")[-1]

    def workers(self) -> list[Link]:
        return [link for link in self.gateway.open_links() if link.hello["role"] == "worker"]

    def ask(self, action: str, **params: Any) -> tuple[str, dict[str, Any]]:
        command_id = self.gateway.ask(wait_for(self.workers, "a worker")[-1], action, "dramatiq", params)
        return wait_for(
            lambda: [answer for answer in self.gateway.answers(command_id) if answer[0] != "accepted"], f"an answer to {action}"
        )[0]

    def retry(self, task_id: str, **changes: Any) -> tuple[str, str, dict[str, Any]]:
        """(new id, status, what was answered)."""
        payload, new_id = self.one(task_id, "payload"), str(uuid.uuid4())
        key_id, blob = payload.rest["original"]
        given = {"name": payload.name, "queue": payload.queue, "original": blob, "key_id": key_id} | changes
        return new_id, *self.ask("retry_task", task_id=task_id, new_id=new_id, **given)


def make_scene(folder: Path, *broker: str, **switches: str) -> Iterator[Scene]:
    gateway = Gateway()
    gateway.start()
    shop = Shop(folder, gateway.url, *broker, **switches)
    try:
        yield Scene(gateway, shop)
    finally:
        shop.tear_down()
        gateway.stop()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Redis, and one worker process."""
    for made in make_scene(tmp_path_factory.mktemp("redis")):
        made.shop.start_worker()
        yield made


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """RabbitMQ, without a worker yet."""
    yield from make_scene(tmp_path_factory.mktemp("rabbit"), "rabbitmq")


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Scene]:
    """Redis, without a worker yet."""
    yield from make_scene(tmp_path)


# -- messages ------------------------------------------------------------------------------------------------------------
def test_the_sender_sees_its_message_as_it_made_it(scene: Scene) -> None:
    _, sent, made = scene.shop.request("send", "succeed", [1], {"max_age": 60_000})
    assert sent == ["max_age", "redis_message_id"]
    assert made == ["max_age"]


def test_a_stranger_s_task_has_its_arguments_from_the_worker(scene: Scene) -> None:
    task_id, secret = str(uuid.uuid4()), f"hunter-{uuid.uuid4().hex}"
    scene.shop.put(
        {"queue_name": "work", "actor_name": "secret", "args": ["eve", secret], "kwargs": {}, "message_id": task_id,
         "message_timestamp": int(time.time() * 1000)}
    )  # fmt: skip
    assert scene.end(task_id).kind == "succeeded"
    payload = scene.one(task_id, "payload")
    assert (payload.rest["rank"], payload.rest["original_state"]) == (1, "sealed")
    assert "eve" in payload.rest["args"]
    assert secret.encode() not in b"".join(scene.gateway.raw)
    new_id, status, _ = scene.retry(task_id)
    assert status == "done"
    assert scene.end(new_id).rest["result"] == scene.end(task_id).rest["result"]


def test_what_no_worker_can_read_is_rejected(fresh: Scene) -> None:
    fresh.shop.switches["dramatiq_restart_delay"] = "100"  # a consumer that met such a message pauses for three seconds otherwise
    fresh.shop.start_worker()
    fresh.shop.put(b"{not json")
    first = wait_for(lambda: [r for r in map(Record.of, reported(fresh.gateway)) if r.kind == "rejected"], "the first")[0]
    assert (first.rest["reason"], first.queue, first.task_id[:10]) == ("malformed", "work", "malformed-")
    assert "not json" in first.rest["error"]
    task_id = str(uuid.uuid4())
    fresh.shop.put({"actor_name": "succeed", "message_id": task_id})
    end = fresh.end(task_id)
    assert (end.kind, end.rest["reason"], end.name, end.queue) == ("rejected", "malformed", "succeed", "work")
    assert fresh.end(fresh.shop.send("succeed", 1)).kind == "succeeded"


def reported(gateway: Gateway) -> list[Any]:
    return [fields for fields in gateway.decoded() if fields[0] in ("rejected", "enqueued")]


def test_an_exception_without_words_is_reported(scene: Scene) -> None:
    end = scene.end(scene.shop.send("fails_oddly"))
    assert (end.kind, end.rest["error_type"]) == ("failed", "Odd")


# -- pipelines and groups ------------------------------------------------------------------------------------------------
def test_a_pipeline_is_a_line_of_parents(scene: Scene) -> None:
    first, second, third = scene.shop.request("pipeline", ["succeed", "a"], ["succeed"], ["succeed"])
    assert scene.end(third).rest["result"] == '"a"'
    assert [scene.one(each, "enqueued").meta.get("parent_id") for each in (first, second, third)] == [None, first, second]
    assert scene.one(first, "enqueued").meta["code"].startswith("__main__:")
    assert "code" not in scene.one(second, "enqueued").meta
    assert '"a"' in scene.one(third, "payload").rest["args"]
    assert len(scene.records_of(third, "payload")) == 1


def test_the_rest_of_a_pipeline_is_sealed_and_runs_again_under_new_ids(scene: Scene) -> None:
    first, second = scene.shop.request("pipeline", ["succeed", "b"], ["succeed"])
    scene.end(second)
    assert scene.one(first, "payload").rest["original_state"] == "sealed"
    new_id, status, _ = scene.retry(first)
    assert status == "done"
    scene.end(new_id)

    def follower() -> list[Record]:
        return [r for r in map(Record.of, reported(scene.gateway)) if r.kind == "enqueued" and r.meta.get("parent_id") == new_id]

    after = wait_for(follower, "the rest of the pipeline")[0].task_id
    assert after != second
    assert scene.end(after).rest["result"] == '"b"'


def test_a_member_of_a_group_counts_once(scene: Scene) -> None:
    callback, *members = scene.shop.request("group", ["succeed", "all done"], ["succeed", 1], ["succeed", 2])
    scene.end(callback)
    groups = {scene.one(member, "enqueued").meta["group_id"] for member in members}
    assert len(groups) == 1
    assert scene.one(callback, "enqueued").meta["parent_id"] in members
    new_id, status, facts = scene.retry(members[0])
    assert status == "done"
    assert "group" in facts["note"]
    assert scene.end(new_id).kind == "succeeded"
    time.sleep(0.3)
    assert len(scene.records_of(callback, "enqueued")) == 1


# -- skipped by somebody -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("how", "end"), [("skipped", ("cancelled", "skipped")), ("dead", ("rejected", "skipped")), ("failed", ("rejected", "skipped"))]
)
def test_what_a_middleware_turns_away_never_started(scene: Scene, how: str, end: tuple[str, str]) -> None:
    task_id = scene.shop.send("succeed", 1, turned_away=how)
    reported = scene.end(task_id)
    assert (reported.kind, reported.rest["reason"]) == end
    assert scene.records_of(task_id, "received")
    assert not scene.records_of(task_id, "started")


def test_a_task_nobody_has_taken_is_cancelled_at_once(scene: Scene) -> None:
    task_id = scene.shop.send("elsewhere", 1)
    scene.one(task_id, "enqueued")
    status, facts = scene.ask("cancel_task", task_id=task_id)
    assert (status, facts["note"]) == ("done", "it was removed from the queue")
    assert (scene.end(task_id).kind, scene.end(task_id).rest["reason"]) == ("cancelled", "revoked")
    assert scene.shop.redis.llen("dramatiq:elsewhere") == 0
    assert scene.shop.redis.hlen("dramatiq:elsewhere.msgs") == 0


def test_a_dead_letter_cannot_be_cancelled(scene: Scene) -> None:
    task_id = scene.shop.send("fail", "x")
    scene.end(task_id)
    wait_for(lambda: scene.shop.request("adapter.lookup_task", task_id)["state"] == "failed", "the dead letter")
    assert scene.ask("cancel_task", task_id=task_id)[0] == "refused"


def test_a_cancelled_retry_does_not_run(scene: Scene) -> None:
    task_id = scene.shop.send("give_up", min_backoff=2_000, max_backoff=2_100)
    scene.one(task_id, "retried")
    assert scene.ask("cancel_task", task_id=task_id)[0] == "done"
    end = scene.end(task_id, attempt=1)
    assert (end.kind, end.rest["reason"], end.attempt) == ("cancelled", "revoked", 1)


# -- stopped -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["patient", "patient_async"])
def test_a_stopped_task_is_not_tried_again(scene: Scene, name: str) -> None:
    task_id = scene.shop.send(name, 30)
    scene.one(task_id, "started")
    assert scene.ask("terminate_task", task_id=task_id)[0] == "done"
    end = scene.end(task_id)
    assert (end.kind, end.rest["reason"]) == ("cancelled", "stopped")
    assert not scene.records_of(task_id, "retried")


def test_a_task_may_catch_its_stop(scene: Scene) -> None:
    task_id = scene.shop.send("stubborn", 30)
    scene.one(task_id, "started")
    assert scene.ask("terminate_task", task_id=task_id)[0] == "done"
    assert scene.end(task_id).rest["result"] == '"cleaned up"'


def test_a_stop_that_breaks_a_task_leaves_its_message_fit_to_be_sent_again(scene: Scene) -> None:
    task_id = scene.shop.send("stubborn_and_broken", 30)
    scene.one(task_id, "started")
    assert scene.ask("terminate_task", task_id=task_id)[0] == "done"
    assert scene.one(task_id, "retried").rest["error_type"] == "ValueError"
    assert scene.end(task_id, attempt=1).rest["result"] == '"second"'


# -- processes -----------------------------------------------------------------------------------------------------------
def test_a_task_told_of_the_shutdown_is_tried_again(fresh: Scene) -> None:
    worker = fresh.shop.start_worker()
    task_id = fresh.shop.send("tells_of_shutdown", min_backoff=100)
    fresh.one(task_id, "started")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    retried = fresh.one(task_id, "retried")
    assert (retried.rest["reason"], retried.rest["error_type"]) == ("shutdown", "Shutdown")
    fresh.shop.start_worker()
    assert fresh.end(task_id, attempt=1).rest["result"] == '"second"'


def test_two_processes_are_two_workers_and_both_heed_a_cancellation(fresh: Scene) -> None:
    fresh.shop.start_worker("--use-spawn", processes=2)
    wait_for(lambda: len(fresh.workers()) == 2, "both processes connect")
    assert len({link.hello["worker"] for link in fresh.workers()}) == 2
    delayed = [fresh.shop.send("succeed", number, delay=1_500) for number in range(6)]
    fresh.one(delayed[-1], "enqueued")
    for task_id in delayed:
        assert fresh.ask("cancel_task", task_id=task_id)[0] == "done"
    assert {fresh.end(task_id).kind for task_id in delayed} == {"cancelled"}


def test_the_message_of_a_dead_process_runs_again(fresh: Scene) -> None:
    worker = fresh.shop.start_worker()
    task_id = fresh.shop.send("leaves_once")
    assert worker.wait(60) == 3
    assert fresh.shop.request("adapter.lookup_task", task_id)["state"] == "queued"
    fresh.shop.start_worker()
    end = fresh.end(task_id)
    assert (end.kind, end.rest["result"], end.attempt) == ("succeeded", '"came back"', 0)
    assert len({record.run for record in fresh.records_of(task_id, "started")}) == 2


# -- what can be asked ---------------------------------------------------------------------------------------------------
def test_every_queue_shows_what_is_delayed_and_dead(fresh: Scene) -> None:
    shop = fresh.shop
    at = int(time.time() * 1_000_000)
    delayed, queued = shop.send("succeed", 1, delay=60_000), shop.send("succeed", 2)
    shop.send("succeed", 3)
    queues = {queue["name"]: queue for queue in shop.request("adapter.list_queues")}
    assert sorted(queues) == ["elsewhere", "other", "work"]  # no rows of their own for delayed messages and dead letters
    assert [queues[name][of] for name in ("work", "elsewhere") for of in ("depth", "delayed", "dead")] == [2, 1, 0, 0, 0, 0]
    assert abs(queues["work"]["oldest_at"] - at) < 60_000_000
    assert {shop.request("adapter.lookup_task", task_id)["state"] for task_id in (delayed, queued)} == {"queued"}
    shop.start_worker()
    dead = shop.send("fail", "x")
    fresh.end(dead)
    wait_for(lambda: shop.request("adapter.lookup_task", dead)["state"] == "failed", "the dead letter")
    queues = {queue["name"]: queue for queue in shop.request("adapter.list_queues")}
    assert [queues["work"][of] for of in ("depth", "delayed", "dead")] == [0, 1, 1]


def test_stored_results_tell_the_end(scene: Scene) -> None:
    good, bad, forgotten = scene.shop.send("kept", 1), scene.shop.send("kept_error"), scene.shop.send("succeed", 1)
    for task_id in (good, bad, forgotten):
        scene.end(task_id)

    def look(task_id: str) -> str:
        return str(scene.shop.request("adapter.lookup_task", task_id)["state"])

    wait_for(lambda: look(bad) == "failed", "the dead letter is stored")
    assert look(good) == "succeeded"
    wait_for(lambda: look(forgotten) == "unknown", "it is acknowledged and gone")


def test_pickled_messages_are_sealed_and_only_sealed_ones_are_read(tmp_path: Path) -> None:
    for scene in make_scene(tmp_path, ENCODER="pickle"):
        scene.shop.start_worker()
        task_id = scene.shop.send("succeed", "p")
        assert scene.end(task_id).rest["result"] == '"p"'
        assert scene.one(task_id, "payload").rest["original_state"] == "sealed"
        new_id, status, _ = scene.retry(task_id)
        assert (status, scene.end(new_id).rest["result"]) == ("done", '"p"')
        plain = b"\x00" + json.dumps({"body64": "gAROLg==", "encoder": "dramatiq.encoder.PickleEncoder"}).encode()
        _, status, facts = scene.retry(task_id, original=base64.b64encode(plain).decode(), key_id=None)
        assert status == "refused"
        assert facts["check"] == "original.proof"


# -- RabbitMQ ------------------------------------------------------------------------------------------------------------
@pytest.mark.rabbitmq
def test_rabbitmq_from_end_to_end(rabbit: Scene) -> None:
    shop = rabbit.shop
    waiting = shop.send("stubborn", 30)
    queues = {queue["name"]: queue for queue in shop.request("adapter.list_queues")}
    assert sorted(queues) == ["elsewhere", "other", "work"]
    assert (queues["work"]["depth"], queues["work"]["consumers"], queues["elsewhere"]["dead"]) == (1, 0, 0)
    worker = shop.start_worker()
    rabbit.one(waiting, "started")
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait(60)
    shop.start_worker()
    again = wait_for(lambda: [r for r in rabbit.records_of(waiting, "started") if r.meta.get("redelivered")], "it is delivered again")[0]
    assert again.run != rabbit.records_of(waiting, "started")[0].run
    wait_for(rabbit.workers, "the new worker")
    assert rabbit.ask("terminate_task", task_id=waiting)[0] == "done"
    assert rabbit.end(waiting).rest["result"] == '"cleaned up"'

    failed = shop.send("fail", "no such door")
    assert rabbit.end(failed).rest["traceback"].rstrip().endswith("ValueError: no such door")
    new_id, status, _ = rabbit.retry(failed)
    assert (status, rabbit.end(new_id).rest["error"]) == ("done", "no such door")
    retried = shop.send("retry")
    assert rabbit.end(retried, attempt=1).rest["result"] == '"second"'
    delayed = shop.send("succeed", 1, delay=1_500)
    assert rabbit.one(delayed, "enqueued").rest["eta"]
    assert rabbit.ask("cancel_task", task_id=delayed)[0] == "done"
    assert rabbit.end(delayed).rest["reason"] == "revoked"

    def dead() -> dict[str, int]:
        return {queue["name"]: queue["dead"] for queue in shop.request("adapter.list_queues")}

    wait_for(lambda: dead()["work"] == 2, "two dead letters")
    assert shop.request("adapter.lookup_task", failed)["state"] == "unknown"


@pytest.mark.rabbitmq
def test_rabbitmq_drops_what_no_worker_can_read(rabbit: Scene) -> None:
    wait_for(rabbit.workers, "the worker of the test before")
    connection = pika.BlockingConnection(pika.URLParameters(rabbit.shop.broker_url))
    connection.channel().basic_publish("", "work", b"{not json")
    connection.close()
    end = wait_for(lambda: [r for r in map(Record.of, reported(rabbit.gateway)) if r.task_id.startswith("malformed-")], "its end")[0]
    assert (end.kind, end.rest["reason"], end.queue) == ("rejected", "malformed", "work")
