# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest

from z4j.exceptions import BadInput
from z4j.rules.plans import CANARY_LIMIT, Pace, pack_pace, read_pace, unpack_pace


@pytest.mark.parametrize(("text", "limit", "pace"), [
    ("", "", Pace()),
    ("all", "", Pace(limit=CANARY_LIMIT)),
    ("canary", "30", Pace(is_canary=True, limit=30)),
    ("60/m", "0", Pace(60, limit=0)),
    ("7/min", "100", Pace(7, limit=100)),
])  # fmt: skip
def test_a_pace_is_read_and_kept(text: str, limit: str, pace: Pace) -> None:
    assert read_pace(text, limit) == pace
    assert unpack_pace(pack_pace(pace)) == pace


@pytest.mark.parametrize(("text", "limit"), [
    ("fast", ""), ("0/m", ""), ("-1/m", ""), ("60/h", ""), ("1234567/m", ""), ("all", "x"), ("all", "101"), ("all", "-1"), ("all", "٣"),
])  # fmt: skip
def test_what_is_no_pace_is_refused(text: str, limit: str) -> None:
    with pytest.raises(BadInput):
        read_pace(text, limit)
