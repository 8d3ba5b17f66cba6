# SPDX-License-Identifier: Apache-2.0
"""Each trap of RQ is found in a worker that has it, and not in one made as the remedy says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer
from rq.worker import SimpleWorker, Worker

from z4j_agent.conformance.harness import Harness
from z4j_agent.contract.adapter import Finding
from z4j_rq.adapter import RqAdapter

Make = Callable[..., Any]
ELSEWHERE = "0.0.0.0"
"""Reaches this machine by a name that is not one of its own, as a Redis elsewhere has."""
TRAPS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "open": ({"host": ELSEWHERE}, {"host": ELSEWHERE, "serializer": JSONSerializer}, "Jobs are pickles"),
    "open to others": ({"host": ELSEWHERE}, {"host": "127.0.0.1"}, "has no password"),
    "simple": ({"kind": SimpleWorker}, {"kind": Worker}, "in its own process"),
    "results": ({"default_result_ttl": 0}, {"default_result_ttl": 300}, "stores no results"),
    "handler": ({"disable_default_exception_handler": True}, {}, "in no registry"),
}


class Broker(Harness):
    """Only a broker."""


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    broker = Broker(tmp_path_factory.mktemp("broker"), "")
    port = broker.start_valkey()
    opened: list[Any] = []

    def made(kind: type = Worker, host: str = "127.0.0.1", serializer: Any = None, **options: Any) -> Any:
        connection = Redis(host=host, port=port)
        opened.append(connection)
        return kind([Queue("work", connection=connection, serializer=serializer)], connection=connection, serializer=serializer, **options)

    try:
        yield made
    finally:
        for connection in opened:
            connection.close()
        broker.tear_down()


def findings_of(worker: Any) -> list[Finding]:
    adapter = RqAdapter()
    adapter.state.alive = {0: worker} if worker is not None else {}
    return adapter.findings()


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_is_found_and_its_remedy_works(make: Make, trap: str) -> None:
    trapped, remedied, word = TRAPS[trap]
    (reported,) = [finding for finding in findings_of(make(**trapped)) if word in finding.what]
    assert reported.level == "warning"
    assert reported.remedy.endswith(".")
    assert not [finding for finding in findings_of(make(**remedied)) if word in finding.what]


def test_neither_a_good_worker_nor_a_producer_has_findings(make: Make) -> None:
    assert findings_of(make()) == []
    assert findings_of(None) == []


def test_findings_are_the_worker_s_notes(make: Make) -> None:
    adapter = RqAdapter()
    adapter.state.alive = {0: make(default_result_ttl=0)}
    shown = adapter.worker()
    assert shown is not None
    assert [note.startswith("RQ stores no results") for note in shown.notes] == [True]


def test_a_socket_file_is_not_open_to_others(tmp_path: Path, make: Make) -> None:
    worker = make()
    worker.connection = Redis(unix_socket_path=str(tmp_path / "redis.sock"))
    assert findings_of(worker) == []
