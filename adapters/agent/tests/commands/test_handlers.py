# SPDX-License-Identifier: Apache-2.0
"""What a server sends becomes the one call of the adapter that was meant, or is refused in words."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from z4j_agent.capture.originals import Binding, CannotOpen, close_original, prove_name
from z4j_agent.commands.handlers import HANDLERS, MAX_PEEK, CommandParams
from z4j_agent.commands.permissions import queue_of
from z4j_agent.contract.adapter import ACTION_LEVEL, Adapter, Original, Refused, Unsupported, WaitingTask
from z4j_agent.settings import Settings
from z4j_agent.wire.session import Command

NEW = "0b6ad4b5-57a4-4b76-9d0b-6f2f5ae2f3c1"
Make = Callable[..., Settings]


class Recording(Adapter):
    """Records the calls."""

    engine: ClassVar[str] = "fake"

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def knows_task(self, name: str) -> bool:
        return name == "mail.send"

    def knows_queue(self, queue: str) -> bool:
        return queue in ("mail", "bulk")

    def _record(self, *call: Any) -> dict[str, Any]:
        self.calls.append(call)
        return {"asked": call[0]}

    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        return self._record("retry", original, new_id)

    def read_arguments(self, original: Original) -> tuple[list[Any], dict[str, Any]]:
        return list(original.data["args"]), {"password": "hunter2"}

    def edit_task(self, original: Original, args: list[Any], kwargs: dict[str, Any], *, new_id: str) -> dict[str, Any]:
        return self._record("edit", original, args, kwargs, new_id)

    def restore_task(self, original: Original, *, new_id: str, eta_at: int | None, priority: int | None) -> dict[str, Any]:
        return self._record("restore", original, new_id, eta_at, priority)

    def run_task(self, name: str, args: list[Any], kwargs: dict[str, Any], *, new_id: str, queue: str) -> dict[str, Any]:
        return self._record("run", name, args, kwargs, new_id, queue)

    def move_task(self, task_id: str, queue: str) -> dict[str, Any]:
        return self._record("move", task_id, queue)

    def prioritise_task(self, task_id: str, level: str) -> dict[str, Any]:
        return self._record("prioritise", task_id, level)

    def peek_queue(self, queue: str, section: str, limit: int) -> list[WaitingTask]:
        self._record("peek", queue, section, limit)
        return [WaitingTask("t", "mail.send", due_at=5)]

    def purge_queue(self, queue: str, section: str) -> dict[str, Any]:
        return self._record("purge", queue, section)

    def resize_worker(self, by: int) -> dict[str, Any]:
        return self._record("resize", by)

    def limit_name(self, name: str, rate: str | None, soft_s: float | None, hard_s: float | None) -> dict[str, Any]:
        return self._record("limit", name, rate, soft_s, hard_s)


Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def adapter() -> Recording:
    return Recording()


@pytest.fixture
def ask(make_settings: Make, adapter: Recording) -> Ask:
    """Carries out a command of a server; `options` of the owner's settings may be given as `owner`."""

    def execute(action: str, *, owner: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
        parsed = CommandParams(Command("c1", action, "fake", 100, params), adapter, make_settings(**(owner or {"allow": "all"})))
        return HANDLERS[action](parsed)

    return execute


@pytest.fixture
def original_params(make_settings: Make) -> dict[str, Any]:
    """The parameters that carry the original of task t1, as a server sends them."""
    binding = Binding("fake", "t1", "production", "mail.send", "mail")
    closed, _ = close_original({"args": ["a"]}, binding, is_masked=True, key=make_settings().seal_key)
    assert closed is not None
    return {"task_id": "t1", "original": base64.b64encode(closed[1]).decode(), "key_id": closed[0]}


ORIGINAL = Original("t1", "mail.send", "mail", {"args": ["a"]})


@pytest.mark.parametrize(("action", "params", "call"), [
    ("retry_task", {"new_id": NEW}, ("retry", ORIGINAL, NEW)),
    ("edit_task", {"new_id": NEW, "edit": {"args": {"0": "b"}, "kwargs": {"password": "•••"}}},
     ("edit", ORIGINAL, ["b"], {"password": "hunter2"}, NEW)),
    ("edit_task", {"new_id": NEW, "edit": "nonsense"}, ("edit", ORIGINAL, ["a"], {"password": "hunter2"}, NEW)),
    ("restore_task", {"new_id": NEW}, ("restore", ORIGINAL, NEW, None, None)),
    ("restore_task", {"new_id": NEW, "eta_at": 5, "priority": 3}, ("restore", ORIGINAL, NEW, 5, 3)),
    ("run_task", {"name": "mail.send", "new_id": NEW}, ("run", "mail.send", [], {}, NEW, "")),
    ("run_task", {"name": "mail.send", "args": [1], "kwargs": {"a": 2}, "new_id": NEW, "queue": "bulk"},
     ("run", "mail.send", [1], {"a": 2}, NEW, "bulk")),
    ("move_task", {"task_id": "t", "queue": "bulk"}, ("move", "t", "bulk")),
    ("prioritise_task", {"task_id": "t"}, ("prioritise", "t", "next")),
    ("prioritise_task", {"task_id": "t", "level": "low"}, ("prioritise", "t", "low")),
    ("purge_queue", {"queue": "mail"}, ("purge", "mail", "waiting")),
    ("purge_queue", {"queue": "mail", "place": "dead"}, ("purge", "mail", "dead")),
    ("resize_worker", {"by": -2}, ("resize", -2)),
    ("resize_worker", {}, ("resize", 0)),
    ("limit_name", {"name": "mail.send", "rate": "10/m"}, ("limit", "mail.send", "10/m", None, None)),
    ("limit_name", {"name": "mail.send", "soft_s": 1.5, "hard_s": 2}, ("limit", "mail.send", None, 1.5, 2)),
])  # fmt: skip
def test_a_command_is_the_call_that_was_meant(
    ask: Ask, adapter: Recording, original_params: dict[str, Any], action: str, params: dict[str, Any], call: tuple[Any, ...]
) -> None:
    original = original_params if action in WITH_ORIGINAL else {}
    assert ask(action, **original, **params) == {"asked": call[0]}
    assert adapter.calls == [call]


WITH_ORIGINAL = ("retry_task", "edit_task", "restore_task")


# -- authority: what the server may name -------------------------------------------------------------------------------
@pytest.mark.parametrize(("action", "params", "check"), [
    ("run_task", {"name": "os.system", "new_id": NEW}, "task.unknown"),
    ("run_task", {"name": "os.system", "new_id": NEW, "proofs": {"fake": "00000000.00"}}, "task.unknown"),
    ("run_task", {"name": "os.system", "new_id": NEW, "proofs": "all"}, "task.unknown"),
    ("run_task", {"name": "", "new_id": NEW}, "task.unknown"),
    ("run_task", {"name": "mail.send", "new_id": NEW, "queue": "celery.pidbox"}, "queue.unknown"),
    ("run_task", {"name": "mail.send", "new_id": "t1"}, "task_id.form"),
    ("run_task", {"name": "mail.send", "new_id": NEW, "args": ["x" * 300_000]}, "arguments.size"),
    ("limit_name", {"name": "os.system", "rate": "1/m"}, "task.unknown"),
    ("move_task", {"task_id": "t", "queue": "elsewhere"}, "queue.unknown"),
    ("consume_queue", {"queue": "elsewhere"}, "queue.unknown"),
    ("purge_queue", {"queue": "elsewhere"}, "queue.unknown"),
    ("peek_queue", {"queue": "elsewhere"}, "queue.unknown"),
    ("retry_task", {"new_id": "t1"}, "task_id.form"),
    ("retry_task", {"new_id": NEW, "name": "os.system"}, "original.name"),
    ("edit_task", {"new_id": NEW, "name": "os.system"}, "original.name"),
    ("restore_task", {"new_id": NEW, "queue": "bulk"}, "original.queue"),
    ("retry_task", {"new_id": NEW, "task_id": "t2"}, "original.altered"),
    ("retry_task", {"new_id": NEW, "move_to": "elsewhere"}, "queue.unknown"),
])  # fmt: skip
def test_what_the_application_did_not_make_or_register_is_refused(
    ask: Ask, adapter: Recording, original_params: dict[str, Any], action: str, params: dict[str, Any], check: str
) -> None:
    original = original_params if action in WITH_ORIGINAL else {}
    with pytest.raises(Refused) as refused:
        ask(action, **{**original, **params})
    assert refused.value.check == check
    assert adapter.calls == []


def test_a_name_that_another_agent_of_the_application_proved_may_run(ask: Ask, adapter: Recording, make_settings: Make) -> None:
    key = make_settings().seal_key
    assert key is not None
    ask("run_task", name="report", new_id=NEW, proofs={"fake": prove_name(key, "fake", "report")})
    assert adapter.calls == [("run", "report", [], {}, NEW, "")]
    for name, engine in (("report2", "fake"), ("report", "other")):  # a proof is for one name of one engine
        with pytest.raises(Refused):
            ask("run_task", name=name, new_id=NEW, proofs={"fake": prove_name(key, engine, "report")})


def test_a_queue_that_another_agent_of_the_application_proved_is_used(ask: Ask, adapter: Recording, make_settings: Make) -> None:
    key = make_settings().seal_key
    assert key is not None
    ask("move_task", task_id="t", queue="reports", queue_proof=prove_name(key, queue_of("fake"), "reports"))
    assert adapter.calls == [("move", "t", "reports")]
    for proof in (prove_name(key, "fake", "reports"), prove_name(key, queue_of("fake"), "reports2"), "00000000.00", None):
        with pytest.raises(Refused):  # the proof of a task is none of a queue
            ask("move_task", task_id="t", queue="reports", queue_proof=proof)


def test_a_task_that_was_moved_runs_again_where_it_was_moved_to(ask: Ask, adapter: Recording, original_params: dict[str, Any]) -> None:
    ask("retry_task", **original_params, new_id=NEW, move_to="bulk")
    assert adapter.calls == [("retry", Original("t1", "mail.send", "bulk", {"args": ["a"]}), NEW)]
    with pytest.raises(Refused) as refused:
        ask("retry_task", owner={"denied": ("move_task",)}, **original_params, new_id=NEW, move_to="bulk")
    assert refused.value.check == "owner.denied"


def test_the_original_of_another_environment_is_refused(ask: Ask, adapter: Recording, original_params: dict[str, Any]) -> None:
    with pytest.raises(CannotOpen) as refused:
        ask("retry_task", owner={"environment": "staging"}, **original_params, new_id=NEW)
    assert refused.value.check == "original.altered"


@pytest.mark.parametrize(("limit", "expected"), [(None, 50), (3, 3), (-1, 1), (10_000, MAX_PEEK)])
def test_what_is_shown_is_bounded_and_json(ask: Ask, adapter: Recording, limit: int | None, expected: int) -> None:
    answer = ask("peek_queue", queue="mail", place="delayed", limit=limit)
    assert adapter.calls == [("peek", "mail", "delayed", expected)]
    assert json.loads(json.dumps(answer))["tasks"][0] == {
        "task_id": "t", "name": "mail.send", "args": "", "enqueued_at": None, "due_at": 5, "priority": None
    }  # fmt: skip


@pytest.mark.parametrize(("action", "params", "words"), [
    ("move_task", {"task_id": "t"}, "lacks queue"),
    ("move_task", {"task_id": 7, "queue": "mail"}, "lacks task_id"),
    ("prioritise_task", {"task_id": "t", "level": "first"}, "one of next"),
    ("purge_queue", {"queue": "mail", "place": "moon"}, "one of waiting"),
    ("peek_queue", {"queue": "mail", "limit": "many"}, "limit is not a number"),
    ("resize_worker", {"by": True}, "by is not a number"),
    ("resize_worker", {"by": math.nan}, "by is not a finite number"),
    ("peek_queue", {"queue": "mail", "limit": math.inf}, "limit is not a finite number"),
    ("peek_queue", {"queue": "mail", "limit": 10**400}, "limit is too large"),
    ("resize_worker", {"by": -1e300}, "by is too large"),
    ("restore_task", {"new_id": NEW, "eta_at": -math.inf}, "eta_at is not a finite number"),
    ("limit_name", {"name": "mail.send", "soft_s": math.nan}, "soft_s is not a finite number"),
    ("edit_task", {"new_id": NEW, "edit": {"drop": [[]]}}, "the edit is not valid"),
    ("run_task", {"name": "mail.send", "args": {}, "new_id": NEW}, "args must be a list"),
    ("run_task", {"name": "mail.send", "kwargs": [], "new_id": NEW}, "kwargs an object"),
    ("run_task", {"name": "mail.send"}, "lacks new_id"),
    ("edit_task", {"new_id": NEW, "edit": {"args": {"9": "b"}}}, "position 10"),
])  # fmt: skip
def test_what_is_not_well_formed_is_refused(
    ask: Ask, adapter: Recording, original_params: dict[str, Any], action: str, params: dict[str, Any], words: str
) -> None:
    original = original_params if action in WITH_ORIGINAL else {}
    with pytest.raises(Refused, match=words):
        ask(action, **original, **params)
    assert adapter.calls == []


def test_an_original_that_cannot_be_opened_is_refused(ask: Ask) -> None:
    for original in ("", "no base64!", "AAAA", "é"):
        with pytest.raises(CannotOpen):
            ask("retry_task", task_id="t", original=original, new_id=NEW)


class Plain(Adapter):
    """Knows its names and can do nothing."""

    engine: ClassVar[str] = "fake"

    def knows_task(self, name: str) -> bool:
        return True

    def knows_queue(self, queue: str) -> bool:
        return True


def test_every_action_has_its_call_and_an_adapter_that_cannot_says_so(make_settings: Make, original_params: dict[str, Any]) -> None:
    assert HANDLERS.keys() == ACTION_LEVEL.keys()
    params = {"task_id": "t1", "name": "mail.send", "queue": "mail", "new_id": NEW, "args": [], "kwargs": {}}
    for action, execute in HANDLERS.items():
        original = original_params if action in WITH_ORIGINAL else {}
        with pytest.raises(Refused if action == "inspect_task" else Unsupported):  # the agent itself reads stacks, and no task runs here
            execute(CommandParams(Command("c1", action, "fake", 100, {**params, **original}), Plain(), make_settings(allow="all")))
