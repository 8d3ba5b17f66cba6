# SPDX-License-Identifier: Apache-2.0
"""The name of a spool folder. Further tests of `spool_location` are in `test_agent`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from z4j_agent.agent import Agent
from z4j_agent.settings import Settings
from z4j_agent.spool.file_lock import LOCK
from z4j_agent.spool.spool_location import folder_name

DAMAGED = [b"", b"\0" * 16, b"\xff\xfe", b"two words", b"x" * 100]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_name_is_replaced(tmp_path: Path, content: bytes) -> None:
    """By a power failure, for example."""
    (tmp_path / "name").write_bytes(content)
    name = folder_name(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{16}", name)
    assert folder_name(tmp_path) == name
    assert sorted(path.name for path in tmp_path.iterdir()) == [LOCK, "name"]


def test_an_agent_starts_in_a_folder_whose_name_is_damaged(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings()
    settings.spool.mkdir(0o700, parents=True)
    (settings.spool / "name").write_bytes(b"\xff")
    agent = Agent(settings, ())
    assert agent.spool.folder == settings.spool
    assert agent.notes == []


def test_several_processes_replace_a_damaged_name_by_the_same_one(tmp_path: Path) -> None:
    (tmp_path / "name").write_bytes(b"\xff")
    children = []
    for child in range(4):
        if (pid := os.fork()) == 0:
            try:
                (tmp_path / f"child-{child}").write_text(folder_name(tmp_path))
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    assert {path.read_text() for path in tmp_path.glob("child-*")} == {folder_name(tmp_path)}


def test_a_pipe_in_place_of_the_name_does_not_delay_the_application(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "name")
    with pytest.raises(OSError, match="not a regular file"):
        folder_name(tmp_path)
