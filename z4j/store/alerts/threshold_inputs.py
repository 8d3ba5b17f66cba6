# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads the input of thresholds: whole minutes of task names and queues, and past findings. Reads sums only, no tasks."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from z4j.rules.alerts.alert_decision import Match
from z4j.rules.alerts.dry_run import PastFinding
from z4j.rules.alerts.threshold_measures import NOTHING, MinuteSample
from z4j.rules.findings.finding import Finding, Scope
from z4j.rules.rollups import MINUTE_US
from z4j.store.findings.activity import Subject, Texts
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Store

SQL = sql.load("alerts/threshold_inputs")
BLOCKS: Final = {"name": ("name_minutes", "name_buckets"), "queue": ("queue_minutes", "queue_buckets")}
PAST: Final = 20_000
"""Maximum past findings of a dry run."""

Minutes = dict[Subject, dict[int, MinuteSample]]
"""The minutes of each subject by their start; empty minutes are omitted."""


async def read_minutes(store: Store, of: Literal["name", "queue"], since: int, until: int) -> Minutes:
    """Returns the minutes of a range (microseconds UTC) by task name or by queue."""
    params = {"since": since, "until": until}
    counts, buckets_of = BLOCKS[of]
    counted = await store.fetch_all(SQL[counts], params)
    timed = await store.fetch_all(SQL[buckets_of], params)
    reported = await store.fetch_all(SQL["queue_reports"], params) if of == "queue" else []
    texts = Texts(store)
    await texts.load([*counted, *timed, *reported], 3)
    found: Minutes = {}
    for row in counted:
        found.setdefault(texts.subject(row), {})[row[4]] = MinuteSample(*(max(count, 0) for count in row[5:]))
    for row in reported:
        minutes = found.setdefault(texts.subject(row), {})
        minutes[row[4]] = replace(minutes.get(row[4], NOTHING), depth=row[5], oldest_us=row[6], dead=row[7])
    buckets: dict[Subject, dict[int, dict[int, int]]] = {}
    for row in timed:
        buckets.setdefault(texts.subject(row), {}).setdefault(row[4], {})[row[5]] = row[6]
    for subject, by_minute in buckets.items():
        minutes = found.setdefault(subject, {})
        for at, histogram in by_minute.items():
            known = minutes.get(at, NOTHING)
            minutes[at] = replace(known, ran=histogram) if of == "name" else replace(known, waited=histogram)
    return {subject: minutes for subject, minutes in found.items() if subject[1]}


def in_row(minutes: dict[int, MinuteSample], since: int, until: int) -> list[MinuteSample]:
    """Returns the minutes of a range without a gap."""
    return [minutes.get(at, NOTHING) for at in range(since, until, MINUTE_US)]


async def list_past(store: Store, since: int) -> list[tuple[Finding, PastFinding]]:
    """Lists the findings that were open at or after a time, oldest first. Fields that are not stored are empty."""
    found = []
    for key, kind, app, environment, engine, subject, level, title, text, began_at, found_at, ended_at in await store.fetch_all(
        SQL["list_past"], {"since": since, "limit": PAST}
    ):
        scope = Scope(app, environment, engine)
        finding = Finding(kind, subject, level, 0, title, text, "", scope, began_at)
        found.append((finding, PastFinding(scope, Match(key, level, title, text, "", began_at, found_at), ended_at)))
    return found
