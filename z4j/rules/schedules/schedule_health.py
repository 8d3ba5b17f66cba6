# SPDX-License-Identifier: AGPL-3.0-or-later
"""States of due times, and the health of a schedule that follows from them. Pure; times are microseconds UTC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SECOND: Final = 1_000_000
OUTCOMES: Final = ("waiting", "handed", "sent", "failed", "missed", "skipped", "unknown")
"""`waiting` for an agent, `handed` to one that has not answered: of z4j's own alone. `unknown`: it never answered."""
REPORTED: Final = frozenset({"sent", "failed", "missed", "skipped"})
"""What an agent may say."""
GRACE: Final = 10 * SECOND
MOST_GRACE: Final = 45 * SECOND
DECISIVE: Final = 2
"""The newest fires of a schedule that its health depends on."""
NEAR: Final = 0.9
"""Two processes that fire the same schedule within this part of its period fire it double."""


def grace_of(tick_us: int) -> int:
    """Returns how late a fire may be reported, in microseconds: its scheduler sleeps for a tick, and its agent needs a moment."""
    return min(max(GRACE, tick_us + 5 * SECOND), max(MOST_GRACE, tick_us + 5 * SECOND))


def lateness_of(due_at: int, fired_at: int | None) -> int | None:
    """Returns how long after its due time a fire came, in microseconds; None where it did not."""
    return None if fired_at is None else max(0, fired_at - due_at)


def state_of(outcome: str, lateness: int | None, grace: int, *, is_double: bool) -> str:
    """Returns one word for a fire: on time, late, double, missed, failed, skipped, waiting or unknown."""
    if is_double:
        return "double"
    if outcome == "sent":
        return "late" if lateness is not None and lateness > grace else "on time"
    return "waiting" if outcome == "handed" else outcome


@dataclass(frozen=True, slots=True)
class FireFacts:
    """One fire as a strip shows it."""

    due_at: int
    fired_at: int | None
    outcome: str
    is_double: bool
    grace: int

    @property
    def state(self) -> str:
        """One word: on time, late, double, missed, failed, skipped, waiting or unknown."""
        return state_of(self.outcome, self.lateness, self.grace, is_double=self.is_double)

    @property
    def lateness(self) -> int | None:
        """From due to fired; None where it was not."""
        return lateness_of(self.due_at, self.fired_at)


@dataclass(frozen=True, slots=True)
class Health:
    """`state`: on time, late, missed, failed, double, skipped, gone, off, ended or unknown. `why` is a sentence."""

    state: str
    why: str


def health(
    now: int, *, kind: str, is_enabled: bool, next_at: int | None, grace: int, is_own: bool, is_heard: bool, silent_since: int | None,
    latest: Sequence[FireFacts],
) -> Health:  # fmt: skip
    """Returns the health of a schedule. `is_heard`: a process that fires it has reported it at some time; `silent_since`: when the last
    of those processes disconnected, None while one is connected. `latest` is newest first.

    Within its grace a due time is neither late nor missed: a fire is reported a moment after it, and a schedule may be due more often
    than its entry is read.
    """
    newest = latest[0] if latest else None
    if kind == "once" and next_at is None and newest is not None and newest.outcome == "sent" and not newest.is_double:
        if newest.state == "late":
            return Health("late", "Ran once, late. Not due again.")
        return Health("ended", "Ran. Not due again.")
    if not is_enabled:
        return Health("off", "Disabled.")
    if not is_own and not is_heard:
        return Health("unknown", "No process that runs it has reported it, so its runs are unknown.")
    late_by = None if next_at is None else now - next_at
    if late_by is not None and late_by > grace:
        return Health("missed", "Overdue: no run reported.")
    if any(fire.state == "double" for fire in latest[:DECISIVE]):
        return Health("double", "Run by two processes.")
    if newest is not None and newest.state in ("missed", "failed", "unknown"):
        reasons = {
            "missed": "The last run was missed.",
            "failed": "The last run failed.",
            "unknown": "The outcome of the last run is unknown.",
        }
        return Health("failed" if newest.state == "unknown" else newest.state, reasons[newest.state])
    if silent_since is not None:
        return Health("gone", "Its scheduler is not connected. The schedule is not due yet.")
    if newest is not None and newest.state == "late":
        return Health("late", "The last run was late.")
    if next_at is None:
        return Health("ended" if is_own else "unknown", "Not due again." if is_own else "Its scheduler does not report when it is due.")
    return Health("on time", "Due now." if late_by is not None and late_by > 0 else "")


def percentile(values: Sequence[int], share: float) -> int | None:
    """Returns the smallest value that at least this share of the values does not exceed."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(len(ordered) * share * 1000) // 1000) - 1))]
