# SPDX-License-Identifier: Apache-2.0
"""Starting and stopping the agent never raises an exception into the application. Further tests of `lifecycle` are in `test_agent`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import z4j_agent
from z4j_agent import agent as agent_module
from z4j_agent.capture.guard import faults
from z4j_agent.runtime import agent_log
from z4j_agent.runtime.agent_log import FILE, Sink
from z4j_agent.spool.memory import MemorySpool
from z4j_agent.spool.spool import SpoolUnusable

URL = "z4j+ws://tok." + "A" * 43 + "@127.0.0.1:9"


@pytest.fixture(autouse=True)
def _own_sink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("Z4J_LOG")
    made = Sink()
    for module in (agent_log, z4j_agent.lifecycle):
        monkeypatch.setattr(module, "sink", made)


def test_a_process_without_a_home_folder_stores_its_events_in_the_temporary_folder(no_home: Path) -> None:
    agent = z4j_agent.start(url=URL)
    assert agent is not None
    assert agent.settings.spool.parent == no_home / f"z4j-{os.geteuid()}"
    assert faults.total == 0


def test_an_invalid_setting_without_a_home_folder_is_one_line_of_the_log(no_home: Path) -> None:
    assert z4j_agent.start(url="http://nonsense") is None
    assert "z4j is disabled: Z4J_URL does not begin with" in (no_home / f"z4j-{os.geteuid()}" / FILE).read_text()


@pytest.mark.parametrize("url", [URL, "http://nonsense"])
def test_a_spool_folder_that_no_file_can_have_raises_nothing(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "SHARED_MEMORY", tmp_path)
    agent = z4j_agent.start(url=url, spool="a\0b")
    assert agent is None or "instead" in agent.notes[-1]
    assert (agent is not None) == (url == URL)
    assert faults.total == 0


# -- stop --------------------------------------------------------------------------------------------------------------
def spoil(folder: Path | None) -> None:
    """Makes every read of the spool folder raise an OSError, like a process that has no descriptor left."""
    assert folder is not None
    (folder / "0-unreadable.seg").mkdir()


def test_a_spool_that_cannot_be_read_is_a_fault_of_flush(tmp_path: Path) -> None:
    agent = z4j_agent.start(url=URL, spool=tmp_path)
    assert agent is not None
    spoil(agent.shipper.folder)
    assert not agent.flush(0.1)
    assert faults.by_operation["waiting for the spool"] == (1, "IsADirectoryError")


def test_a_spool_that_cannot_be_read_does_not_affect_the_end_of_the_application(gateway: Any, tmp_path: Path, until: Any) -> None:
    agent = z4j_agent.start(url=gateway.url, spool=tmp_path)
    assert agent is not None
    agent.connect()
    until(lambda: agent._connection is not None and agent._connection.is_open)
    spoil(agent.shipper.folder)
    z4j_agent.stop(0.5)
    assert z4j_agent.current() is None
    assert faults.total >= 1


def test_a_socket_that_the_application_has_closed_does_not_affect_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def unusable(_folder: Path) -> None:
        raise SpoolUnusable("read-only")

    monkeypatch.setattr(agent_module, "prepare_folder", unusable)
    agent = z4j_agent.start(url=URL)
    assert agent is not None
    assert isinstance(agent.spool, MemorySpool)
    os.close(agent.spool._reader.fileno())
    z4j_agent.stop()


def test_what_fails_in_the_agent_while_it_is_stopped_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_timeout_s: float) -> None:
        raise ValueError("unforeseen")

    agent = z4j_agent.start(url=URL, spool=tmp_path)
    monkeypatch.setattr(agent, "stop", fail)
    z4j_agent.stop()
    assert faults.by_operation["stop"] == (1, "ValueError")


def test_two_threads_may_empty_the_queue_of_offered_jobs(tmp_path: Path) -> None:
    """`stop` empties it too if the agent's thread did not end in time."""
    agent = z4j_agent.start(url=URL, spool=tmp_path)
    assert agent is not None
    agent._offered.extend([agent._offered.clear, lambda: None])
    assert not agent.drain_offered()
    assert faults.total == 0
