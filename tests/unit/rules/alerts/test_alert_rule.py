# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which findings a rule matches, and which rules are refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.rules.alerts.examples import at_once, finding
from z4j.exceptions import BadInput
from z4j.rules.alerts.alert_rule import LEVELS, SEVERITIES, AlertRule, checked, own_subjects
from z4j.rules.alerts.quiet_hours import Weekly
from z4j.rules.alerts.threshold_measures import Threshold
from z4j.rules.findings.finding import Scope

OVER = Threshold("depth", 100)


@pytest.mark.parametrize(
    ("rule", "is_wanted"),
    [
        ({}, True),
        ({"kinds": ("error", "slow")}, True),
        ({"kinds": ("slow",)}, False),
        ({"level": "bad"}, True),
        ({"app": "shop"}, True),
        ({"app": "blog"}, False),
        ({"environment": "staging"}, False),
        ({"engine": "celery"}, False),
        ({"subject": "7"}, True),
        ({"subject": "7*"}, True),
        ({"subject": "8"}, False),
        ({"threshold": OVER}, False),
    ],
)
def test_a_rule_wants_findings_by_kind_level_place_and_subject(rule: dict[str, Any], is_wanted: bool) -> None:
    assert at_once(**rule).matches(finding(), own_subjects(3)) is is_wanted


def test_a_mild_finding_is_below_the_level_of_a_rule() -> None:
    assert not at_once(level="bad").matches(finding(level="blind"), "")
    assert at_once(level="blind").matches(finding(level="blind"), "")
    assert not at_once(level="blind").matches(finding(level="warn"), "")
    assert at_once(level="warn").matches(finding(level="warn"), "")


def test_a_threshold_is_of_its_own_rule_only() -> None:
    over = finding("threshold", f"{own_subjects(3)}mails")
    assert at_once(threshold=OVER).matches(over, own_subjects(3))
    assert not at_once(threshold=OVER).matches(over, own_subjects(33))
    assert not at_once().matches(over, own_subjects(3)), "a rule about findings leaves it to the rule that measures"


def test_a_finding_of_the_server_concerns_every_app() -> None:
    assert at_once(app="shop").matches(finding(scope=Scope()), "")


@pytest.mark.parametrize(
    "rule",
    [
        {"name": " "},
        {"name": "a" * 101},
        {"name": "a\n"},
        {"for_s": -1},
        {"cooldown_s": 366 * 86_400 + 1},
        {"reminder_s": 59},
        {"escalate_s": 60},
        {"escalate_to": (1,)},
        {"channels": (2,)},
        {"escalate_s": 60, "escalate_to": (2,)},
        {"quiet": (Weekly((), 0, 60),)},
        {"threshold": Threshold("depth", -1)},
        {"threshold": Threshold("absent", 60)},
        {"threshold": Threshold("absent", 60), "subject": "mails.*"},
    ],
)
def test_a_rule_that_cannot_work_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="No changes were made"):
        checked(at_once(**rule), {1})


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"name": "a" * 100, "for_s": 366 * 86_400, "reminder_s": 60},
        {"escalate_s": 60, "escalate_to": (1,), "quiet": (Weekly((0,), 0, 60),)},
        {"threshold": Threshold("absent", 60), "subject": "mails.send"},
    ],
)
def test_a_rule_that_can_work_stays_as_it_is(rule: dict[str, Any]) -> None:
    given = at_once(**rule)
    assert checked(given, {1}) == given


def test_a_rule_is_the_same_after_it_was_stored() -> None:
    rule = at_once(threshold=Threshold("slow_starts", 0.05, 10, 30, 30.0), quiet=(Weekly((5, 6), 0, 0, "Europe/Berlin"),), escalate_to=(1,))
    assert msgspec.json.decode(msgspec.json.encode(rule), type=AlertRule) == rule
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"name": "x", "colour": "red"}', type=AlertRule)


def test_defaults_and_order_of_severities() -> None:
    rule = AlertRule("x")
    assert (rule.severity, rule.level, rule.for_s, rule.cooldown_s, rule.reminder_s, rule.escalate_s) == ("warning", "warn", 0, 300, 0, 0)
    assert rule.is_enabled
    assert SEVERITIES == ("critical", "warning", "info")
    assert [level for level, _ in sorted(LEVELS.items(), key=lambda pair: pair[1])] == ["warn", "blind", "bad"]
    assert own_subjects(3) == "rule 3: "
    assert msgspec.json.encode(rule) == b'{"name":"x"}', "a default is not stored, so a later release may change it"
    other = finding("error", f"{own_subjects(3)}mails")
    assert not at_once(threshold=OVER).matches(other, own_subjects(3)), "a finding of another kind with such a subject"


@pytest.mark.parametrize(
    ("rule", "message", "hint"),
    [
        ({"name": " "}, "A rule needs a name of at most 100 printable characters. No changes were made.", ""),
        ({"channels": (3, 2)}, "Unknown channel 2. No changes were made.", "Choose from the list of channels."),
        ({"reminder_s": 1}, "The reminder interval must be at least one minute. No changes were made.", ""),
    ],
)
def test_a_refusal_says_what_is_wrong(rule: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        checked(at_once(**rule), {1})
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert checked(at_once(threshold=Threshold("depth", 1)), {1}).subject == "", "only of a task that is absent the name is needed"
