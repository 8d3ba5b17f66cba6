# SPDX-License-Identifier: AGPL-3.0-or-later
"""Compares what the tasks testified with what the store holds."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.stack import Stack

SUCCEEDED, FAILED, RETRYING, RUNNING = 12, 11, 5, 4
WAITING = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Disagreement:
    task_id: str
    testified: str
    stored: int | None


def expected_states(stack: Stack) -> dict[str, tuple[str, int]]:
    """Task id → (what was testified, the state that follows from it), for every task that ended its last attempt by itself."""
    ends: dict[str, tuple[str, int]] = {}
    for word, task_id, attempt, name, _pid in stack.testimony():
        if word != "begin":
            match name:
                case "shop.charge":
                    state = FAILED
                case "shop.notify" if attempt == "0":
                    state = RETRYING
                case _:
                    state = SUCCEEDED
            ends[task_id] = max(ends.get(task_id, ("", 0)), (f"{word} {attempt}", state), key=lambda end: end[0])
    return ends


def disagreements(stack: Stack) -> list[Disagreement]:
    """Empty when every testified end stands in the store with the state that follows from it."""
    stored = stack.states()
    return [
        Disagreement(task_id, word, stored.get(task_id))
        for task_id, (word, state) in expected_states(stack).items()
        if stored.get(task_id) != state
    ]


def unstarted(stack: Stack) -> set[str]:
    """Tasks that testified a begin and that the store has not, or only as waiting."""
    stored = stack.states()
    begun = {line[1] for line in stack.testimony() if line[0] == "begin"}
    return {task_id for task_id in begun if stored.get(task_id, 0) in (0, *WAITING)}
