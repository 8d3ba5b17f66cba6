# SPDX-License-Identifier: Apache-2.0
"""Starting and stopping the agent never raises an exception into the application. Further tests of `lifecycle` are in `test_agent`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import z4j_agent
from z4j_agent.capture.guard import faults
from z4j_agent.runtime import agent_log
from z4j_agent.runtime.agent_log import FILE, Sink

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
def test_a_spool_folder_that_no_file_can_have_raises_nothing(url: str) -> None:
    z4j_agent.start(url=url, spool="a\0b")
