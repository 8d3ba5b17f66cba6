# SPDX-License-Identifier: AGPL-3.0-or-later
"""The form of a rule: converts a rule to text fields and back. A refused form is shown again as submitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from z4j.exceptions import BadInput
from z4j.formats import duration
from z4j.rules.alerts.alert_rule import LEVELS, SEVERITIES, AlertRule
from z4j.rules.alerts.quiet_hours import Weekly
from z4j.rules.alerts.threshold_measures import MEASURES
from z4j.rules.findings.kinds import KINDS

FINDINGS: Final = "findings"
LENGTHS: Final[dict[str, tuple[int, ...]]] = {
    "for_s": (0, 60, 300, 600, 1_800, 3_600), "cooldown_s": (0, 300, 900, 3_600, 14_400),
    "reminder_s": (0, 900, 1_800, 3_600, 14_400, 86_400), "escalate_s": (0, 300, 900, 1_800, 3_600),
}  # fmt: skip
ZERO: Final = {"for_s": "immediately", "cooldown_s": "none", "reminder_s": "never", "escalate_s": "never"}
QUIET: Final = (1, 2)
"""The form has two windows: nights and weekends."""
DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
TEXTS: Final = (
    "name", "severity", "about", "limit", "minutes", "least", "within_s", "level", "app", "environment", "engine", "subject", *LENGTHS,
    *(f"{part}{number}" for number in QUIET for part in ("begin", "end", "zone")),
)  # fmt: skip
CHECKS: Final = ("kind:", "channel:", "escalate:", *(f"day{number}:" for number in QUIET))


@dataclass(frozen=True, slots=True)
class RuleForm:
    """The fields as they are in the form: texts by name, and the names of the boxes that are checked."""

    texts: Mapping[str, str]
    boxes: frozenset[str]

    def options(self, field: str) -> list[tuple[str, str]]:
        """Returns (value, word) of the selectable durations, including the stored one."""
        seconds = {*LENGTHS[field]} | ({int(text)} if (text := self.texts.get(field, "")).isdecimal() and len(text) < 10 else set())
        return [(str(each), ZERO[field] if each == 0 else duration(each * 1_000_000)) for each in sorted(seconds)]

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """(name, words) of every kind of finding."""
        return [(f"kind:{kind}", words) for kind, words in KINDS.items()]

    @property
    def abouts(self) -> list[tuple[str, str]]:
        """(value, words) of the measures of a rule."""
        return [
            (FINDINGS, "findings on Now"),
            *((name, f"{measure.what} of a {'task' if measure.of == 'name' else 'queue'}") for name, measure in MEASURES.items()),
        ]

    @property
    def severities(self) -> list[tuple[str, str]]:
        """(value, words) of every severity."""
        return [(each, each) for each in SEVERITIES]

    @property
    def levels(self) -> list[tuple[str, str]]:
        """(value, words) of the minimum level of findings."""
        words = {"warn": "all", "blind": "critical or unknown", "bad": "critical only"}
        return [(level, words[level]) for level in LEVELS]

    @property
    def windows(self) -> list[tuple[int, list[tuple[str, str]]]]:
        """(number, (name of the box, day)) of each window of quiet hours."""
        return [(number, [(f"day{number}:{day}", word) for day, word in enumerate(DAYS)]) for number in QUIET]


def of_fields(fields: Mapping[str, str]) -> RuleForm:
    """Returns a form as it was sent."""
    return RuleForm({name: fields.get(name, "") for name in TEXTS}, frozenset(name for name in fields if name.startswith(CHECKS)))


def of_rule(rule: AlertRule) -> RuleForm:
    """Returns the form of a rule."""
    texts = dict.fromkeys(TEXTS, "")
    texts |= {name: getattr(rule, name) for name in ("name", "severity", "level", "app", "environment", "engine", "subject")}
    texts |= {name: str(getattr(rule, name)) for name in LENGTHS}
    texts |= {"about": FINDINGS, "minutes": "5", "least": "20"}
    if (threshold := rule.threshold) is not None:
        is_share = MEASURES[threshold.measure].unit == "share"
        texts |= {
            "about": threshold.measure, "limit": f"{threshold.limit * 100 if is_share else threshold.limit:g}",
            "minutes": str(threshold.minutes), "least": str(threshold.least), "within_s": f"{threshold.within_s:g}",
        }  # fmt: skip
    boxes = (
        {f"kind:{kind}" for kind in rule.kinds} | {f"channel:{id}" for id in rule.channels} | {f"escalate:{id}" for id in rule.escalate_to}
    )
    for number, weekly in zip(QUIET, rule.quiet, strict=False):
        texts |= {f"begin{number}": _time(weekly.begin), f"end{number}": _time(weekly.end), f"zone{number}": weekly.zone}
        boxes |= {f"day{number}:{day}" for day in weekly.days}
    return RuleForm(texts, frozenset(boxes))


def to_rule(form: RuleForm, stored: AlertRule | None) -> AlertRule:
    """Returns the rule of a form; further quiet hours of the stored rule, which the form does not show, are kept. Raises BadInput."""
    texts = form.texts
    quiet = [weekly for number in QUIET if (weekly := _weekly(form, number)) is not None]
    values: dict[str, Any] = {name: texts[name] for name in ("name", "app", "environment", "engine", "subject")}
    values |= {name: texts[name] for name in ("severity", "level") if texts[name]}
    values |= {name: int(_number(texts[name] or "0", name)) for name in LENGTHS}
    values |= {
        "kinds": tuple(kind for kind in KINDS if f"kind:{kind}" in form.boxes), "channels": _ids(form, "channel:"),
        "escalate_to": _ids(form, "escalate:"), "quiet": (*quiet, *(stored.quiet[len(QUIET) :] if stored else ())),
        "is_enabled": stored.is_enabled if stored else True,
    }  # fmt: skip
    if texts["about"] not in ("", FINDINGS):
        values["threshold"] = _threshold(texts)
        values["kinds"] = ()
    try:
        return msgspec.convert(values, AlertRule)
    except msgspec.ValidationError as error:
        raise BadInput(f"The rule is incomplete: {error}. No changes were made.") from error


def _threshold(texts: Mapping[str, str]) -> dict[str, Any]:
    measure = next((found for name, found in MEASURES.items() if name == texts["about"]), None)
    if measure is None:
        raise BadInput("Choose what the rule measures. No changes were made.")
    limit = _number(texts["limit"], "The limit")
    return {
        "measure": texts["about"], "limit": limit / 100 if measure.unit == "share" else limit,
        "minutes": int(_number(texts["minutes"] or "5", "The number of minutes")),
        "least": int(_number(texts["least"] or "0", "The number of runs")),
        "within_s": _number(texts["within_s"] or "0", "The time to start"),
    }  # fmt: skip


def _weekly(form: RuleForm, number: int) -> Weekly | None:
    days = tuple(day for day in range(7) if f"day{number}:{day}" in form.boxes)
    if not days:
        return None
    begin, end = (_minute(form.texts[f"{part}{number}"] or "00:00") for part in ("begin", "end"))
    return Weekly(days, begin, end, form.texts[f"zone{number}"] or "UTC")


def _ids(form: RuleForm, prefix: str) -> tuple[int, ...]:
    return tuple(
        sorted(
            int(text) for box in form.boxes if box.startswith(prefix) and (text := box.removeprefix(prefix)).isdecimal() and len(text) < 10
        )
    )


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise BadInput(f"{what} must be a number, not “{text[:20]}”. No changes were made.") from error


def _minute(text: str) -> int:
    hours, colon, minutes = text.partition(":")
    if not colon or not all(part.isascii() and part.isdecimal() and len(part) <= 2 for part in (hours, minutes)):
        raise BadInput(f"“{text[:20]}” is not a time of day. No changes were made.", "Use hours and minutes, such as 22:00.")
    return int(hours) * 60 + int(minutes)


def _time(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
