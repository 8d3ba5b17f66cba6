# SPDX-License-Identifier: Apache-2.0
"""Where a running task is: in a thread, in an asyncio task, and in a forked child; never a value."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from z4j_agent.capture import current_run
from z4j_agent.contract.capabilities import Refused
from z4j_agent.runtime import stacks


@pytest.fixture(autouse=True)
def nothing_watched() -> Iterator[None]:
    stacks._watched.clear()
    yield
    stacks._watched.clear()


def make_agent(folder: Path | None, *, is_child: bool = False) -> Any:
    run = f"boot.{os.getpid()}"
    settings = SimpleNamespace(are_children_watched=True)
    return SimpleNamespace(boot="boot", run=run, is_worker_child=is_child, shipper=SimpleNamespace(folder=folder), settings=settings)


def begin(agent: Any) -> current_run.CurrentRun:
    return current_run.begin(agent, "celery", "a", 0, 1, "shop.ship", "orders")


def functions(facts: dict[str, Any]) -> list[str]:
    return [line.rpartition(" ")[2] for line in facts["stack"]]


def test_a_thread_is_asked_from_another(tmp_path: Path) -> None:
    agent, is_ready, is_over = make_agent(tmp_path), threading.Event(), threading.Event()

    def wait_for_the_bank(password: str) -> None:
        is_ready.set()
        is_over.wait(20)

    def execute() -> None:
        run = begin(agent)
        wait_for_the_bank("hunter2")
        current_run.end(run)

    thread = threading.Thread(target=execute)
    thread.start()
    is_ready.wait(20)
    facts = stacks.read(tmp_path, "celery", "a", agent.run)
    assert facts["of"] == "thread"
    assert functions(facts).index("execute") < functions(facts).index("wait_for_the_bank")
    assert "hunter2" not in str(facts)
    is_over.set()
    thread.join()
    with pytest.raises(Refused, match="no longer running"):
        stacks.read(tmp_path, "celery", "a", agent.run)
    with pytest.raises(Refused, match="cannot report its stack"):
        stacks.read(None, "celery", "a", "other.1")


def test_a_suspended_coroutine_is_followed_to_what_it_awaits(tmp_path: Path) -> None:
    agent = make_agent(tmp_path)

    async def ask_the_bank() -> None:
        await asyncio.sleep(20)

    async def pay() -> None:
        begin(agent)
        await ask_the_bank()

    async def main() -> dict[str, Any]:
        task = asyncio.create_task(pay())
        await asyncio.sleep(0.01)
        facts = stacks.read(tmp_path, "celery", "a", agent.run)
        current_run.end(current_run.running()[0])
        task.cancel()
        return facts

    facts = asyncio.run(main())
    assert facts["of"] == "asyncio task"
    assert functions(facts)[:2] == ["pay", "ask_the_bank"]


def test_a_forked_child_answers_through_its_pipe(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        agent = make_agent(tmp_path, is_child=True)
        current_run.observe((stacks.begin,), ())

        def in_the_child() -> None:
            time.sleep(30)

        begin(agent)
        in_the_child()
        os._exit(0)
    try:
        ends = time.monotonic() + 20
        while not list(tmp_path.glob("*.pipe")) and time.monotonic() < ends:
            time.sleep(0.01)
        time.sleep(0.2)
        for _ in range(2):
            facts = stacks.read(tmp_path, "celery", "a", f"boot.{pid}")
            assert functions(facts)[-1] == "in_the_child"
        assert [path.suffix for path in tmp_path.iterdir()] == [".pipe"], "answers are removed"
        assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    with pytest.raises(Refused, match="cannot report its stack"):
        stacks.read(tmp_path, "celery", "a", f"boot.{pid}")
    assert list(tmp_path.iterdir()) == [], "the pipe of a process that has ended is removed"


def test_why_a_worker_cannot_be_asked(tmp_path: Path) -> None:
    agent = make_agent(tmp_path)
    children: Any = SimpleNamespace(runs_in_children=lambda: True)
    assert stacks.why_not(agent.settings, children) == ""
    agent.settings.are_children_watched = False
    assert "Z4J_STACKS=1" in stacks.why_not(agent.settings, children)
    assert stacks.why_not(agent.settings, SimpleNamespace(runs_in_children=lambda: False)) == ""  # type: ignore[arg-type]
