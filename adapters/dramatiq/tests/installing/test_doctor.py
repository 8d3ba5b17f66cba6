# SPDX-License-Identifier: Apache-2.0
"""Each trap of Dramatiq is found in a broker that has it, and not in one made as the remedy says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.encoder import JSONEncoder, PickleEncoder
from dramatiq.middleware import Middleware, Retries, TimeLimit
from dramatiq.worker import Worker

import z4j_agent
import z4j_dramatiq
from z4j_dramatiq.adapter import DramatiqAdapter

TRAPS: dict[str, tuple[Any, Any, str, str]] = {
    "retries": (RedisBroker(middleware=[TimeLimit()]), RedisBroker(), "warning", "as done"),
    "limits": (RedisBroker(middleware=[Retries()]), RedisBroker(), "warning", "occupies its thread"),
    "maintenance": (RedisBroker(maintenance_chance=0), RedisBroker(), "error", "are not requeued"),
    "confirmation": (RabbitmqBroker(), RabbitmqBroker(confirm_delivery=True), "warning", "confirms are disabled"),
    "stub": (StubBroker(), RedisBroker(), "warning", "in the memory of this process"),
}


@pytest.fixture(autouse=True)
def nothing_left_over() -> Iterator[None]:
    yield
    z4j_dramatiq.uninstall()
    z4j_agent.stop()


def install(broker: Any, folder: Path) -> DramatiqAdapter:
    z4j_dramatiq.install(broker, url="z4j+ws://z4a_token@127.0.0.1:9", spool=folder)
    return z4j_dramatiq._installation.part_for(broker)


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_is_found_and_its_remedy_works(trap: str, tmp_path: Path) -> None:
    trapped, remedied, level, word = TRAPS[trap]
    (reported,) = [finding for finding in install(trapped, tmp_path).findings() if word in finding.what]
    assert reported.level == level
    assert reported.remedy.endswith(".")
    assert not [finding for finding in install(remedied, tmp_path).findings() if word in finding.what]


def test_a_broker_without_traps_has_no_findings(tmp_path: Path) -> None:
    assert install(RedisBroker(), tmp_path).findings() == []
    assert install(RabbitmqBroker(confirm_delivery=True), tmp_path).findings() == []


def test_a_middleware_in_front_of_ours_is_named(tmp_path: Path) -> None:
    class First(Middleware):
        pass

    broker = RedisBroker()
    adapter = install(broker, tmp_path)
    broker.add_middleware(First(), before=type(broker.middleware[0]))
    assert ["First runs before" in finding.what for finding in adapter.findings()] == [True]


def test_pickle_is_named(tmp_path: Path) -> None:
    dramatiq.set_encoder(PickleEncoder())
    try:
        assert ["pickle" in finding.what for finding in install(RedisBroker(), tmp_path).findings()] == [True]
    finally:
        dramatiq.set_encoder(JSONEncoder())


def test_limits_that_nobody_watches_are_named(tmp_path: Path) -> None:
    broker = StubBroker()
    adapter = install(broker, tmp_path)
    worker = Worker(broker, worker_timeout=50, worker_threads=1)
    worker.start()
    try:
        assert [f.what for f in adapter.findings() if "not enforced" in f.what]
        notes = adapter.worker()
        assert notes is not None
        assert any("not enforced" in note for note in notes.notes)
        broker.emit_after("process_boot")
        assert not [f.what for f in adapter.findings() if "not enforced" in f.what]
    finally:
        worker.stop()
