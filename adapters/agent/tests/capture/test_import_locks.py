# SPDX-License-Identifier: Apache-2.0
"""A process that the host forks while the agent's thread imports something can import the same."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import z4j_agent

SLOW = """
import time
import {name}_before
IS_BEGUN = True
time.sleep({seconds})
import {name}_after
IS_DONE = True
"""
FORKING = """
import os, signal, sys
import z4j_agent
agent = z4j_agent.start(url=sys.argv[1], spool=sys.argv[2])
agent.become_{role}("w")
agent.connect()
pid = os.fork()
if pid == 0:
    signal.alarm(30)  # ends this child where it waits for good
    import websockets.sync.client, encodings.idna, z4j_agent.connection.tls, ssl, http.client, asyncio
    os._exit(0 if websockets.sync.client.connect else 1)
print(os.waitpid(pid, 0)[1])
z4j_agent.stop(0.1)
"""
PATIENCE_S = 60


def status_of(pid: int) -> int:
    """Of a child that ends; fails, and ends it, where it does not."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pytest.fail("the child waits for an import that nobody finishes")


@pytest.mark.parametrize("role", ["producer", "worker", "scheduler"])
@pytest.mark.parametrize("is_package", [False, True])
def test_a_child_imports_what_the_agent_was_importing(
    role: str, is_package: bool, tmp_path: Path, gateway: Any, until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"slow_{role}_{int(is_package)}"
    folder = tmp_path / name if is_package else tmp_path
    folder.mkdir(exist_ok=True)
    (folder / ("__init__.py" if is_package else f"{name}.py")).write_text(SLOW.format(name=name, seconds=3))
    for part in ("before", "after"):
        (tmp_path / f"{name}_{part}.py").write_text("IS_DONE = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    agent = z4j_agent.start(url=gateway.url)
    assert agent is not None
    if role != "producer":
        agent.become_worker("w")  # a scheduler's first step, too, would connect at once
    agent.connect()
    until(lambda: gateway.hellos)
    agent.offer(lambda: importlib.import_module(name) and None)  # the agent's thread does it
    until(lambda: hasattr(sys.modules.get(name), "IS_BEGUN"))
    before = sys.modules[f"{name}_before"]
    if (pid := os.fork()) == 0:
        module = importlib.import_module(name)
        is_right = module.IS_DONE and sys.modules[f"{name}_after"].IS_DONE and sys.modules[f"{name}_before"] is before
        os._exit(0 if is_right else 1)
    assert status_of(pid) == 0
    until(lambda: hasattr(sys.modules.get(name), "IS_DONE"))  # the agent's own import went on


def test_what_another_thread_imports_is_left_alone(tmp_path: Path, gateway: Any, until: Callable[..., Any]) -> None:
    """A module the host itself is importing while it forks stays as it is."""
    (tmp_path / "forks_while_imported.py").write_text(
        "import os, sys\nIS_FIRST = True\npid = os.fork()\n"
        "if pid == 0:\n    os._exit(0 if sys.modules[__name__].__dict__ is globals() else 1)\nIS_DONE = os.waitpid(pid, 0)[1] == 0\n"
    )
    agent = z4j_agent.start(url=gateway.url)
    assert agent is not None
    agent.connect()
    until(lambda: gateway.hellos)
    sys.path.insert(0, str(tmp_path))
    try:
        assert importlib.import_module("forks_while_imported").IS_DONE
    finally:
        sys.path.remove(str(tmp_path))


@pytest.mark.parametrize("role", ["worker", "scheduler"])
def test_a_child_forked_right_after_connecting_imports_what_the_connection_needs(role: str, tmp_path: Path, gateway: Any) -> None:
    command = [sys.executable, "-c", FORKING.format(role=role), gateway.url, str(tmp_path / "spool")]
    for _ in range(5):
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
        assert ended.stdout.strip() == "0", ended.stderr


FIRST_USE = """
import sys, threading
import z4j_agent
agent = z4j_agent.start(url=sys.argv[1], spool=sys.argv[2])
from z4j_agent.capture import hooks
from z4j_agent.wire import records
imported = []

class Watching:
    def find_spec(name, path=None, target=None):
        if threading.current_thread() is threading.main_thread():
            imported.append(name)

sys.meta_path.insert(0, Watching)
agent.append(records.enqueued("fake", "t", 1, 1, agent.run, "name", "q", eta=None, meta={"route": hooks.route()}))
agent.append(agent.payload("fake", "t", 1, "name", "q", 1, ["eve"], {"password": "x"}, {"body": b"x"}))
agent.connect()
print(imported)
z4j_agent.stop(0.1)
"""


def test_the_first_request_of_an_application_imports_nothing(tmp_path: Path, gateway: Any) -> None:
    """What would be imported in it would be waited for by whoever enqueues first."""
    command = [sys.executable, "-c", FIRST_USE, gateway.url, str(tmp_path / "spool")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    assert ended.stdout.strip() == "[]", ended.stderr
