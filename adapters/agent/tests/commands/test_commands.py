# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from z4j_agent.capture.originals import Binding, close_original
from z4j_agent.commands.command_ledger import Ledger
from z4j_agent.commands.commands import Commands
from z4j_agent.commands.permissions import why_not
from z4j_agent.contract.adapter import Adapter, Capability, Original, Refused, Unsupported
from z4j_agent.settings import Settings
from z4j_agent.wire import split_records
from z4j_agent.wire.session import Command

NEW = "0b6ad4b5-57a4-4b76-9d0b-6f2f5ae2f3c1"
Make = Callable[..., Settings]


class Fake(Adapter):
    engine: ClassVar[str] = "fake"
    capabilities: ClassVar[tuple[Capability, ...]] = tuple(
        Capability(action, "any", "exact") for action in ("retry_task", "cancel_task", "terminate_task")
    )

    def __init__(self) -> None:
        self.did: list[Any] = []
        self.error: BaseException | None = None

    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        self.did.append((original, new_id))
        return {"task_id": new_id, "queue": original.queue}

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        self.did.append(task_id)
        if self.error is not None:
            raise self.error
        return {"asked": True}


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def answers() -> list[list[Any]]:
    return []


@pytest.fixture
def commands(make_settings: Make, tmp_path: Path, fake: Fake, answers: list[list[Any]]) -> Commands:
    def append(record: bytes) -> bool:
        answers.append(json.loads(split_records(record)[0]))
        return True

    return Commands(make_settings(allow="all", denied=("purge",)), tmp_path, lambda: [fake], append)


def ask(action: str = "cancel_task", *, id: str = "c1", engine: str = "fake", expires_at: int = 100, **params: Any) -> Command:
    return Command(id, action, engine, expires_at, {"task_id": "t", **params})


def statuses(answers: list[list[Any]]) -> list[str]:
    return [answer[3] for answer in answers]


def test_carried_out_once(commands: Commands, fake: Fake, answers: list[list[Any]], tmp_path: Path) -> None:
    commands.handle(ask(), 1)
    assert statuses(answers) == ["accepted", "done"]
    commands.handle(ask(), 1)
    assert statuses(answers)[2:] == ["done"]
    assert fake.did == ["t"]
    assert (tmp_path / "commands.ledger").read_text() == "c1 accepted\nc1 done\n"


def test_a_crash_in_between_is_answered_honestly(commands: Commands, fake: Fake, answers: list[list[Any]], tmp_path: Path) -> None:
    Ledger(tmp_path).write("c1", "accepted")
    commands.handle(ask(), 1)
    assert statuses(answers) == ["unknown"]
    assert fake.did == []


def test_what_is_not_carried_out(commands: Commands, fake: Fake, answers: list[list[Any]]) -> None:
    commands.handle(ask(id="a", expires_at=1), 1)
    commands.handle(ask("dance", id="b"), 1)
    commands.handle(ask(id="c", engine="other"), 1)
    commands.handle(ask("terminate_task", id="d"), 1)
    assert [a[3] for a in answers if a[3] != "accepted"] == ["expired", "refused", "unsupported", "unsupported"]
    assert fake.did == []


@pytest.mark.parametrize(("error", "status", "words"), [
    (Refused("too late"), "refused", "too late"),
    (Unsupported("no broker"), "unsupported", "no broker"),
    (ValueError("odd"), "failed", "ValueError: odd"),
])  # fmt: skip
def test_what_the_adapter_answers(
    commands: Commands, fake: Fake, answers: list[list[Any]], error: Exception, status: str, words: str
) -> None:
    fake.error = error
    commands.handle(ask(), 1)
    assert answers[-1][3] == status
    assert words in answers[-1][4]["error"]


def test_the_owner_has_the_last_word(make_settings: Make) -> None:
    def why(action: str, **options: Any) -> tuple[str, str] | None:
        return why_not(make_settings(**options), action)

    assert why("cancel_task") is None
    assert why("dance") == ("this agent does not support dance", "action.unknown")
    assert "only 'read'" in str(why("retry_task", allow="read"))
    assert "only 'operate'" in str(why("terminate_task"))
    assert why("terminate_task", allow="all") is None
    assert "denies" in str(why("retry_task", allow="all", denied=("retry_task",)))


def test_a_ledger_that_cannot_be_written_stops_the_command(
    commands: Commands, fake: Fake, answers: list[list[Any]], monkeypatch: Any
) -> None:
    true_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: true_write(fd, data[:2]))
    commands.handle(ask(), 1)
    assert fake.did == []
    assert statuses(answers) == ["failed"]


def test_a_ledger_that_fails_afterwards_changes_no_answer(
    commands: Commands, fake: Fake, answers: list[list[Any]], monkeypatch: Any
) -> None:
    true_write = Ledger.write

    def write(self: Ledger, command_id: str, status: str) -> None:
        if status != "accepted":
            raise OSError("full")
        true_write(self, command_id, status)

    monkeypatch.setattr(Ledger, "write", write)
    commands.handle(ask(), 1)
    assert statuses(answers) == ["accepted", "done"]


def test_retry_opens_the_sealed_original(commands: Commands, fake: Fake, answers: list[list[Any]], make_settings: Make) -> None:
    key = make_settings().seal_key
    closed, state = close_original({"body": "secret"}, Binding("fake", "t", "production", "f", "q"), is_masked=True, key=key)
    assert state == "sealed"
    assert closed is not None
    assert b"secret" not in closed[1]
    blob = base64.b64encode(closed[1]).decode()
    commands.handle(ask("retry_task", original=blob, key_id=closed[0], new_id=NEW, name="f", queue="q"), 1)
    assert answers[-1][4] == {"task_id": NEW, "queue": "q"}
    assert fake.did == [(Original("t", "f", "q", {"body": "secret"}), NEW)]
    commands.handle(ask("retry_task", id="c2", original="%%%", new_id=NEW), 1)
    other = base64.b64encode(closed[1][:2] + b"odd!" + closed[1][6:]).decode()
    commands.handle(ask("retry_task", id="c3", original=other, new_id=NEW), 1)
    assert [answer[3] for answer in answers if answer[1] in ("c2", "c3") and answer[3] != "accepted"] == ["refused", "refused"]
    assert "Z4J_SEAL_KEYS" in answers[-1][4]["error"]
    assert answers[-1][4]["check"] == "original.key"


@pytest.mark.parametrize("id", ["", "c1 done\nc2", "c 1", "c\x00", "x" * 201, "é"])
def test_an_id_that_could_write_another_line_of_the_ledger_is_passed_over(
    commands: Commands, fake: Fake, answers: list[list[Any]], tmp_path: Path, id: str
) -> None:
    commands.handle(ask(id=id), 1)
    assert (fake.did, answers) == ([], [])
    assert not (tmp_path / "commands.ledger").exists()


def test_an_answer_repeats_no_secret(commands: Commands, fake: Fake, answers: list[list[Any]], monkeypatch: Any) -> None:
    def fail(task_id: str) -> Any:
        raise ConnectionError("redis://worker:hunter2-9x@broker:6379/0 refused")

    monkeypatch.setattr(fake, "cancel_task", fail)
    commands.handle(Command("c-secret", "cancel_task", "fake", 2**60, {"task_id": "t"}), 0)
    assert answers[-1][3] == "failed"
    assert answers[-1][4] == {"error": "ConnectionError: redis://•••@broker:6379/0 refused"}
