# SPDX-License-Identifier: Apache-2.0
"""Ends that no signal of Celery's reports: the result backend is away, the body of a chord whose header fails, the rest of a chain, and
the tasks of celery-batches."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from z4j_agent.conformance import wait_for
from z4j_agent.conformance.gateway import Gateway, Record
from z4j_agent.conformance.harness import Harness
from z4j_celery.execution.stored_outcomes import StoredEnds
from z4j_celery.state import AppState

APPS = Path(__file__).resolve().parents[1] / "apps"
ENDS = ("succeeded", "failed", "cancelled", "expired", "lost", "rejected")


class Stored:
    """A result backend of another app."""

    app = None


def test_what_is_passed_by_position_reaches_the_backend() -> None:
    ends = StoredEnds(AppState(Celery("other")), lambda *_: None, lambda **_: None, lambda *_: None)
    passed: list[tuple[Any, ...]] = []
    backend, request, error = Stored(), object(), ValueError("no")
    for around, given in (
        (ends._done, ("id", 1, request, True, "SUCCESS")),
        (ends._failure, ("id", error, None, request, True, False, "FAILURE")),
        (ends._revoked, ("id", "revoked", request, True, "REVOKED")),
        (ends._chord, ("callback", error)),
    ):
        around(lambda _, *args: passed.append(args), backend, *given)
        assert passed.pop() == given


class EndsHarness(Harness):
    port = 0
    results = ""

    def environment(self) -> dict[str, str]:
        url = f"redis://127.0.0.1:{self.port}/0"
        own = {"PYTHONPATH": str(APPS), "C_FORCE_ROOT": "1", "BROKER_URL": url, "RESULTS_URL": self.results or url}
        return super().environment() | own

    def start_worker(self) -> subprocess.Popen[bytes]:
        celery = [sys.executable, "-m", "celery", "-A", "ends_app", "worker", "--loglevel", "INFO", "-n", "w1@test", "-c", "2"]
        worker = self.start("worker", celery, cwd=self.folder)
        wait_for(lambda: " ready." in self.log("worker"), "the worker is ready", seconds=60)
        return worker

    def send(self, what: str) -> list[str]:
        ids: list[str] = json.loads(self.ask_producer([sys.executable, "-c", "import ends_app; ends_app.serve()"], what))
        return ids


class Scene:
    def __init__(self, gateway: Gateway, harness: EndsHarness) -> None:
        self.gateway, self.harness = gateway, harness

    def kinds(self, task_id: str) -> list[str]:
        return [record.kind for record in self.gateway.records(task_id)]

    def end(self, task_id: str, attempt: int = 0) -> Record:
        def find() -> list[Record]:
            return [record for record in self.gateway.records(task_id) if record.kind in ENDS and record.attempt >= attempt]

        return min(wait_for(find, f"{task_id} ends: {self.kinds(task_id)}", seconds=30), key=lambda record: record.at)

    def failed(self, task_id: str, error_type: str, error: str = "") -> Record:
        end = self.end(task_id)
        assert (end.kind, end.rest.get("error_type")) == ("failed", error_type), end
        assert error in end.rest["error"]
        return end

    def has_no_fault(self) -> None:
        assert not [record for record in self.gateway.decoded() if record[0] == "fault"], self.harness.log("worker")[-3000:]
        assert "agent operation failed" not in self.harness.log("worker")


def scene_of(folder: Path, results: str) -> Iterator[Scene]:
    gateway = Gateway()
    gateway.start()
    harness = EndsHarness(folder, gateway.url)
    try:
        harness.port = harness.start_valkey()
        harness.results = results
        harness.start_worker()
        harness.results = "disabled://" if results else ""
        yield Scene(gateway, harness)
    finally:
        harness.tear_down()
        gateway.stop()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    yield from scene_of(tmp_path_factory.mktemp("ends"), "")


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A worker whose result backend listens nowhere; its producers have none."""
    yield from scene_of(tmp_path_factory.mktemp("away"), "redis://127.0.0.1:1/0")


def test_an_unknown_task_is_reported_while_the_backend_is_away(away: Scene) -> None:
    end = away.end(away.harness.send("unknown")[0])
    assert (end.kind, end.name, end.rest["reason"]) == ("rejected", "ends_app.nowhere", "unknown_task")


def test_a_failure_is_reported_while_the_backend_is_away(away: Scene) -> None:
    """With the exception the task raised, neither the backend's nor the one the task was handling."""
    end = away.failed(away.harness.send("boom")[0], "ValueError", "real reason")
    assert "ends_app.py" in end.rest["traceback"]
    assert end.rest["reason"] == ""
    assert end.rest["started_at"]


def test_a_retry_is_reported_while_the_backend_is_away(away: Scene) -> None:
    task_id = away.harness.send("again")[0]
    end = away.end(task_id, 1)
    assert (end.kind, end.attempt, end.rest["error_type"], end.rest["error"]) == ("failed", 1, "OSError", "net")
    retried = next(record for record in away.gateway.records(task_id) if record.kind == "retried")
    assert (retried.attempt, retried.rest["error_type"]) == (0, "OSError")
    assert "failed" not in [record.kind for record in away.gateway.records(task_id) if record.attempt == 0]


def test_a_result_that_cannot_be_stored_is_no_success(away: Scene) -> None:
    task_id = away.harness.send("ok")[0]
    end = away.end(task_id)
    assert (end.kind, end.rest["reason"]) == ("failed", "not_stored")
    assert "succeeded" not in away.kinds(task_id)


def test_a_hard_time_limit_is_reported_while_the_backend_is_away(away: Scene) -> None:
    end = away.failed(away.harness.send("slow")[0], "TimeLimitExceeded")
    assert end.rest["reason"] == "time_limit"


def test_what_expires_is_reported_while_the_backend_is_away(away: Scene) -> None:
    """The last one here: Celery's consumer fails, and is given the message again and again."""
    assert away.end(away.harness.send("expired")[0]).kind == "expired"
    away.has_no_fault()


@pytest.mark.parametrize("what", ["chord", "chord of a group"])
def test_the_body_of_a_chord_whose_header_fails(scene: Scene, what: str) -> None:
    succeeds, fails, *bodies = scene.harness.send(what)
    for body in bodies:
        end = scene.failed(body, "ChordError" if what == "chord" else "ValueError", "real reason")
        assert (end.name, end.rest["reason"]) == ("ends_app.body", "not_sent")
        assert end.meta["parent_id"] in (succeeds, fails), "the member that ended last reports it"
        assert scene.kinds(body) == ["failed"]
    scene.failed(fails, "ValueError")


def test_the_rest_of_a_chain_that_fails(scene: Scene) -> None:
    first, second, third = scene.harness.send("chain")
    scene.failed(first, "ValueError")
    for task_id, parent in ((second, first), (third, second)):
        end = scene.failed(task_id, "ValueError", "real reason")
        assert (end.name, end.rest["reason"], end.meta) == ("ends_app.ok", "not_sent", {"parent_id": parent, "root_id": first})


def test_a_task_that_has_its_backend_mark_it_as_failed(scene: Scene) -> None:
    task_id = scene.harness.send("by_hand")[0]
    scene.failed(task_id, "ValueError", "quota")
    assert scene.kinds(task_id).count("failed") == 1


def test_an_eager_task_whose_error_reaches_its_caller(scene: Scene) -> None:
    scene.failed(scene.harness.send("eager")[0], "ValueError", "real reason")


def test_a_batch_that_raises(scene: Scene) -> None:
    for task_id in scene.harness.send("bad"):
        end = scene.failed(task_id, "ValueError", "db down")
        assert {"received", "started"} <= set(scene.kinds(task_id))
        assert end.rest["started_at"]
    scene.has_no_fault()


def test_a_batch_that_stores_what_became_of_its_tasks(scene: Scene) -> None:
    ids = sorted(scene.harness.send("count"), key=lambda task_id: (scene.end(task_id).kind, scene.end(task_id).rest.get("result", "")))
    assert [scene.end(task_id).kind for task_id in ids] == ["failed", "succeeded", "succeeded"]
    assert scene.end(ids[0]).rest["error_type"] == "KeyError"
    assert [scene.end(task_id).rest["result"] for task_id in ids[1:]] == ['"counted"', "null"]
    scene.has_no_fault()


def test_a_batch_that_runs_is_listed_by_its_worker(scene: Scene) -> None:
    """Celery does not list it: after a while the server would take it for lost."""
    task_id = scene.harness.send("long_batch")[0]
    wait_for(lambda: "started" in scene.kinds(task_id), "it starts")
    link = wait_for(lambda: [link for link in scene.gateway.open_links() if link.hello.get("worker") == "w1@test"], "the worker connects")[
        0
    ]
    seen = len(link.heartbeats)
    wait_for(lambda: len(link.heartbeats) > seen, "a heartbeat")
    listed = [item for beat in link.heartbeats[seen:] for item in beat["running"] if task_id in item]
    assert listed, link.heartbeats[-1]
    assert scene.end(task_id).kind == "succeeded"
