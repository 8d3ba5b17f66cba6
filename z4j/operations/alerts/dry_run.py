# SPDX-License-Identifier: AGPL-3.0-or-later
"""Dry run of a rule over the findings of the last week, or over the stored minutes."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from z4j.operations.findings.thresholds import last_whole_minute
from z4j.rules.alerts.alert_rule import AlertRule, own_subjects
from z4j.rules.alerts.dry_run import DryRun, dry_run
from z4j.rules.alerts.past_thresholds import past_findings
from z4j.rules.alerts.threshold_measures import MEASURES, Samples, window_of
from z4j.rules.alerts.thresholds import Subject
from z4j.rules.rollups import DAY_US, KEPT_US, MINUTE, MINUTE_US
from z4j.store.alerts import alert_rules, threshold_inputs
from z4j.store.sqlite.db import Store

WEEK_US: Final = 7 * DAY_US
LOOKED_AT: Final = 150_000
"""Maximum minutes of all subjects together: 50 names over two days. With more names, a dry run covers less time."""


class Answer(NamedTuple):
    """The result since a time (microseconds UTC), and why not since earlier; "" if that is a week."""

    run: DryRun
    since: int
    why: str


async def dry_run_of(store: Store, id: int, rule: AlertRule, at: int) -> Answer:
    """Returns what a rule would have done until a time. `id` is 0 for a rule that is not stored yet. Raises StoreError."""
    windows = [row.window for row in await alert_rules.list_maintenance(store, at - WEEK_US)]
    if rule.threshold is None:
        own = own_subjects(id)
        past = [found for finding, found in await threshold_inputs.list_past(store, at - WEEK_US) if rule.matches(finding, own)]
        return Answer(dry_run(rule, past, at, windows), at - WEEK_US, "")
    since, until, rows = await _minutes(store, rule, at)
    found = await asyncio.to_thread(lambda: list(past_findings(id, rule, rows, since, until)))
    why = (
        "Only the last two days were checked: minute statistics are kept for two days."
        if until - since > DAY_US
        else "Only a part of the period was checked: there are too many task names or queues."
    )
    return Answer(dry_run(rule, found, at, windows), since, why)


async def _minutes(store: Store, rule: AlertRule, at: int) -> tuple[int, int, dict[Subject, Samples]]:
    """(beginning, end, minutes by subject) for a threshold, read hour by hour backwards until the limit is reached."""
    assert rule.threshold is not None
    kept, of = KEPT_US[MINUTE], MEASURES[rule.threshold.measure].of
    assert kept is not None
    until = last_whole_minute(at)
    first = until - kept + MINUTE_US
    hour = 60 * MINUTE_US
    since, read = until, threshold_inputs.Minutes()
    while since > first:
        begin = max(since - hour, first)
        for subject, minutes in (await threshold_inputs.read_minutes(store, of, begin, since)).items():
            if rule.scope.holds(subject[0]) and rule.matches_subject(subject[1]):
                read.setdefault(subject, {}).update(minutes)
        since = begin
        if len(read) * (until - since) // MINUTE_US > LOOKED_AT and until - since > window_of(rule.threshold) * MINUTE_US:
            break
    if rule.threshold.measure == "absent" and not read:
        read[rule.scope, rule.subject] = {}
    return since, until, {subject: threshold_inputs.in_row(minutes, since, until) for subject, minutes in read.items()}
