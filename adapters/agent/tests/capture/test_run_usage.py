# SPDX-License-Identifier: Apache-2.0
"""What a run uses: CPU of its thread or process, and the highest memory of the process."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from z4j_agent.capture import current_run, run_usage
from z4j_agent.capture.current_run import CurrentRun
from z4j_agent.capture.run_usage import used


@pytest.fixture(autouse=True)
def observed() -> Iterator[None]:
    current_run.observe((run_usage.begin,), (run_usage.end,))
    yield
    current_run.observe((), ())


def begin(*, is_child: bool = False) -> CurrentRun:
    agent: Any = SimpleNamespace(run="boot.7", is_worker_child=is_child)
    return current_run.begin(agent, "celery", "a", 0, 1, "shop.ship", "orders")


def numbers(text: str) -> list[int]:
    assert text[0] == ","
    found: list[int] = json.loads(text[1:])
    return found


def burn(cpu_s: float) -> None:
    ends = time.thread_time() + cpu_s
    while time.thread_time() < ends:
        sum(range(1_000))


def test_the_cpu_time_of_a_thread_is_its_own() -> None:
    run = begin()
    other = threading.Thread(target=burn, args=(0.05,))
    other.start()
    other.join()
    burn(0.02)
    current_run.end(run)
    cpu_us, scope, peak, rise, is_own = numbers(used(run))
    assert 20_000 <= cpu_us < 45_000
    assert (scope, is_own) == (run_usage.THREAD, 0)
    assert peak > 1_000
    assert rise >= 0


def test_that_of_a_child_is_of_the_process() -> None:
    run = begin(is_child=True)
    other = threading.Thread(target=burn, args=(0.03,))
    other.start()
    other.join()
    run.is_own_process = True
    current_run.end(run)
    cpu_us, scope, _, _, is_own = numbers(used(run))
    assert cpu_us >= 30_000
    assert (scope, is_own) == (run_usage.PROCESS, 1)


def test_a_coroutine_has_no_cpu_time_of_its_own() -> None:
    async def task() -> str:
        run = begin()
        burn(0.002)
        current_run.end(run)
        return used(run)

    assert numbers(asyncio.run(task()))[0] == -1


def test_memory_that_the_run_needed_is_its_rise() -> None:
    run = begin()
    peak = 0
    while peak < 64 * 1024:  # more than any earlier test of this process has used
        block = bytearray(256 * 1024 * 1024)
        block[::4_096] = b"x" * len(block[::4_096])
        peak = numbers(used(run))[2]
        del block
        break
    current_run.end(run)
    assert numbers(used(run))[2] >= 250 * 1024


def test_an_end_that_another_thread_reports_keeps_what_was_measured() -> None:
    made: list[CurrentRun] = []

    def execute() -> None:
        made.append(begin())
        burn(0.005)
        run_usage.measure(made[0])

    thread = threading.Thread(target=execute)
    thread.start()
    thread.join()
    current_run.end(made[0])
    assert numbers(used(made[0]))[0] >= 5_000


def test_nothing_is_said_of_a_run_that_was_not_measured() -> None:
    assert used(None) == ""
    current_run.observe((), ())
    run = begin()
    current_run.end(run)
    assert used(run) == ""
