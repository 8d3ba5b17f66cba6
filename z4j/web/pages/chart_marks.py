# SPDX-License-Identifier: AGPL-3.0-or-later
"""Marks of charts: the first sight of a release, actions of users, and when a worker was started."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, urlencode

from z4j.rules.charts.model import Mark
from z4j.store.fleet.releases import ReleaseSight, WorkerStart, list_sights
from z4j.store.operations.commands import CommandRow
from z4j.store.sqlite.db import Store


async def release_marks(store: Store, since: int, until: int, *, app: str = "", environment: str = "") -> list[Mark]:
    """Returns a mark for each release first seen in a range (microseconds UTC); "" is any app or environment."""
    sights = await list_sights(store, since, until, app=app, environment=environment)
    return [Mark(sight.at, f"release {sight.release}", _release_href(sight)) for sight in sights]


def action_marks(rows: Iterable[CommandRow], since: int, until: int) -> list[Mark]:
    """Returns a mark for each command of a range."""
    return [
        Mark(row.created_at, row.action.replace("_", " "), f"/changes?before={row.created_at + 1}", "action")
        for row in rows
        if since <= row.created_at < until and row.action != "peek_queue"
    ]


def of_many(rows: Iterable[CommandRow]) -> list[CommandRow]:
    """Returns the commands that are not about a single task: those explain what many tasks did."""
    return [row for row in rows if row.task is None and not row.action.endswith("_task")]


def start_marks(starts: Iterable[WorkerStart]) -> list[Mark]:
    """Returns a mark for each start of a worker."""
    return [Mark(start.at, f"started, {start.release}" if start.release else "started", kind="action") for start in starts]


def _release_href(sight: ReleaseSight) -> str:
    return f"/releases/{quote(sight.release, safe='')}?" + urlencode({"app": sight.app, "environment": sight.environment})
