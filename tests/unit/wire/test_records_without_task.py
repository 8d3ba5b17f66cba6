# SPDX-License-Identifier: AGPL-3.0-or-later
"""Records that are about no task are decoded with defaults for what an older agent does not report."""

from __future__ import annotations

import msgspec
import pytest

from z4j.wire import records, records_without_task


def test_what_is_not_reported_has_its_default() -> None:
    origin = msgspec.json.decode(b'["origin","b",1,{"host":"h","of_a_newer_agent":1}]', type=records_without_task.Origin)
    assert (origin.facts.host, origin.facts.worker, origin.facts.redaction) == ("h", None, 0)
    fired = msgspec.json.decode(b'["fired","r",1,{"scheduler":"s","schedule":"x"}]', type=records_without_task.Fired)
    assert (fired.facts.outcome, fired.facts.due_at) == ("sent", None)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'["gap","",1,{}]', type=records_without_task.Gap)


def test_they_are_found_beside_those_of_tasks() -> None:
    assert all(getattr(records, name) is getattr(records_without_task, name) for name in records.__all__)
