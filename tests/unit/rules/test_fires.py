# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from z4j.rules.fires import GRACE, SECOND, FireFacts, health

NOW = 1_800_000_000 * SECOND


def fire(ago_s: float, *, late_s: float = 0.2, outcome: str = "sent", is_double: bool = False) -> FireFacts:
    due_at = NOW - int(ago_s * SECOND)
    return FireFacts(due_at, due_at + int(late_s * SECOND) if outcome == "sent" else None, outcome, is_double, GRACE)


def state(next_in_s: float | None, *latest: FireFacts, **other: Any) -> tuple[str, str]:
    facts: dict[str, Any] = {"kind": "interval", "is_enabled": True, "is_own": False, "is_heard": True, "silent_since": None} | other
    next_at = None if next_in_s is None else NOW + int(next_in_s * SECOND)
    found = health(NOW, next_at=next_at, grace=GRACE, latest=latest, **facts)
    return found.state, found.why


@pytest.mark.parametrize("since_s", [0.5, 2.5, 4.9, 9.9])
def test_what_is_due_within_its_grace_is_on_time(since_s: float) -> None:
    """A schedule of five seconds is due in half of all looks: that is our reading, not its lateness."""
    assert state(-since_s, fire(since_s + 5)) == ("on time", "It is due now.")


def test_what_is_due_past_its_grace_is_missed() -> None:
    assert state(-10.1, fire(15.1)) == ("missed", "Overdue: no run reported.")


def test_what_fired_late_is_late() -> None:
    assert state(4, fire(20, late_s=11))[0] == "late"
    assert state(4, fire(1))[0] == "on time"


@pytest.mark.parametrize("is_enabled", [True, False])
def test_a_one_off_that_ran_has_ended(is_enabled: bool) -> None:
    """Stores disable it or keep it; its scheduler does not say that it is due again."""
    assert state(None, fire(60), kind="once", is_enabled=is_enabled) == ("ended", "It ran and is not due again.")
    assert state(None, fire(60, late_s=30), kind="once", is_enabled=is_enabled)[0] == "late"


@pytest.mark.parametrize(("latest", "kind", "expected"), [
    ((), "once", "unknown"),
    ((fire(60, outcome="missed"),), "once", "missed"),
    ((fire(60, is_double=True),), "once", "double"),
    ((fire(60),), "other", "unknown"),
])  # fmt: skip
def test_without_a_next_time(latest: tuple[FireFacts, ...], kind: str, expected: str) -> None:
    assert state(None, *latest, kind=kind)[0] == expected


def test_what_is_off_or_was_never_heard_of() -> None:
    assert state(-1, is_enabled=False)[0] == "off"
    assert state(-100, is_heard=False) == ("unknown", "No process that fires it has ever reported it, so its runs are unknown.")
    assert state(4, fire(20, outcome="unknown")) == ("failed", "The outcome of its last run is unknown.")
