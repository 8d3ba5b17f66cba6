# SPDX-License-Identifier: Apache-2.0
"""How Celery's tasks belong together, and that what was acknowledged late comes back, marked, when its child was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from z4j_agent.conformance.gateway import Gateway, Record
from z4j_agent.conformance.harness import Harness, wait_for

APPS = Path(__file__).resolve().parents[1] / "apps"


class Studio(Harness):
    port = 0

    def environment(self) -> dict[str, str]:
        own = {"PYTHONPATH": str(APPS), "C_FORCE_ROOT": "1", "BEGUN": str(self.folder)}
        return super().environment() | own | {"BROKER_URL": f"redis://127.0.0.1:{self.port}/0"}

    def start_worker(self, name: str = "w1") -> subprocess.Popen[bytes]:
        celery = [sys.executable, "-m", "celery", "-A", "canvas_app", "worker", "--loglevel", "INFO", "-n", f"{name}@test", "-c", "2"]
        worker = self.start(name, celery, cwd=self.folder)
        wait_for(lambda: " ready." in self.log(name), f"{name} is ready", seconds=40)
        return worker

    def send(self, what: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", f"import json, canvas_app; print(json.dumps(canvas_app.send({what!r})))"],
            env=self.environment(), capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        ids: list[str] = json.loads(done.stdout)
        return ids


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, gateway: Gateway) -> Iterator[Studio]:
    made = Studio(tmp_path_factory.mktemp("studio"), gateway.url)
    try:
        made.port = made.start_valkey()
        made.start_worker()
        yield made
    finally:
        made.tear_down()


def records_of(gateway: Gateway, task_id: str, kind: str, count: int = 1) -> list[Record]:
    def find() -> list[Record]:
        records = [record for record in gateway.records(task_id) if record.kind == kind]
        return records if len(records) >= count else []

    return wait_for(find, f"{count} {kind} of {task_id}", seconds=20)


def belongs(gateway: Gateway, task_id: str) -> dict[str, str]:
    """What the producer, or the child that let the canvas go on, said of it; the worker that received it must say the same."""
    keys = ("parent_id", "root_id", "group_id")
    sent, received = records_of(gateway, task_id, "enqueued")[0].meta, records_of(gateway, task_id, "received")[0].meta
    meta = {key: sent[key] for key in keys if key in sent}
    assert all(received[key] == meta.get(key) for key in keys if key in received)
    return meta


def test_a_chain(studio: Studio, gateway: Gateway) -> None:
    first, second, third = studio.send("chain")
    assert records_of(gateway, third, "succeeded")[0].rest["result"] == "7"
    assert belongs(gateway, first) == {}
    assert belongs(gateway, second) == {"parent_id": first, "root_id": first}
    assert belongs(gateway, third) == {"parent_id": second, "root_id": first}


def test_what_celery_shows_instead_of_the_name_is_a_label(studio: Studio, gateway: Gateway) -> None:
    [task_id] = studio.send("label")
    sent, received = records_of(gateway, task_id, "enqueued")[0], records_of(gateway, task_id, "received")[0]
    assert sent.name == received.name == "canvas_app.add"
    assert sent.meta["label"].startswith("nightly report password=")
    assert "opensesame" not in sent.meta["label"]


def test_a_group(studio: Studio, gateway: Gateway) -> None:
    group_id, *members = studio.send("group")
    assert [records_of(gateway, member, "succeeded")[0].rest["result"] for member in members] == ["1", "2", "3"]
    metas = [belongs(gateway, member) for member in members]
    assert [each["group_id"] for each in metas] == [group_id] * 3
    assert not any("parent_id" in each for each in metas)


def test_a_chord(studio: Studio, gateway: Gateway) -> None:
    body, *members = studio.send("chord")
    assert records_of(gateway, body, "succeeded")[0].rest["result"] == "6"
    metas = [belongs(gateway, member) for member in members]
    assert len({each["group_id"] for each in metas}) == 1
    assert belongs(gateway, body)["parent_id"] in members


def test_what_a_killed_child_had_is_delivered_again(studio: Studio, gateway: Gateway) -> None:
    task_id = studio.send("child")[0]
    os.kill(records_of(gateway, task_id, "started")[0].pid, signal.SIGKILL)
    comes_back(gateway, task_id)


def comes_back(gateway: Gateway, task_id: str) -> None:
    """A second run of the same attempt, marked; nobody says that the task had ended before."""
    end = records_of(gateway, task_id, "succeeded")[0]
    first, second = sorted(records_of(gateway, task_id, "started", 2), key=lambda record: record.at)
    assert (first.meta.get("redelivered"), second.meta["redelivered"], end.meta["redelivered"]) == (None, True, True)
    assert (first.attempt, second.attempt, end.attempt, end.rest["result"]) == (0, 0, 0, '"again"')
    assert first.run != second.run == end.run
    assert not [record for record in gateway.records(task_id) if record.kind in ("lost", "failed")]
