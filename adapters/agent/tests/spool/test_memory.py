# SPDX-License-Identifier: Apache-2.0
"""The spool in memory, for a process without a folder that it can write."""

from __future__ import annotations

import os
import resource
from typing import Any

import pytest

from z4j_agent.spool import memory as module
from z4j_agent.spool.memory import MAX_DATAGRAM, MemorySpool
from z4j_agent.wire import encode_record


def test_memory_ships_acks_and_sends_again() -> None:
    memory = MemorySpool(lambda: b"\x1eO\n")
    assert memory.try_take()
    assert memory.next_batch() is None
    assert memory.is_empty()
    memory.rewind()
    assert memory.append(b"\x1e1\n")
    assert not memory.is_empty()
    first = memory.next_batch()
    assert first is not None
    assert first.data == b"\x1eO\n\x1e1\n"
    assert not memory.is_empty()
    memory.rewind()
    again = memory.next_batch()
    assert again is not None
    assert again.data == b"\x1eO\n\x1eO\n\x1e1\n"
    memory.acked(again)
    memory.acked(again)
    assert memory.is_empty()
    assert memory.bytes == 0
    memory.give_up()
    memory.close()
    assert not memory.append(b"x")


def test_memory_is_bounded(monkeypatch: Any) -> None:
    from z4j_agent.spool import memory as memory_module

    memory = MemorySpool(lambda: b"\x1eO\n")
    assert not memory.append(b"x" * (MAX_DATAGRAM + 1))
    for n in range(20_000):
        if not memory.append(b"\x1e" + b"%d" % n * 200 + b"\n"):
            break
    else:
        pytest.fail("a pair that is never read cannot take everything")
    assert memory.take_dropped() == 2
    monkeypatch.setattr(memory_module, "KEEP_BYTES", 1_000)
    memory._receive()
    memory.tidy()
    assert memory.bytes <= 1_000
    assert memory.dropped == memory.dropped_total - 2 > 0
    memory._waiting.clear()
    memory._waiting.extend([b"a" * 200_000, b"b" * 200_000])
    first = memory.next_batch()
    assert first is not None
    assert len(first.data) == 200_000
    memory.close()


def test_every_record_of_a_dropped_item_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that were appended together are one item, and so is a batch that is sent again."""
    memory = MemorySpool(lambda: b"\x1eO\n")
    memory.append(b"\x1e1\n\x1e2\n", 2)
    for number in range(3, 6):
        memory.append(b"\x1e%d\n" % number)
    assert memory.next_batch() is not None
    memory.append(b"\x1e6\n\x1e7\n", 2)
    memory._receive()
    memory.rewind()
    monkeypatch.setattr(module, "KEEP_BYTES", 0)
    memory.tidy()
    assert (memory.bytes, memory.dropped, memory.dropped_total) == (0, 8, 8), "seven and the origin"
    memory.close()


def test_losses_whose_report_is_dropped_are_reported_again(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = MemorySpool(lambda: b"\x1eO\n")
    memory.append(b"\x1e1\n")
    memory.append(encode_record(["gap", "key", 1, {"count": 40, "cause": "the spool refused writes"}]))
    memory._receive()
    monkeypatch.setattr(module, "KEEP_BYTES", 0)
    memory.tidy()
    assert memory.take_dropped() == 41
    assert memory.dropped_total == 1, "the others were counted before"
    memory.close()


def test_memory_across_a_fork() -> None:
    memory = MemorySpool(lambda: b"\x1eO\n")
    if (pid := os.fork()) == 0:
        memory.after_fork_in_child()
        is_right = memory.append(b"\x1echild\n") and memory.is_empty() and memory.next_batch() is None
        memory.new_segment()  # a producer's child that dials in itself reads for itself
        memory.append(b"\x1eown\n")
        batch = memory.next_batch()
        is_right = is_right and batch is not None and batch.data == b"\x1eO\n\x1eown\n"
        os._exit(0 if is_right else 1)
    assert os.waitpid(pid, 0)[1] == 0
    batch = memory.next_batch()
    assert batch is not None
    assert batch.data == b"\x1echild\n"
    memory.close()


def test_descriptors_that_the_application_has_closed_raise_nothing() -> None:
    """A fork handler that raises writes to the application's standard error."""
    forked, closed = MemorySpool(lambda: b"\x1eO\n"), MemorySpool(lambda: b"\x1eO\n")
    os.close(forked._reader.fileno())
    forked.after_fork_in_child()
    os.close(closed._writer.fileno())
    closed.close()
    forked.close()


def test_a_child_without_a_free_descriptor_counts_its_records_until_it_has_one() -> None:
    memory = MemorySpool(lambda: b"\x1eO\n")
    memory.after_fork_in_child()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        memory.new_segment()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert memory.take_dropped() == 1, "its origin"
    assert memory.next_batch() is None
    memory.new_segment()
    assert memory.append(b"\x1e1\n")
    assert memory.next_batch() is not None
    memory.close()
