# SPDX-License-Identifier: Apache-2.0
"""A purge reports each task before it removes it, and stops where it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from z4j_agent import wire
from z4j_agent.agent import Agent
from z4j_agent.commands.queue_actions import Entry, purge
from z4j_agent.contract.capabilities import Refused
from z4j_agent.settings import Settings


class Written:
    """Notes the order of what is written and removed."""

    def __init__(self, agent: Agent, monkeypatch: pytest.MonkeyPatch, room: int = 1000) -> None:
        self.agent, self.log, self.room = agent, list[str](), room
        monkeypatch.setattr(agent, "append", self.append)

    def append(self, record: bytes) -> bool:
        (parts,) = [json.loads(part) for part in wire.split_records(record)]
        if not self.room:
            return False
        self.room -= 1
        self.log.append(f"{parts[0]} {parts[2]}")
        return True

    def entry(self, task_id: str, *, is_there: bool = True, is_known: bool = True) -> Entry:
        def take() -> bool:
            self.log.append(f"take {task_id}")
            return is_there

        def payload() -> bytes:
            return self.agent.payload("fake", task_id, 0, "mail.send", "mail", 2, (), {}, None)

        return Entry(task_id, 0, "mail.send", take, payload) if is_known else Entry(task_id, 0, "mail.send", take)


@pytest.fixture
def agent(make_settings: Callable[..., Settings]) -> Agent:
    return Agent(make_settings(), ())


def test_what_is_told_of_a_task_is_written_before_it_is_removed(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(agent, monkeypatch)
    answer = purge(agent, "fake", "mail", [written.entry("t1"), written.entry("t2", is_known=False)])
    assert written.log == ["payload t1", "take t1", "cancelled t1", "take t2", "cancelled t2"]
    assert (answer["tasks"], answer["queue"], answer["first_at"] <= answer["last_at"]) == (2, "mail", True)


def test_a_task_that_a_worker_took_first_is_not_cancelled(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(agent, monkeypatch)
    entry = written.entry("t1", is_there=False)
    assert purge(agent, "fake", "mail", [entry]) == {"tasks": 0, "queue": "mail"}
    assert (written.log, entry.is_taken) == (["payload t1", "take t1"], False)


def test_a_message_that_cannot_be_read_is_removed_and_nothing_is_told(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(agent, monkeypatch)
    assert purge(agent, "fake", "mail", [written.entry("")]) == {"tasks": 1, "queue": "mail"}
    assert written.log == ["take "]


def test_what_had_ended_before_is_not_told_as_cancelled(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(agent, monkeypatch)
    assert purge(agent, "fake", "mail", [written.entry("t1")], is_dead=True) == {"tasks": 1, "queue": "mail"}
    assert written.log == ["payload t1", "take t1"]


def test_a_task_that_cannot_be_written_stays(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(agent, monkeypatch, room=3)
    answer = purge(agent, "fake", "mail", [written.entry("t1"), written.entry("t2"), written.entry("t3")])
    assert answer["tasks"] == 2
    assert "remain in the queue" in answer["note"]
    assert "take t3" not in written.log
    with pytest.raises(Refused, match="remain in the queue"):
        purge(agent, "fake", "mail", [written.entry("t3")])
    assert "take t3" not in written.log


def test_entries_are_made_as_they_are_removed(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(agent, monkeypatch)

    def pages() -> Iterator[Entry]:
        for number in range(3):
            entry = written.entry(f"t{number}", is_there=number < 1)
            yield entry
            if not entry.is_taken:
                return

    assert purge(agent, "fake", "mail", pages())["tasks"] == 1
    assert "take t2" not in written.log


def test_what_the_engine_raises_reaches_the_command(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Any:
        raise Refused("not one by one")

    Written(agent, monkeypatch)
    with pytest.raises(Refused, match="one by one"):
        purge(agent, "fake", "mail", [Entry("t1", 0, "mail.send", fail)])
