# SPDX-License-Identifier: Apache-2.0
"""What other engines do not have, the ends whose shape is Huey's own, and the storages."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from huey.api import Huey, Task
from huey.utils import FileLock

from z4j_agent.conformance.assertions import ENDS, ask_retry, final_answer, payload_of, worker_link
from z4j_agent.conformance.gateway import Gateway, Record
from z4j_agent.conformance.harness import Harness, wait_for
from z4j_huey.adapter import HueyAdapter

APPS = Path(__file__).resolve().parents[1] / "apps"
PASSWORD = "correct-horse-battery-7f3a91"
HAS_CHORD = hasattr(Huey, "_enqueue_chord")
HAS_TIMEOUT = hasattr(Task, "default_timeout")


class Shop(Harness):
    adapter = HueyAdapter
    queue = "work"

    def __init__(self, folder: Path, url: str, storage: str, workers: str) -> None:
        super().__init__(folder, url)
        self.storage, self.workers, self.at = storage, workers, ""
        self.at = str(self.start_valkey()) if storage in ("redis", "priority") else str(folder / f"tasks.{storage}")

    def environment(self) -> dict[str, str]:
        ours = {"HUEY_STORAGE": self.storage, "HUEY_AT": self.at, "HUEY_WORKERS": self.workers, "PYTHONPATH": str(APPS)}
        return super().environment() | ours

    def consume(self) -> None:
        options = ["-k", self.workers, "-w", "2", "-c", "1", "-d", "0.02", "-m", "0.05"]
        self.worker = self.start("worker", [sys.executable, "-m", "huey.bin.huey_consumer", "engine_app.huey", *options], cwd=self.folder)

    def send(self, kind: str, *args: Any, **options: Any) -> str:
        return self.ask_producer([sys.executable, APPS / "engine_app.py"], [kind, args, {}, options])


@dataclass
class Scene:
    gateway: Gateway
    shop: Shop

    def records_of(self, task_id: str, *kinds: str) -> list[Record]:
        return [record for record in self.gateway.records(task_id) if not kinds or record.kind in kinds]

    def one(self, task_id: str, kind: str) -> Record:
        """The record of this kind; who tells it may be another process than the one that ran the task."""
        (record,) = wait_for(lambda: self.records_of(task_id, kind), f"{kind} of {task_id} is reported")
        return record

    def end(self, task_id: str, attempt: int = 0) -> Record:
        def find() -> list[Record]:
            return [record for record in self.records_of(task_id, *ENDS) if record.attempt >= attempt]

        try:
            return wait_for(find, "")[0]
        except AssertionError:
            reported = [(record.kind, record.attempt) for record in self.gateway.records(task_id)]
            raise AssertionError(f"{task_id} has not ended; told was {reported}; {self.shop.log('worker')[-3000:]}") from None

    def ask(self, action: str, params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        link = worker_link(self.gateway)
        return final_answer(self.gateway, self.gateway.ask(link, action, "huey", params))


@contextmanager
def scene(folder: Path, storage: str = "redis", workers: str = "thread") -> Iterator[Scene]:
    gateway = Gateway()
    gateway.start()
    shop = Shop(folder, gateway.url, storage, workers)
    try:
        shop.consume()
        worker_link(gateway)
        yield Scene(gateway, shop)
    finally:
        shop.tear_down()
        gateway.stop()


@pytest.fixture(scope="module")
def threads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("threads")) as made:
        yield made


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("processes"), "sqlite", "process") as made:
        yield made


# -- attempts ----------------------------------------------------------------------------------------------------------
def test_a_task_that_asks_for_another_try_begins_another_attempt(threads: Scene, tmp_path: Path) -> None:
    task_id = threads.shop.send("asks_again", str(tmp_path / "mark"))
    assert threads.end(task_id, 1).kind == "succeeded"
    assert [(r.attempt, r.rest["error_type"]) for r in threads.records_of(task_id, "retried")] == [(0, "RetryTask")]
    assert [r.attempt for r in threads.records_of(task_id, "started")] == [0, 1]
    wait_for(lambda: sorted(r.attempt for r in threads.records_of(task_id, "enqueued")) == [0, 1], "both were sent")


def test_retries_of_one_call_alone_are_counted(threads: Scene) -> None:
    task_id = threads.shop.send("fail", "again", retries=3)
    assert threads.end(task_id, 3).kind == "failed"
    assert sorted(r.attempt for r in threads.records_of(task_id, "started")) == [0, 1, 2, 3]
    assert sorted(r.attempt for r in threads.records_of(task_id, "retried")) == [0, 1, 2]


def test_fewer_retries_than_declared_still_begin_with_the_first_attempt(threads: Scene) -> None:
    task_id = threads.shop.send("give_up", retries=0)
    assert (threads.end(task_id).kind, threads.end(task_id).attempt) == ("failed", 0)
    assert {r.attempt for r in threads.records_of(task_id)} == {0}


def test_a_delay_is_told_once(threads: Scene) -> None:
    task_id = threads.shop.send("succeed", 1, delay=1.5)
    assert threads.end(task_id).kind == "succeeded"
    enqueued = threads.one(task_id, "enqueued")
    assert abs(enqueued.rest["eta"] - enqueued.at - 1_500_000) < 300_000
    assert threads.records_of(task_id, "started")[0].at >= enqueued.rest["eta"] - 50_000


# -- ends --------------------------------------------------------------------------------------------------------------
def test_a_message_that_is_none_is_rejected(threads: Scene) -> None:
    threads.shop.send("malformed")

    def find() -> list[Record]:
        return [r for r in threads.gateway.records("") if r.kind == "rejected" and r.rest["reason"] == "malformed"]

    assert wait_for(find, "the message is reported")[0].task_id.startswith("malformed-")


def test_an_unknown_task_shows_no_argument_by_position(threads: Scene) -> None:
    task_id = threads.shop.send("unknown", "eve", PASSWORD)
    assert threads.end(task_id).rest["reason"] == "unknown_task"
    by_worker = wait_for(
        lambda: [r for r in threads.records_of(task_id, "payload") if r.rest["rank"] == 1], "the worker reports the arguments"
    )
    assert PASSWORD not in by_worker[0].rest["args"]
    assert by_worker[0].rest["original_state"] == "sealed"
    assert PASSWORD.encode() not in b"".join(threads.gateway.raw)


@pytest.mark.parametrize(
    "storage", ["file", pytest.param("sqlite", marks=pytest.mark.long), pytest.param("priority", marks=pytest.mark.long)]
)
def test_other_storages(tmp_path: Path, storage: str) -> None:
    if storage == "file" and "_local" not in FileLock.__init__.__code__.co_names:
        pytest.skip("the threads of an older Huey lock each other out of its files")
    with scene(tmp_path, storage) as made:
        tasks = {kind: made.shop.send(kind, *args) for kind, args in (("succeed", (1,)), ("fail", ("no",)), ("later", ()))}
        waiting = made.shop.send("succeed", "never", delay=2)
        wait_for(lambda: made.records_of(waiting), "it is reported")
        assert made.ask("cancel_task", {"task_id": waiting})[0] == "done"
        assert made.end(tasks["succeed"]).rest["result"] == "1"
        assert made.end(tasks["fail"]).rest["error_type"] == "ValueError"
        assert made.end(tasks["later"], 1).kind == "succeeded"
        assert (made.end(waiting).kind, made.end(waiting).rest["reason"]) == ("cancelled", "revoked")


@pytest.mark.parametrize("workers", ["thread", "process", pytest.param("greenlet", marks=pytest.mark.long)])
def test_a_task_interrupted_by_the_end_of_its_worker_is_lost(tmp_path: Path, workers: str) -> None:
    with scene(tmp_path, "redis", workers) as made:
        task_id = made.shop.send("wait", 30)
        wait_for(lambda: made.records_of(task_id, "started"), "it runs")
        worker = made.shop.worker
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
        wait_for(lambda: made.records_of(task_id, "lost"), "this worker or the next agent reports it as lost")
        assert made.end(task_id).rest["reason"] == "shutdown"


def test_a_consumer_that_replaces_itself_comes_back(tmp_path: Path) -> None:
    with scene(tmp_path) as made:
        first = worker_link(made.gateway)
        assert made.end(made.shop.send("succeed", 1)).kind == "succeeded"
        made.shop.worker.send_signal(signal.SIGHUP)
        wait_for(lambda: first.goodbye is not None, "the goodbye")
        wait_for(lambda: worker_link(made.gateway) is not first, "it is here again")
        assert worker_link(made.gateway).hello["boot"] != first.hello["boot"]
        assert made.end(made.shop.send("succeed", 2)).kind == "succeeded"


def test_greenlets_keep_to_time_limits_and_can_be_stopped(tmp_path: Path) -> None:
    with scene(tmp_path, "redis", "greenlet") as made:
        task_id = made.shop.send("wait", 30)
        wait_for(lambda: made.records_of(task_id, "started"), "it runs")
        assert made.ask("terminate_task", {"task_id": task_id})[0] == "done"
        assert (made.end(task_id).kind, made.end(task_id).rest["reason"]) == ("cancelled", "stopped")
        if HAS_TIMEOUT:
            assert made.end(made.shop.send("limit")).rest["reason"] == "time_limit"
        assert made.end(made.shop.send("succeed", 1)).kind == "succeeded"


# -- children ----------------------------------------------------------------------------------------------------------
def test_the_scheduler_s_child_tells_what_it_enqueues(processes: Scene) -> None:
    sent = wait_for(
        lambda: [r for r in processes.gateway.records("") if r.kind == "succeeded" and r.name == "engine_app.every_minute"], "it ran"
    )
    enqueued = processes.one(sent[0].task_id, "enqueued")
    schedulers = wait_for(
        lambda: [link.hello for link in processes.gateway.open_links() if link.hello["role"] == "scheduler"], "it is connected itself"
    )
    assert [(hello["boot"], hello["pid"]) for hello in schedulers] == [(enqueued.boot, enqueued.pid)], "it is a process of its own"
    assert enqueued.pid not in (worker_link(processes.gateway).hello["pid"], sent[0].pid)
    assert "code" not in enqueued.meta


def test_a_stopped_child_goes_on_with_the_next_task(processes: Scene) -> None:
    task_id = processes.shop.send("wait", 30)
    began = wait_for(lambda: processes.records_of(task_id, "started"), "it runs")[0]
    assert processes.ask("terminate_task", {"task_id": task_id})[0] == "done"
    end = processes.end(task_id)
    assert (end.kind, end.rest["reason"], end.run) == ("cancelled", "stopped", began.run)
    tasks = [processes.shop.send("wait", 0.3) for _ in range(4)]
    assert began.run in {processes.end(each).run for each in tasks}


def test_a_killed_child_loses_its_task_and_nothing_else(processes: Scene) -> None:
    task_id = processes.shop.send("crash")
    end = processes.end(task_id)
    assert (end.kind, end.rest["reason"]) == ("lost", "child_killed")
    assert end.run == processes.records_of(task_id, "started")[0].run
    assert processes.end(processes.shop.send("succeed", 1)).kind == "succeeded"


def test_a_child_s_task_is_told_in_heartbeats(processes: Scene) -> None:
    task_id = processes.shop.send("wait", 2)

    def entry() -> list[Any]:
        beats = worker_link(processes.gateway).heartbeats
        return [task for task in (beats[-1]["running"] or [] if beats else []) if task[1] == task_id]

    _, _, attempt, name, queue, started_at, pid = wait_for(entry, "a heartbeat names it")[0]
    began = wait_for(lambda: processes.records_of(task_id, "started"), "its start arrives")[0]
    assert (attempt, name, queue, pid) == (0, "engine_app.wait", "work", began.pid)
    assert abs(started_at - began.at) < 500_000
    assert pid != worker_link(processes.gateway).hello["pid"]


@pytest.mark.skipif(not HAS_TIMEOUT, reason="timeouts came with Huey 3")
def test_a_child_keeps_to_time_limits(processes: Scene) -> None:
    end = processes.end(processes.shop.send("limit"))
    assert (end.kind, end.rest["reason"], end.rest["error_type"]) == ("failed", "time_limit", "TaskTimeout")


# -- what belongs together ---------------------------------------------------------------------------------------------
def test_a_pipeline_names_its_parents(threads: Scene) -> None:
    first, second, third = json.loads(threads.shop.send("pipeline"))
    assert [threads.end(each).rest["result"] for each in [first, second, third]] == ["1", "3", "6"]
    assert threads.one(second, "enqueued").meta["parent_id"] == first
    assert threads.one(third, "enqueued").meta["parent_id"] == second


def test_the_rest_of_a_pipeline_follows_again(threads: Scene) -> None:
    first, second, third = json.loads(threads.shop.send("pipeline"))
    threads.end(third)
    assert payload_of(threads.gateway, first).rest["original_state"] == "sealed"
    shop: Any = threads.shop
    command_id, new_id = ask_retry(threads.gateway, shop, first)
    assert final_answer(threads.gateway, command_id)[0] == "done"

    def children(parent: str) -> list[Record]:
        return [r for r in threads.gateway.records("") if r.kind == "enqueued" and r.meta.get("parent_id") == parent]

    again = wait_for(lambda: children(new_id), "its second task")[0].task_id
    last = wait_for(lambda: children(again), "its third task")[0].task_id
    assert {again, last}.isdisjoint({second, third})
    assert threads.end(last).rest["result"] == "6"


@pytest.mark.skipif(not HAS_CHORD, reason="chords came with Huey 3")
def test_the_members_of_a_chord_share_its_id(threads: Scene) -> None:
    made: list[str] = json.loads(threads.shop.send("chord"))
    members, callback = made[:-1], made[-1]
    assert threads.end(callback).rest["result"] == "3"
    sent = [threads.one(id, "enqueued") for id in made]
    assert len({record.meta["group_id"] for record in sent[:-1]}) == 1
    assert sent[-1].meta["parent_id"] in members


def test_what_handles_an_error_names_the_task_that_failed(threads: Scene) -> None:
    failed, handler = json.loads(threads.shop.send("handled"))
    assert threads.end(failed).kind == "failed"
    assert threads.end(handler).kind == "succeeded"
    assert threads.one(handler, "enqueued").meta["parent_id"] == failed


# -- what Huey knows ---------------------------------------------------------------------------------------------------
def test_priority_and_expiry_are_told(threads: Scene) -> None:
    before = time.time()
    task_id = threads.shop.send("succeed", 1, expires=60)
    threads.end(task_id)
    meta = threads.one(task_id, "enqueued").meta
    assert before + 59 < meta["expires"] / 1e6 < time.time() + 61
    assert meta["code"].startswith("engine_app:") or meta["code"].startswith("__main__:")
