# SPDX-License-Identifier: Apache-2.0
"""Which run is the current one: in threads, asyncio tasks, nested runs, forked children, and after the end."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from z4j_agent.capture import current_run
from z4j_agent.capture.current_run import CurrentRun

AGENT: Any = SimpleNamespace(run="boot.7", settings=None)


@pytest.fixture(autouse=True)
def nothing_runs() -> None:
    assert current_run.running() == []


def begin(task_id: str) -> CurrentRun:
    return current_run.begin(AGENT, "celery", task_id, 1, 1_700_000_000_000_000, "shop.ship", "orders")


def test_there_is_none_outside_of_a_task() -> None:
    assert current_run.current() is None
    current_run.end(None)


def test_a_run_says_which_task_and_attempt_it_is() -> None:
    run = begin("a")
    assert current_run.current() is run
    assert current_run.running() == [run]
    assert (run.engine, run.task_id, run.attempt, run.started_at) == ("celery", "a", 1, 1_700_000_000_000_000)
    assert (run.run, run.name, run.queue, run.thread) == ("boot.7", "shop.ship", "orders", threading.get_ident())
    current_run.end(run)
    current_run.end(run)
    assert current_run.current() is None
    assert current_run.running() == []


def test_a_task_within_a_task_gives_its_caller_back() -> None:
    outer, inner = begin("outer"), begin("inner")
    assert current_run.current() is inner
    current_run.end(inner)
    assert current_run.current() is outer
    current_run.end(outer)


def test_ended_runs_are_not_kept_by_later_ones() -> None:
    context = contextvars.copy_context()
    first = context.run(begin, "first")
    current_run.end(first)  # in another context than it began in
    second = context.run(begin, "second")
    assert second.outer is None
    current_run.end(second)


def test_each_thread_has_its_own() -> None:
    seen: dict[str, Any] = {}
    began, done = threading.Event(), threading.Event()

    def work() -> None:
        run = begin("of the thread")
        seen["own"] = current_run.current()
        began.set()
        done.wait(5)
        current_run.end(run)

    thread = threading.Thread(target=work)
    run = begin("of the main thread")
    thread.start()
    assert began.wait(5)
    assert current_run.current() is run
    assert {each.task_id for each in current_run.running()} == {"of the thread", "of the main thread"}
    done.set()
    thread.join()
    assert seen["own"].task_id == "of the thread"
    current_run.end(run)


def test_tasks_of_asyncio_have_their_own_and_what_they_start_has_it_until_the_end() -> None:
    async def work(task_id: str) -> list[str | None]:
        run = begin(task_id)
        gate = asyncio.Event()

        async def background() -> str | None:
            await gate.wait()
            here = current_run.current()
            return None if here is None else here.task_id

        started = asyncio.create_task(background())
        await asyncio.sleep(0)
        in_thread = await asyncio.to_thread(current_run.current)
        current_run.end(run)
        gate.set()
        return [in_thread.task_id if in_thread else None, await started]

    async def both() -> list[list[str | None]]:
        return await asyncio.gather(work("a"), work("b"))

    assert asyncio.run(both()) == [["a", None], ["b", None]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a fork beside threads of other tests
def test_a_forked_child_keeps_only_the_run_that_forked() -> None:
    other = contextvars.copy_context().run(begin, "in another thread")
    run = begin("forks")
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        current_run.after_fork_in_child()
        here = current_run.current()
        os.write(writer, f"{here and here.task_id}:{len(current_run.running())}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reader, 100) == b"forks:1"
    os.close(reader)
    os.close(writer)
    current_run.end(run)
    current_run.end(other)
