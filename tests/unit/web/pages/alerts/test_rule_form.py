# SPDX-License-Identifier: AGPL-3.0-or-later
"""A rule is the same after it was a form, whatever is in it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.rules.alerts.examples import at_once
from z4j.exceptions import BadInput
from z4j.rules.alerts.quiet_hours import Weekly
from z4j.rules.alerts.threshold_measures import Threshold
from z4j.web.pages.alerts.rule_form import RuleForm, of_fields, of_rule, to_rule

NIGHT, WEEKEND, HOLIDAY = Weekly((0, 1), 1_320, 360, "Europe/Berlin"), Weekly((5, 6), 0, 0), Weekly((3,), 60, 90)


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {
            "kinds": ("error", "slow"),
            "level": "bad",
            "severity": "critical",
            "app": "shop",
            "environment": "production",
            "engine": "rq",
            "subject": "m*",
        },
        {"threshold": Threshold("failure_share", 0.05, 10, 30)},
        {"threshold": Threshold("slow_starts", 0.01, 5, 20, 2.5)},
        {"threshold": Threshold("depth", 1_000)},
        {"for_s": 61, "cooldown_s": 5, "reminder_s": 77, "escalate_s": 99, "escalate_to": (2, 3), "channels": (1, 2)},
        {"quiet": (NIGHT,)},
        {"quiet": (NIGHT, WEEKEND, HOLIDAY), "is_enabled": False},
    ],
)
def test_a_rule_is_the_same_after_it_was_a_form(rule: dict[str, Any]) -> None:
    given = at_once(**rule)
    form = of_rule(given)
    sent = of_fields({**form.texts, **dict.fromkeys(form.boxes, "yes")})
    assert to_rule(sent, given) == given


def test_lengths_that_are_stored_can_be_chosen() -> None:
    assert ("77", "1\u202fm\u202f17\u202fs") in of_rule(at_once(for_s=77)).options("for_s")
    assert of_rule(at_once()).options("reminder_s")[0] == ("0", "never")


@pytest.mark.parametrize(
    "fields",
    [
        {"severity": "loud"}, {"about": "depth", "limit": ""}, {"about": "colour", "limit": "1"}, {"for_s": "soon"},
        {"about": "depth", "limit": "1", "minutes": "x"}, {"day1:0": "yes", "begin1": "ten"}, {"day1:0": "yes", "begin1": "1:2:3"},
    ],
)  # fmt: skip
def test_what_is_no_rule_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="No changes were made"):
        to_rule(of_fields({**of_rule(at_once()).texts, **fields}), None)


def test_boxes_that_are_no_numbers_are_left_out() -> None:
    texts = dict(of_rule(at_once(channels=())).texts)
    assert to_rule(RuleForm(texts, frozenset({"channel:x", "channel:", "channel:7", "kind:odd"})), None).channels == (7,)
