# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads the newest changes since a time, each kind by its index."""

from __future__ import annotations

import sqlite3
from typing import Final
from urllib.parse import quote

from z4j.formats import duration, number, plural
from z4j.rules.findings.finding import Scope
from z4j.rules.findings.news import BEGAN, COMMAND, ENDED, ERROR, PLAN, RELEASE, SCHEDULE, News, finding_href, in_order
from z4j.rules.plans import ACTIONS
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Row, Store

SQL = sql.load("findings/news")
MOST: Final = 200
"""Maximum news of one kind."""
_LEVELS: Final = {"bad": "failed", "warn": "retrying", "blind": "unknown"}
_ENDS: Final = {"done": "done", "aborted": "cancelled"}


async def list_news(store: Store, since: int) -> tuple[News, ...]:
    """Returns the changes since a time in microseconds UTC, newest first, at most MOST of each kind."""
    return await store.read(lambda db: _Reader(db, since).read())


class _Reader:
    def __init__(self, db: sqlite3.Connection, since: int) -> None:
        self.db = db
        self.params = {"since": since, "limit": MOST}

    def read(self) -> tuple[News, ...]:
        news = [_began(row) for row in self._rows("list_began")]
        news += [_over(row) for row in self._rows("list_over")]
        news += [_plan(row) for row in self._rows("list_plans")]
        news += [_command(row) for row in self._rows("list_bad_commands")]
        news += [_regressed(row) for row in self._rows("list_regressed")]
        news += [_edit(row) for row in self._rows("list_edits")]
        news += [_release(row) for row in self._rows("list_releases")]
        return in_order(news)

    def _rows(self, block: str) -> list[Row]:
        return self.db.execute(SQL[block], self.params).fetchall()


def _began(row: Row) -> News:
    kind, app, environment, engine, subject, level, title, text, began_at, ended_at = row
    scope = Scope(app, environment, engine)
    href = finding_href(kind, scope, subject) if ended_at else "/"
    return News(began_at, BEGAN, title, _at(text, scope), href, _LEVELS.get(level, "unknown"))


def _over(row: Row) -> News:
    kind, app, environment, engine, subject, _, title, began_at, ended_at = row
    scope = Scope(app, environment, engine)
    text = _at(f"over after {duration(ended_at - began_at)}", scope)
    return News(ended_at, ENDED, title, text, finding_href(kind, scope, subject), "succeeded")


def _at(text: str, scope: Scope) -> str:
    return " · ".join(part for part in (text, *scope) if part)


def _plan(row: Row) -> News:
    id, action, items, status, author, ended_at = row
    title = f"Plan {id}: {ACTIONS[action][0] if action in ACTIONS else action} {plural(items, 'task')}"
    text = f"{'aborted' if status == 'aborted' else 'finished'}, by {author}"
    return News(ended_at, PLAN, title, text, f"/plans/{id}", _ENDS.get(status, "unknown"))


def _command(row: Row) -> News:
    action, task, queue, target, status, asked_by, ended_at = row
    about = f"task {number(task)}" if task else f"queue {queue}" if queue else target
    href = f"/tasks/{task}" if task else "/changes"
    return News(ended_at, COMMAND, f"{action.replace('_', ' ').capitalize()} {status}", about, href, status, mine=asked_by)


def _regressed(row: Row) -> News:
    id, title, state_at = row
    return News(state_at, ERROR, title, "regressed after it was resolved", f"/errors/{id}", "regressed")


def _edit(row: Row) -> News:
    by, action, name, id, at = row
    return News(at, SCHEDULE, name, f"{action} by {by}", f"/schedules/{id}" if id else "/schedules", "scheduled", by=by)


def _release(row: Row) -> News:
    app, environment, release, first_at = row
    where = " · ".join(part for part in (app, environment) if part)
    return News(first_at, RELEASE, f"Release {release} first seen", where, f"/releases/{quote(release, safe='')}", "received")
