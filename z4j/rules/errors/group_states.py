# SPDX-License-Identifier: AGPL-3.0-or-later
"""The states of a group of failures, and what a failed task or attempt counts as. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from z4j.rules.tasks.states import STATES

UNRESOLVED, RESOLVED, IGNORED, REGRESSED = 0, 1, 2, 3
GROUP_STATES: Final[dict[str, int]] = {"unresolved": UNRESOLVED, "resolved": RESOLVED, "ignored": IGNORED, "regressed": REGRESSED}
GROUP_STATE_NAMES: Final[dict[int, str]] = {code: name for name, code in GROUP_STATES.items()}
OPEN: Final = ("unresolved", "regressed")
"""Unresolved states."""

FAILED, RETRIED, CURED = 0, 1, 2
"""Kinds of what is counted: a task that failed; an attempt that failed while its task continues or has failed; an attempt that failed and
whose task succeeded in the end."""

_RETRYING: Final = STATES["retrying"]
_SUCCEEDED: Final = STATES["succeeded"]
_BAD_ENDS: Final[dict[int, str]] = {STATES[name]: name for name in ("failed", "lost", "rejected")}


class Attempt(NamedTuple):
    """What an attempt or a task reports: `key` is the state key, `run` identifies the process. `at` is microseconds UTC."""

    key: int
    at: int
    run: tuple[int, int]
    reason: str
    error_type: str
    error: str
    traceback: str = ""


class Counted(NamedTuple):
    """One failure that counts, with the attempt that describes it."""

    kind: int
    attempt: Attempt


def failures_of(state: int, task: Attempt, attempts: Iterable[Attempt]) -> list[Counted]:
    """Returns what a task adds to the counts: a function of its row and of the rows of its attempts, so of the set of its events.

    `state` is the code of its state; `task` has no traceback. A failed task is described by the attempt that decided its state where that
    is stored.
    """
    counted: list[Counted] = []
    is_failed = state in _BAD_ENDS
    deciding = task
    for attempt in attempts:
        if is_failed and attempt.key == task.key and attempt.run == task.run:
            deciding = attempt
        elif _has_failed(attempt):
            counted.append(Counted(CURED if state == _SUCCEEDED else RETRIED, attempt))
    if is_failed:
        counted.append(Counted(FAILED, deciding))
    return counted


def type_of(attempt: Attempt) -> str:
    """Returns the name of the exception, or its replacement if none was raised: the reason, else the state."""
    return attempt.error_type or attempt.reason or _BAD_ENDS.get(attempt.key & 15, "failed")


def _has_failed(attempt: Attempt) -> bool:
    code = attempt.key & 15
    return code in _BAD_ENDS or (code == _RETRYING and bool(attempt.error_type or attempt.error))


def is_ignoring_over(at: int, failed: int, in_hour: int, until: int | None, rate: int | None, total: int | None) -> bool:
    """Whether an ignored group has to be shown again: at a time (microseconds UTC), at a number of failed tasks in this hour, or in all."""
    return (
        (until is not None and at >= until) or (rate is not None and in_hour >= rate) or (total is not None and failed >= total)
    )  # fmt: skip
