# SPDX-License-Identifier: Apache-2.0
"""What a consumer holds back, what a storage refuses it, and what nobody watched who sent it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huey as engine
import pytest

import z4j_agent
import z4j_huey
from z4j_agent.conformance.assertions import ENDS, worker_link
from z4j_agent.conformance.gateway import Gateway, Record
from z4j_agent.conformance.harness import Harness, wait_for

HAS_RATE_LIMIT = hasattr(engine.api.Huey, "rate_limit")
APP = """
from huey import SqliteHuey
import z4j_huey
huey = SqliteHuey("shop", filename="shop.db")
z4j_huey.install(huey)

@huey.task()
def add(one, other, password=""):
    return one + other

def limited(retry):
    with huey.rate_limit(f"limit-{retry}", 1, per=1, retry=retry):
        return "passed"

@huey.task()
def dropped():
    return limited(False)

@huey.task()
def held_back():
    return limited(True)

@huey.task()
def of_a_kind():
    return "not revoked"

@huey.task(retries=1)
def stranded():
    def refuse(*_, **__):
        del huey.storage.enqueue
        raise ConnectionError("no broker")
    huey.storage.enqueue = refuse
    raise LookupError("no such door")
"""


class Shop(Harness):
    """The application above on SQLite, with one worker thread."""

    queue = "shop"

    def consume(self) -> subprocess.Popen[bytes]:
        (self.folder / "shop.py").write_text(APP, "utf-8")
        options = ["-k", "thread", "-w", "1", "-d", "0.02", "-m", "0.05"]
        return self.start("worker", [sys.executable, "-m", "huey.bin.huey_consumer", "shop.huey", *options], cwd=self.folder)

    def run(self, code: str, **environment: str) -> str:
        """What a producer prints that runs `code` after `from shop import *`."""
        done = subprocess.run(
            [sys.executable, "-c", f"from shop import *\n{code}"],
            cwd=self.folder, env=self.environment() | environment, capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        return done.stdout.strip()


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def shop(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    made = Shop(tmp_path_factory.mktemp("shop"), gateway.url)
    try:
        made.consume()
        worker_link(gateway)
        yield made
    finally:
        made.tear_down()


def reported(gateway: Gateway, task_id: str, attempt: int = 0) -> list[Record]:
    """Everything about a task, once this attempt has ended."""

    def find() -> bool:
        return any(record.kind in ENDS and record.attempt >= attempt for record in gateway.records(task_id))

    wait_for(find, f"the end of {task_id}")
    return gateway.records(task_id)


def test_what_nobody_watched_has_its_arguments_from_the_worker(gateway: Gateway, shop: Shop) -> None:
    task_id = shop.run("print(add(1, 2, 'hunter2').id)", Z4J_URL="")
    records = reported(gateway, task_id)
    assert {"enqueued"}.isdisjoint(record.kind for record in records)
    assert [(r.name, r.queue, r.rest["result"]) for r in records if r.kind == "succeeded"] == [("shop.add", "shop", "3")]
    (payload,) = [record for record in records if record.kind == "payload"]
    assert payload.rest["rank"] == 1
    assert "hunter2" not in payload.rest["args"]
    assert b"hunter2" not in b"".join(gateway.raw)


@pytest.mark.skipif(not HAS_RATE_LIMIT, reason="rate limits came with Huey 3")
def test_over_a_rate_limit_it_is_rejected_or_tried_again(gateway: Gateway, shop: Shop) -> None:
    first, second = shop.run("print(dropped().id, dropped().id)").split()
    assert [r.kind for r in reported(gateway, first) if r.kind in ENDS] == ["succeeded"]
    assert [(r.kind, r.rest["reason"]) for r in reported(gateway, second) if r.kind in ENDS] == [("rejected", "rate_limited")]
    first, second = shop.run("print(held_back().id, held_back().id)").split()
    assert [r.kind for r in reported(gateway, first) if r.kind in ENDS] == ["succeeded"]
    records = reported(gateway, second, 1)
    (retried,) = [record for record in records if record.kind == "retried"]
    assert (retried.attempt, retried.rest["reason"]) == (0, "rate_limited")
    assert retried.rest["eta"] > retried.at
    assert [(r.attempt, r.rest["result"]) for r in records if r.kind == "succeeded"] == [(1, '"passed"')]


def test_a_whole_kind_of_task_is_revoked(gateway: Gateway, shop: Shop) -> None:
    task_id = shop.run("of_a_kind.revoke(); print(of_a_kind().id)")
    assert [(r.kind, r.rest["reason"]) for r in reported(gateway, task_id) if r.kind in ENDS] == [("cancelled", "revoked")]
    task_id = shop.run("of_a_kind.restore(); print(of_a_kind().id)")
    assert [r.kind for r in reported(gateway, task_id) if r.kind in ENDS] == ["succeeded"]


def test_a_next_attempt_that_the_storage_refuses_is_a_failure(gateway: Gateway, shop: Shop) -> None:
    records = reported(gateway, shop.run("print(stranded().id)"))
    (failed,) = [record for record in records if record.kind in ENDS]
    assert (failed.kind, failed.attempt, failed.rest["reason"], failed.rest["error_type"]) == ("failed", 0, "not_requeued", "LookupError")
    assert [record.attempt for record in records if record.kind == "enqueued"] == [0]
    again = shop.run("print(add(1, 2).id)")
    assert [r.kind for r in reported(gateway, again) if r.kind in ENDS] == ["succeeded"]


def test_an_older_huey_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setenv("Z4J_LOG", "logging")
    monkeypatch.setattr(engine, "__version__", "2.4.9")
    huey = engine.SqliteHuey("shop", filename=str(tmp_path / "shop.db"))
    before = {**vars(huey)}
    z4j_huey.install(huey, url="z4j+ws://z4a_token@127.0.0.1:9", spool=tmp_path / "spool")
    try:
        assert [record.message for record in caplog.records if "2.4.9 is older" in record.message]
        assert vars(huey) == before
    finally:
        z4j_huey.uninstall(huey)
        z4j_agent.stop()
