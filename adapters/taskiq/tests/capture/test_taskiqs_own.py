# SPDX-License-Identifier: Apache-2.0
"""What is taskiq's alone: unreadable messages, retries that a scheduler sends, threads and processes, and how a worker's children end."""

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

import pytest
import valkey

from z4j_agent.conformance.brokers.rabbitmq import start_rabbitmq
from z4j_agent.conformance.gateway import Gateway, Link, Record
from z4j_agent.conformance.harness import Harness, wait_for

APPS = Path(__file__).resolve().parents[1] / "apps"
ENDS = ("succeeded", "failed", "cancelled", "expired", "rejected", "lost")


class Shop(Harness):
    """`broker` and `retry` are the switches of `engine_app.py`."""

    def __init__(self, folder: Path, url: str, *, broker: str = "list", retry: str = "simple") -> None:
        super().__init__(folder, url)
        self.switches: dict[str, str] = {}
        self.port = start_rabbitmq(self) if broker == "rabbitmq" else self.start_valkey()
        broker_url = f"amqp://guest:guest@127.0.0.1:{self.port}/" if broker == "rabbitmq" else f"redis://127.0.0.1:{self.port}/0"
        self.switches = {"BROKER": broker, "RETRY": retry, "BROKER_URL": broker_url, "PYTHONPATH": str(APPS)}

    def environment(self) -> dict[str, str]:
        return super().environment() | self.switches

    def start_worker(self, *options: str) -> subprocess.Popen[bytes]:
        before = self.log("worker").count("Listening started")
        taskiq = [sys.executable, "-m", "taskiq", "worker", "engine_app:broker", *(options or ("--workers", "1"))]
        children = int(options[options.index("--workers") + 1]) if "--workers" in options else 1
        worker = self.start("worker", taskiq, cwd=APPS)
        wait_for(lambda: self.log("worker").count("Listening started") >= before + children, "the worker is ready", seconds=30)
        return worker

    def send(self, kind: str, *args: Any, **labels: Any) -> str:
        return self.ask_producer([sys.executable, APPS / "engine_app.py"], [kind, args, {}, labels])

    def tear_down(self) -> None:
        """At once: nothing is to be learnt from how each of them would end."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        super().tear_down()

    def ask_adapter(self, method: str, *args: str) -> Any:
        return json.loads(self.ask_producer([sys.executable, APPS / "engine_app.py"], [f"adapter.{method}", *args]))

    def look_up(self, task_id: str) -> str:
        return str(self.ask_adapter("lookup_task", task_id)["state"])

    def queues(self) -> Any:
        """Without their broker."""
        return [queue[:6] for queue in self.ask_adapter("list_queues")]


@dataclass
class Scene:
    gateway: Gateway
    shop: Shop

    def records_of(self, task_id: str, *kinds: str) -> list[Record]:
        return [record for record in self.gateway.records(task_id) if not kinds or record.kind in kinds]

    def one(self, task_id: str, kind: str) -> Record:
        return wait_for(lambda: self.records_of(task_id, kind), f"{kind} of {task_id}: {[r.kind for r in self.records_of(task_id)]}")[0]

    def end(self, task_id: str, attempt: int = 0) -> Record:
        def find() -> list[Record]:
            return [record for record in self.records_of(task_id, *ENDS) if record.attempt >= attempt]

        return wait_for(find, f"the end of {task_id}: {[r.kind for r in self.records_of(task_id)]}")[-1]

    def workers(self) -> list[Link]:
        return [link for link in self.gateway.open_links() if link.hello["role"] == "worker"]

    def ask(self, action: str, link: Link | None = None, **params: Any) -> tuple[str, dict[str, Any]]:
        command_id = self.gateway.ask(link or wait_for(self.workers, "a worker")[-1], action, "taskiq", params)
        return wait_for(
            lambda: [answer for answer in self.gateway.answers(command_id) if answer[0] != "accepted"], f"an answer to {action}"
        )[0]

    def retry(self, task_id: str) -> str:
        payload, new_id = self.one(task_id, "payload"), str(uuid.uuid4())
        key_id, blob = payload.rest["original"]
        status, facts = self.ask(
            "retry_task", task_id=task_id, name=payload.name, queue=payload.queue, new_id=new_id, original=blob, key_id=key_id
        )
        assert status == "done", facts
        return new_id


def make_scene(folder: Path, **switches: str) -> Iterator[Scene]:
    gateway = Gateway()
    gateway.start()
    shop = Shop(folder, gateway.url, **switches)
    try:
        yield Scene(gateway, shop)
    finally:
        shop.tear_down()
        gateway.stop()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A list, one worker with processes for plain functions, and the scheduler that sends what is to be tried again."""
    for made in make_scene(tmp_path_factory.mktemp("list"), retry="smart"):
        made.shop.start_worker("--workers", "1", "--use-process-pool", "--max-process-pool-processes", "1")
        made.shop.start(
            "scheduler", [sys.executable, "-m", "taskiq", "scheduler", "engine_app:scheduler", "--update-interval", "1"], cwd=APPS
        )
        yield made


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A stream and two children, two tasks each."""
    for made in make_scene(tmp_path_factory.mktemp("stream"), broker="stream"):
        made.shop.start_worker("--workers", "2", "--max-async-tasks", "2")
        yield made


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """RabbitMQ, which delays messages itself, and no result backend."""
    for made in make_scene(tmp_path_factory.mktemp("rabbit"), broker="rabbitmq", retry="smart"):
        made.shop.start_worker("--workers", "1", "--max-async-tasks", "2", "--wait-tasks-timeout", "0.2")
        yield made


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Scene]:
    yield from make_scene(tmp_path)


def test_a_message_taskiq_cannot_read_is_rejected(scene: Scene) -> None:
    with valkey.Valkey(port=scene.shop.port) as client:
        client.lpush("work", b"\xff no message of taskiq's")
    rejected = wait_for(lambda: [r for r in scene.records_of("", "rejected") if r.rest["reason"] == "malformed"], "the malformed message")
    assert rejected[0].task_id.startswith("malformed-")
    assert rejected[0].queue == "work"
    assert "decode" in rejected[0].rest["error"]


def test_an_unknown_task_keeps_its_message(scene: Scene) -> None:
    task_id = scene.shop.send("nowhere", 1, "two")
    end = scene.end(task_id)
    assert (end.kind, end.rest["reason"], end.name) == ("rejected", "unknown_task", "contract.nowhere")
    payload = scene.one(task_id, "payload")
    assert (payload.rest["args"], payload.rest["rank"], payload.rest["original_state"]) == ('[1, "two"]', 1, "plain")
    again = scene.retry(task_id)
    assert scene.end(again).rest["reason"] == "unknown_task"


def test_the_scheduler_sends_the_next_attempt(scene: Scene) -> None:
    task_id = scene.shop.send("retry")
    end = scene.end(task_id, attempt=1)
    assert (end.kind, end.attempt, end.rest["result"]) == ("succeeded", 1, '"second"')
    retried = scene.one(task_id, "retried")
    assert (retried.attempt, retried.rest["error_type"], retried.rest["error"]) == (0, "ConnectionError", "mail host refused")
    assert "ConnectionError" in retried.rest["traceback"]
    wait_for(lambda: len(scene.records_of(task_id, "enqueued")) == 2, "both were sent")
    sent = {record.attempt: record for record in scene.records_of(task_id, "enqueued")}
    assert sorted(sent) == [0, 1]
    assert sent[0].meta["code"].startswith("__main__:")
    assert "code" not in sent[1].meta, "nobody's code sent it"
    assert sent[0].boot != sent[1].boot != end.boot
    payloads = scene.records_of(task_id, "payload")  # by both senders: the scheduler's process cannot know what the producer has told
    assert {(payload.rest["args"], payload.rest["rank"]) for payload in payloads} == {("[]", 2)}


def test_a_plain_function_in_a_process_is_reported(scene: Scene) -> None:
    end = scene.end(scene.shop.send("sync_succeed", "from afar"))
    assert (end.kind, end.rest["result"]) == ("succeeded", '"from afar"')
    failed = scene.end(scene.shop.send("sync_fail", "key"))
    assert failed.rest["error_type"] == "KeyError"
    assert "sync_fail" in failed.rest["traceback"]
    worker = scene.workers()[-1].discoveries[-1]["worker"]
    assert worker["pool"] == "async + processes"


def test_stopping_a_task_keeps_it_from_being_tried_again(scene: Scene) -> None:
    task_id = scene.shop.send("stubborn_wait", 30)
    scene.one(task_id, "started")
    assert scene.ask("terminate_task", task_id=task_id)[0] == "done"
    end = scene.end(task_id)
    assert (end.kind, end.rest["reason"]) == ("cancelled", "stopped")
    scene.end(scene.shop.send("succeed", 1))
    assert not scene.records_of(task_id, "retried")


def test_a_plain_function_cannot_be_stopped(scene: Scene) -> None:
    task_id = scene.shop.send("sync_wait", 1)
    scene.one(task_id, "started")
    status, facts = scene.ask("terminate_task", task_id=task_id)
    assert status == "refused"
    assert "cannot be stopped" in facts["error"]
    assert scene.end(task_id).kind == "succeeded"


def test_what_taskiq_itself_knows_of_a_task(scene: Scene) -> None:
    succeeded, failed = scene.shop.send("succeed", 1), scene.shop.send("fail", "no")
    scene.end(succeeded)
    scene.end(failed)
    wait_for(lambda: scene.shop.look_up(succeeded) == "succeeded", "its result is stored")
    wait_for(lambda: scene.shop.look_up(failed) == "failed", "its error is stored")
    assert scene.shop.look_up("nobody") == "unknown"
    assert scene.ask("cancel_task", task_id=succeeded)[0] == "refused"


def test_no_hook_had_a_fault(scene: Scene) -> None:
    beats = wait_for(scene.workers, "the worker")[-1].heartbeats
    seen = len(beats)
    wait_for(lambda: len(beats) > seen + 1, "the next heartbeats")
    assert beats[-1]["faults"] == 0, scene.shop.log("worker")[-3000:]
    assert not [entry for entry in scene.gateway.decoded() if entry[0] == "fault"]


def test_a_cancellation_reaches_the_child_that_was_not_asked(stream: Scene) -> None:
    """Two children are busy; one is asked to cancel what waits, and the other is the first to come to it."""
    busy = [stream.one(stream.shop.send("wait", 30), "started") for _ in range(4)]
    asked, other = wait_for(lambda: len(stream.workers()) == 2 and stream.workers(), "both children")
    waiting = [stream.shop.send("succeed", number) for number in range(4)]
    assert {stream.shop.look_up(task_id) for task_id in waiting} == {"queued"}
    for task_id in waiting:
        assert stream.ask("cancel_task", asked, task_id=task_id)[0] == "done"
    for link in (other, asked):
        for started in busy:
            if started.boot == link.hello["boot"]:
                assert stream.ask("terminate_task", link, task_id=started.task_id)[0] == "done"
        wait_for(lambda: [task_id for task_id in waiting if stream.records_of(task_id, *ENDS)], "one of them was come to")
    ends = [stream.end(task_id) for task_id in waiting]
    assert {(end.kind, end.rest["reason"]) for end in ends} == {("cancelled", "revoked")}
    assert other.hello["boot"] in {end.boot for end in ends}
    assert not [task_id for task_id in waiting if stream.records_of(task_id, "started")]


def test_the_depth_of_a_stream_is_what_is_not_done(stream: Scene) -> None:
    for number in range(3):
        stream.end(stream.shop.send("succeed", number))
    with valkey.Valkey(port=stream.shop.port) as client:
        assert client.xlen("work") >= 3
    wait_for(lambda: stream.shop.queues() == [["work", 0, 2, None, None, None]], "nothing waits, and two consumers stand ready")


def test_a_killed_child_is_followed_by_one_of_its_name(fresh: Scene) -> None:
    fresh.shop.start_worker()
    link = wait_for(fresh.workers, "the worker")[-1]
    task_id = fresh.shop.send("wait", 60)
    started = fresh.one(task_id, "started")
    os.kill(started.pid, signal.SIGKILL)
    after = wait_for(lambda: [new for new in fresh.workers() if new.hello["boot"] != link.hello["boot"]], "the next child")[-1]
    assert after.hello["worker"] == link.hello["worker"]
    assert not fresh.records_of(task_id, *ENDS), "taskiq does not know, and the server has to find out"
    assert fresh.shop.look_up(task_id) == "unknown"


@pytest.mark.parametrize("asked", ["by an operator", "by a signal"])
def test_idle_workers_that_do_not_hear_signals_end_all_the_same(fresh: Scene, asked: str) -> None:
    """taskiq's own handler wakes nobody; see `control.wake_stopping`."""
    fresh.shop.switches["ASLEEP"] = "1"
    worker = fresh.shop.start_worker("--workers", "2")
    links = wait_for(lambda: len(fresh.workers()) == 2 and fresh.workers(), "both workers")
    if asked == "by an operator":
        assert fresh.ask("shutdown_worker", links[0])[0] == "done"
    else:
        worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert [link.goodbye for link in links] == ["the process ends"] * 2


def test_what_runs_at_a_shutdown_is_told_as_lost(fresh: Scene) -> None:
    worker = fresh.shop.start_worker("--workers", "1", "--wait-tasks-timeout", "0.2")
    task_id = fresh.shop.send("wait", 60)
    started = fresh.one(task_id, "started")
    worker.send_signal(signal.SIGTERM)
    end = fresh.end(task_id)
    assert (end.kind, end.rest["reason"], end.run) == ("lost", "shutdown", started.run)
    began = time.monotonic()
    assert worker.wait(60) == 0
    assert time.monotonic() - began < 10


@pytest.mark.rabbitmq
class TestRabbitMQ:
    """The nine steps on the broker whose messages cannot be looked at."""

    def test_results_and_tracebacks(self, rabbit: Scene) -> None:
        assert rabbit.end(rabbit.shop.send("succeed", "value")).rest["result"] == '"value"'
        failed = rabbit.end(rabbit.shop.send("fail", "no such door"))
        assert (failed.kind, failed.rest["error_type"], failed.rest["error"]) == ("failed", "ValueError", "no such door")
        assert failed.rest["traceback"].rstrip().endswith("ValueError: no such door")

    def test_a_delayed_retry_says_when(self, rabbit: Scene) -> None:
        task_id = rabbit.shop.send("retry")
        end = rabbit.end(task_id, attempt=1)
        assert (end.kind, end.rest["result"], end.queue) == ("succeeded", '"second"', "work")
        retried = rabbit.one(task_id, "retried")
        (sent,) = wait_for(lambda: [r for r in rabbit.records_of(task_id, "enqueued") if r.attempt == 1], "the next attempt was sent")
        assert retried.rest["eta"] == sent.rest["eta"] == sent.at + 200_000
        assert rabbit.one(task_id, "started").at < sent.rest["eta"] <= end.rest["started_at"] + 50_000

    def test_a_delayed_task_is_scheduled_and_can_be_cancelled(self, rabbit: Scene) -> None:
        task_id = rabbit.shop.send("succeed", 1, delay=1)
        sent = rabbit.one(task_id, "enqueued")
        assert sent.rest["eta"] == sent.at + 1_000_000
        assert rabbit.ask("cancel_task", task_id=task_id)[0] == "done"
        end = rabbit.end(task_id)
        assert (end.kind, end.rest["reason"]) == ("cancelled", "revoked")
        assert not rabbit.records_of(task_id, "started")

    def test_a_replay_waits_for_nothing(self, rabbit: Scene) -> None:
        task_id = rabbit.shop.send("succeed", "again", delay=0.5)
        rabbit.end(task_id)
        again = rabbit.retry(task_id)
        end = rabbit.end(again)
        assert end.rest["result"] == '"again"'
        sent = rabbit.one(again, "enqueued")
        assert (sent.meta["retry_of"], sent.rest["eta"]) == (task_id, None)

    def test_stop(self, rabbit: Scene) -> None:
        task_id = rabbit.shop.send("wait", 30)
        rabbit.one(task_id, "started")
        assert rabbit.ask("cancel_task", task_id=task_id)[0] == "refused"
        assert rabbit.ask("terminate_task", task_id=task_id)[0] == "done"
        assert rabbit.end(task_id).rest["reason"] == "stopped"

    def test_a_requeued_task_is_tried_again(self, rabbit: Scene) -> None:
        task_id = rabbit.shop.send("requeue")
        assert rabbit.end(task_id, attempt=1).rest["result"] == '"not the first time"'
        assert rabbit.one(task_id, "retried").rest["reason"] == "requeued"

    def test_what_nobody_can_know_is_unknown(self, rabbit: Scene) -> None:
        task_id = rabbit.shop.send("succeed", 1)
        rabbit.end(task_id)
        assert rabbit.shop.look_up(task_id) == "unknown", "without a result backend every task is called ready"

    def test_depth_and_consumers(self, rabbit: Scene) -> None:
        rabbit.end(rabbit.shop.send("succeed", 1))  # a producer knows a broker once it has sent
        wait_for(lambda: rabbit.shop.queues() == [["work", 0, 1, None, None, None]], "the worker listens and nothing waits")

    def test_no_hook_had_a_fault(self, rabbit: Scene) -> None:
        beats = wait_for(rabbit.workers, "the worker")[-1].heartbeats
        seen = len(beats)
        wait_for(lambda: len(beats) > seen + 1, "the next heartbeats")
        assert beats[-1]["faults"] == 0, [entry for entry in rabbit.gateway.decoded() if entry[0] == "fault"]

    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["stopped", "killed"])
    def test_what_was_not_acknowledged_runs_again(self, rabbit: Scene, how: signal.Signals) -> None:
        task_id = rabbit.shop.send("wait", 1.5)
        first = rabbit.one(task_id, "started")
        os.kill(first.pid, how)
        end = rabbit.end(task_id)
        assert (end.kind, end.attempt) == ("succeeded", 0)
        assert end.boot != first.boot
        assert not rabbit.records_of(task_id, "lost")
