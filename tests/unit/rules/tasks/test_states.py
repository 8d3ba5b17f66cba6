# SPDX-License-Identifier: AGPL-3.0-or-later
"""The codes of states, originals and flags. They are stored, so none may change; and the groups that pages and rules ask for."""

from __future__ import annotations

from z4j.rules.tasks import states as s


def test_stored_codes_of_states_never_change() -> None:
    assert s.STATES == {
        "scheduled": 1, "queued": 2, "received": 3, "running": 4, "retrying": 5, "lost": 6,
        "cancelled": 8, "expired": 9, "rejected": 10, "failed": 11, "succeeded": 12,
    }  # fmt: skip
    assert s.STATE_NAMES[12] == "succeeded"
    assert len(s.STATE_NAMES) == len(s.STATES)


def test_stored_codes_of_originals_and_flags_never_change() -> None:
    assert s.ORIGINAL_STATES == {"none": 0, "too_large": 1, "no_key": 2, "plain": 3, "sealed": 4}
    assert s.ORIGINAL_NAMES[4] == "sealed"
    assert s.FLAGS == {"redelivered": 1, "eager": 2, "reconciled": 4, "unmarked": 8, "again": 16}


def test_an_end_fits_four_bits_and_is_above_every_fact() -> None:
    ends = s.FINAL - {"lost"}
    assert all(8 <= s.STATES[name] < 16 for name in ends)
    assert all(s.STATES[name] < 8 for name in set(s.STATES) - ends)


def test_every_state_is_waiting_active_or_final() -> None:
    assert sorted([*s.WAITING, *s.ACTIVE, *s.FINAL]) == sorted(s.STATES)
    assert s.ACTIVE == ("running", "retrying")
    assert {s.STATES[name] for name in s.FINAL} == s.FINAL_CODES


def test_what_ended_badly_is_final_and_was_not_asked_for() -> None:
    assert set(s.ENDED_BADLY) == s.FINAL - {"succeeded", "cancelled"}
