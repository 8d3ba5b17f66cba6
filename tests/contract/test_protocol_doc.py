# SPDX-License-Identifier: AGPL-3.0-or-later
"""Checks that PROTOCOL.md, the agent's definitions and the server's frames name the same fields."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.structs import fields

from z4j.wire import frames
from z4j_agent.wire import kinds

TEXT = (Path(__file__).resolve().parents[2] / "adapters/agent/PROTOCOL.md").read_text()
FRAMES = kinds.AGENT_FRAMES | kinds.SERVER_FRAMES
READ: dict[str, type[Struct]] = {
    "hello": frames.Hello,
    "discovery": frames.Discovery,
    "heartbeat": frames.Heartbeat,
    "schedules": frames.Schedules,
}
"""Frames that the server reads."""


def plain(names: tuple[str, ...]) -> set[str]:
    return {name.removesuffix("?") for name in names}


@pytest.mark.parametrize("frame", FRAMES)
def test_the_document_names_the_fields_of_a_frame(frame: str) -> None:
    found = re.search(rf"^\| `{frame}` \| (agent|server) \| `([^`]+)` \|$", TEXT, re.M)
    assert found
    assert found[1] == ("agent" if frame in kinds.AGENT_FRAMES else "server")
    assert plain(tuple(found[2].split())) == plain(FRAMES[frame])


@pytest.mark.parametrize("frame", READ)
def test_the_server_reads_the_fields_that_the_agent_defines(frame: str) -> None:
    assert {field.name for field in fields(READ[frame])} == plain(FRAMES[frame])


def test_the_document_names_the_optional_fields_of_a_record() -> None:
    listed = re.search(r"`meta` is null or an object with optional fields:\s+`([^`]+)`", TEXT)
    assert listed
    assert set(listed[1].split()) == set(kinds.META_KEYS)


def test_the_document_names_the_close_codes() -> None:
    assert {int(code) for code in re.findall(r"^\| (4\d\d\d) \|", TEXT, re.M)} == set(kinds.CLOSE)
