# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from z4j_agent import agent as module
from z4j_agent import wire
from z4j_agent.agent import Agent
from z4j_agent.settings import Settings
from z4j_agent.wire import records

HEAD = ("fake", "t1", 0, 5, "b.1", "shop.ship", "work")


@pytest.fixture
def agent(make_settings: Callable[..., Settings]) -> Agent:
    return Agent(make_settings(), ())


def decoded(data: bytes) -> list[list[Any]]:
    return [json.loads(part) for part in wire.split_records(data)]


def test_too_long_a_record_is_refused_and_the_gap_is_told(agent: Agent, segments: Callable[[], list[bytes]]) -> None:
    assert not agent.append(b"\x1e" + b"x" * wire.MAX_RECORD + b"\n")
    assert agent.append(records.started(*HEAD))
    kinds = [record[0] for record in decoded(segments()[0])]
    assert kinds == ["origin", "started", "gap"]
    assert decoded(segments()[0])[2][3]["count"] == 1


def test_a_refused_write_returns_false(agent: Agent, monkeypatch: Any) -> None:
    monkeypatch.setattr(agent.spool, "append", lambda record: False)
    assert not agent.append(b"x")


def test_two_records_are_written_at_once(agent: Agent, segments: Callable[[], list[bytes]], monkeypatch: Any) -> None:
    agent.append(records.started(*HEAD))
    writes: list[int] = []
    true_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: writes.append(len(data)) or true_write(fd, data))
    assert agent.append_together(records.received(*HEAD), records.started(*HEAD))
    assert agent.append_together(records.lost(*HEAD, reason="r"), b"")
    assert len(writes) == 2
    large = records.lost(*HEAD, reason="x" * module.TOGETHER)
    assert agent.append_together(records.started(*HEAD), large)
    assert len(writes) == 4
    assert [record[0] for record in decoded(segments()[0])] == ["origin", "started", "received", "started", "lost", "started", "lost"]


def test_a_record_is_written_although_the_one_that_belongs_to_it_cannot_be_made(agent: Agent, segments: Callable[[], list[bytes]]) -> None:
    def fail() -> bytes:
        raise ValueError("the application's own object")

    with pytest.raises(ValueError, match="own object"):
        agent.append_with(records.enqueued(*HEAD), fail)
    agent.append_with(records.received(*HEAD), lambda: records.started(*HEAD))
    assert [record[0] for record in decoded(segments()[0])] == ["origin", "enqueued", "received", "started"]


def test_of_two_records_on_a_full_disk_those_that_are_missing_are_counted(
    agent: Agent, segments: Callable[[], list[bytes]], monkeypatch: Any
) -> None:
    first, second = records.received(*HEAD), records.started(*HEAD)
    agent.append(records.enqueued(*HEAD))
    true_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: true_write(fd, data[: len(first) + 5]))
    assert not agent.append_together(first, second)
    monkeypatch.setattr(os, "write", true_write)
    assert agent.append(records.lost(*HEAD, reason="r"))
    found = decoded(segments()[0])
    assert [record[0] for record in found] == ["origin", "enqueued", "received", "lost", "gap"]
    assert found[-1][3]["count"] == 1


def test_of_two_large_records_each_is_written_or_counted(agent: Agent, segments: Callable[[], list[bytes]]) -> None:
    too_large = b"\x1e" + b"x" * wire.MAX_RECORD + b"\n"
    assert not agent.append_together(too_large, too_large)
    assert not agent.append_together(too_large, records.started(*HEAD))
    found = decoded(segments()[0])
    assert [record[0] for record in found] == ["origin", "started", "gap"]
    assert found[-1][3]["count"] == 3


def test_losses_whose_report_cannot_be_written_are_reported_later(
    agent: Agent, segments: Callable[[], list[bytes]], monkeypatch: Any
) -> None:
    true_write = os.write

    def full(fd: int, data: bytes) -> int:
        if b'"gap"' in data:
            raise OSError(errno.ENOSPC, "no space")
        return true_write(fd, data)

    for _ in range(5):
        agent.append(b"\x1e" + b"x" * wire.MAX_RECORD + b"\n")
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        assert agent.append(records.received(*HEAD))
    assert (agent.spool.dropped, agent.spool.dropped_total) == (5, 5)
    assert agent.append(records.started(*HEAD))
    found = decoded(segments()[0])
    assert [record[0] for record in found] == ["origin", "received", "started", "gap"]
    assert found[-1][3]["count"] == 5
