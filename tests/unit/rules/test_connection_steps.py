# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

import pytest

from z4j.rules.connection_steps import DOCTOR, PATIENCE_US, Progress, steps

NEW = Progress(since=1_000, app_key="k1")
DONE = Progress(
    since=1_000, used_at=2_000, connected=1, engines=frozenset({"celery"}), registered=3, first_task_at=3_000, answer="done",
    keys=frozenset({"k1"}), app_key="k1", allow=frozenset({"operate"}),
)  # fmt: skip
SOON, LATE = 5_000, 5_000 + PATIENCE_US


def states(progress: Progress, now: int = SOON) -> list[str]:
    return [step.state for step in steps(progress, "celery", now)]


def test_everything_waits_at_first_and_becomes_green_one_by_one() -> None:
    assert states(NEW) == ["waiting"] * 5
    assert states(replace(NEW, used_at=2_000, connected=1, keys=frozenset({"k1"}))) == ["done", "waiting", "waiting", "waiting", "done"]
    assert states(DONE) == ["done"] * 5


def test_reasons_come_after_a_minute_for_the_first_missing_step_only() -> None:
    assert not [step for step in steps(NEW, "celery", SOON) if step.reasons]
    late = steps(NEW, "celery", LATE)
    assert [bool(step.reasons) for step in late] == [True, False, False, False, False]
    assert DOCTOR in "".join(remedy for _, remedy in late[0].reasons)


@pytest.mark.parametrize(("change", "number", "words"), [
    ({"registered": 0}, 1, "Only a producer is connected"),
    ({"first_task_at": None}, 2, "No task has been enqueued"),
    ({"answer": ""}, 3, "No agent accepts commands yet"),
    ({"connected": 0}, 4, "No agent is connected now"),
])  # fmt: skip
def test_each_missing_step_has_its_reasons(change: dict[str, object], number: int, words: str) -> None:
    found = steps(replace(DONE, **change), "rq", LATE)  # type: ignore[arg-type]
    assert found[number].state == "waiting"
    assert words in "".join(what for what, _ in found[number].reasons)


@pytest.mark.parametrize(("change", "number", "words"), [
    ({"answer": "refused", "answer_error": "denied by the owner"}, 3, "denied by the owner"),
    ({"answer": "expired"}, 3, "No reason was reported"),
    ({"keys": frozenset({""})}, 4, "without the part between the dot and the @"),
    ({"keys": frozenset({"k1", "k2"})}, 4, "Z4J_SEAL_KEYS"),
    ({"allow": frozenset({"read"})}, 4, "Z4J_ALLOW"),
    ({"is_retry_denied": True}, 4, "Z4J_DENIED"),
])  # fmt: skip
def test_what_is_wrong_is_said_at_once(change: dict[str, object], number: int, words: str) -> None:
    step = steps(replace(DONE, **change), "celery", SOON)[number]  # type: ignore[arg-type]
    assert step.state == "wrong"
    assert words in "".join(what + remedy for what, remedy in step.reasons)


def test_an_agent_that_has_left_was_connected() -> None:
    found = steps(replace(DONE, connected=0, keys=frozenset()), "celery", SOON)
    assert (found[0].state, found[0].text) == ("done", "an agent connected and disconnected again")
    assert found[4].state == "waiting"
    assert "2 agents are connected, watching celery" in steps(replace(DONE, connected=2), "celery", SOON)[0].text
