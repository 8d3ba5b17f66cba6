# SPDX-License-Identifier: Apache-2.0
"""What a server sends becomes the one call of the adapter that was meant, or is refused in words."""

from __future__ import annotations

import base64
import json
from typing import Any, ClassVar

import pytest

from z4j_agent.actions import CARRIED_OUT, MAX_PEEK, Asked
from z4j_agent.adapter import ACTION_LEVEL, Adapter, Original, Refused, Unsupported, WaitingTask
from z4j_agent.originals import CannotOpen, close_original
from z4j_agent.session import Command
from z4j_agent.settings import SealKey

KEY = SealKey("k1", bytes(32))


class Telling(Adapter):
    """Says what it was asked."""

    engine: ClassVar[str] = "fake"

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def _told(self, *asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        return {"asked": asked[0]}

    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        return self._told("retry", original, new_id)

    def read_arguments(self, original: Original) -> tuple[list[Any], dict[str, Any]]:
        return list(original.data["args"]), {"password": "hunter2"}

    def edit_task(self, original: Original, args: list[Any], kwargs: dict[str, Any], *, new_id: str) -> dict[str, Any]:
        return self._told("edit", original, args, kwargs, new_id)

    def restore_task(self, original: Original, *, new_id: str, eta_at: int | None, priority: int | None) -> dict[str, Any]:
        return self._told("restore", original, new_id, eta_at, priority)

    def run_task(self, name: str, args: list[Any], kwargs: dict[str, Any], *, new_id: str, queue: str) -> dict[str, Any]:
        return self._told("run", name, args, kwargs, new_id, queue)

    def move_task(self, task_id: str, queue: str) -> dict[str, Any]:
        return self._told("move", task_id, queue)

    def prioritise_task(self, task_id: str, level: str) -> dict[str, Any]:
        return self._told("prioritise", task_id, level)

    def peek_queue(self, queue: str, place: str, limit: int) -> list[WaitingTask]:
        self._told("peek", queue, place, limit)
        return [WaitingTask("t", "mail.send", due_at=5)]

    def purge_queue(self, queue: str, place: str) -> dict[str, Any]:
        return self._told("purge", queue, place)

    def resize_worker(self, by: int) -> dict[str, Any]:
        return self._told("resize", by)

    def limit_name(self, name: str, rate: str | None, soft_s: float | None, hard_s: float | None) -> dict[str, Any]:
        return self._told("limit", name, rate, soft_s, hard_s)


def ask(action: str, **params: Any) -> Asked:
    return Asked(Command("c1", action, "fake", 100, params), (KEY,))


def with_original(action: str, **params: Any) -> Asked:
    held, _ = close_original({"args": ["a"]}, "fake", "t1", is_masked=True, key=KEY)
    assert held is not None
    blob = held[1]
    return ask(action, task_id="t1", name="mail.send", queue="mail", original=base64.b64encode(blob).decode(), key_id="k1", **params)


ORIGINAL = Original("t1", "mail.send", "mail", {"args": ["a"]}, is_sealed=True)


@pytest.mark.parametrize(("asked", "told"), [
    (with_original("retry_task", new_id="n"), ("retry", ORIGINAL, "n")),
    (with_original("edit_task", new_id="n", edit={"args": {"0": "b"}, "kwargs": {"password": "•••"}}),
     ("edit", ORIGINAL, ["b"], {"password": "hunter2"}, "n")),
    (with_original("edit_task", new_id="n", edit="nonsense"), ("edit", ORIGINAL, ["a"], {"password": "hunter2"}, "n")),
    (with_original("restore_task", new_id="n"), ("restore", ORIGINAL, "n", None, None)),
    (with_original("restore_task", new_id="n", eta_at=5, priority=3), ("restore", ORIGINAL, "n", 5, 3)),
    (ask("run_task", name="mail.send", new_id="n"), ("run", "mail.send", [], {}, "n", "")),
    (ask("run_task", name="mail.send", args=[1], kwargs={"a": 2}, new_id="n", queue="q"), ("run", "mail.send", [1], {"a": 2}, "n", "q")),
    (ask("move_task", task_id="t", queue="q"), ("move", "t", "q")),
    (ask("prioritise_task", task_id="t"), ("prioritise", "t", "next")),
    (ask("prioritise_task", task_id="t", level="low"), ("prioritise", "t", "low")),
    (ask("purge_queue", queue="q"), ("purge", "q", "waiting")),
    (ask("purge_queue", queue="q", place="dead"), ("purge", "q", "dead")),
    (ask("resize_worker", by=-2), ("resize", -2)),
    (ask("resize_worker"), ("resize", 0)),
    (ask("limit_name", name="n", rate="10/m"), ("limit", "n", "10/m", None, None)),
    (ask("limit_name", name="n", soft_s=1.5, hard_s=2), ("limit", "n", None, 1.5, 2)),
])  # fmt: skip
def test_a_command_is_the_call_that_was_meant(asked: Asked, told: tuple[Any, ...]) -> None:
    adapter = Telling()
    assert CARRIED_OUT[asked.command.action](adapter, asked) == {"asked": told[0]}
    assert adapter.asked == [told]


@pytest.mark.parametrize(("limit", "told"), [(None, 50), (3, 3), (-1, 1), (10_000, MAX_PEEK)])
def test_what_is_shown_is_bounded_and_json(limit: int | None, told: int) -> None:
    adapter = Telling()
    answer = CARRIED_OUT["peek_queue"](adapter, ask("peek_queue", queue="q", place="delayed", limit=limit))
    assert adapter.asked == [("peek", "q", "delayed", told)]
    assert json.loads(json.dumps(answer))["tasks"][0] == {
        "task_id": "t", "name": "mail.send", "args": "", "enqueued_at": None, "due_at": 5, "priority": None
    }  # fmt: skip


@pytest.mark.parametrize(("asked", "words"), [
    (ask("move_task", task_id="t"), "lacks queue"),
    (ask("move_task", task_id=7, queue="q"), "lacks task_id"),
    (ask("prioritise_task", task_id="t", level="first"), "one of next"),
    (ask("purge_queue", queue="q", place="moon"), "one of waiting"),
    (ask("peek_queue", queue="q", limit="many"), "limit is not a number"),
    (ask("resize_worker", by=True), "by is not a number"),
    (ask("run_task", name="n", args={}, new_id="n"), "args is a list"),
    (ask("run_task", name="n", kwargs=[], new_id="n"), "kwargs an object"),
    (ask("run_task", name="n"), "lacks new_id"),
    (with_original("edit_task", new_id="n", edit={"args": {"9": "b"}}), "position 10"),
])  # fmt: skip
def test_what_is_not_well_formed_is_refused(asked: Asked, words: str) -> None:
    adapter = Telling()
    with pytest.raises(Refused, match=words):
        CARRIED_OUT[asked.command.action](adapter, asked)
    assert adapter.asked == []


def test_an_original_that_cannot_be_opened_is_refused() -> None:
    for original in ("", "no base64!", "AAAA"):
        with pytest.raises(CannotOpen):
            CARRIED_OUT["retry_task"](Telling(), ask("retry_task", task_id="t", original=original, new_id="n"))


def test_every_action_has_its_call_and_an_adapter_that_cannot_says_so() -> None:
    assert CARRIED_OUT.keys() == ACTION_LEVEL.keys()
    params = {"task_id": "t1", "name": "n", "queue": "q", "new_id": "n", "args": [], "kwargs": {}}
    for action, carry_out in CARRIED_OUT.items():
        asked = with_original(action, new_id="n") if action in ("retry_task", "edit_task", "restore_task") else ask(action, **params)
        with pytest.raises(Unsupported):
            carry_out(Adapter(), asked)
    assert Adapter().list_paused() == []
