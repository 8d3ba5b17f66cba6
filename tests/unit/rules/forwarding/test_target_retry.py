# SPDX-License-Identifier: AGPL-3.0-or-later
"""Attempts come later and later and never end; only what concerns the message itself skips it."""

from __future__ import annotations

from z4j.rules.forwarding.target_retry import LONGEST_US, REFUSALS, is_refusal, next_try


def test_pauses_grow_up_to_ten_minutes() -> None:
    assert [next_try(attempts, 0) // 1_000_000 for attempts in (1, 2, 3)] == [2, 4, 8]
    assert next_try(10_000, 5) == 5 + LONGEST_US == 600_000_005
    assert [next_try(attempts, 0) for attempts in (1, 9, 10)] == [2_000_000, 512_000_000, LONGEST_US]
    assert REFUSALS == 5


def test_which_answers_refuse_a_message() -> None:
    assert [status for status in (0, 200, 301, 400, 401, 403, 404, 408, 413, 422, 429, 500, 503) if is_refusal(status)] == [400, 413, 422]
    about_the_receiver = {401, 402, 403, 404, 405, 407, 408, 410, 421, 425, 429}
    assert {status for status in range(300, 600) if is_refusal(status)} == set(range(400, 500)) - about_the_receiver
