# SPDX-License-Identifier: AGPL-3.0-or-later
"""The news service: what it reads of each table, and that pages do not read it again and again."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.support.database import SECOND, database
from z4j import clock
from z4j.operations.findings.news import DAYS, KEPT_US, NewsService
from z4j.rules.findings.finding import Finding, Scope
from z4j.rules.findings.news import BEGAN, COMMAND, ENDED, ERROR, PLAN, RELEASE, SCHEDULE
from z4j.store.findings import findings
from z4j.store.fleet import releases
from z4j.store.names import names
from z4j.store.sqlite.db import Connection

pytestmark = pytest.mark.anyio
FOUND = Finding("slow", "shop.ship", "warn", 1, "shop.ship is slow", "p95 48 s", "", Scope("shop", "production", "celery"))


def add_everything(db: Connection, at: int) -> None:
    """One of each kind, at this time."""
    findings.save(db, [FOUND], [], [], at)
    plan = (
        "INSERT INTO plan (key, action, params, source, author, reason, status, items, created_at, ended_at) "
        "VALUES (?, ?, '{}', '', ?, '', ?, ?, ?, ?)"
    )
    db.execute(plan, ("k1", "retry_task", "olga", "done", 41, at, at))
    db.execute(plan, ("k2", "retry_task", "olga", "running", 2, at, None))
    command = (
        "INSERT INTO command (id, app_id, engine, action, task, params, status, asked_by, created_at, expires_at, ended_at) "
        "VALUES (?, 1, 'celery', 'retry_task', 5, '{}', ?, ?, ?, ?, ?)"
    )
    for id, status, asked_by in (("c1", "failed", "ada"), ("c2", "done", "ada"), ("c3", "refused", "olga")):
        db.execute(command, (id, status, asked_by, at, at, at))
    db.execute(
        "INSERT INTO error_group (app_id, title, error_type, message, function, first_at, last_at, state, state_at) "
        "VALUES (1, 'ValueError in ship', 'ValueError', '', '', 0, 0, 3, ?)", (at,)
    )  # fmt: skip
    db.execute(
        "INSERT INTO schedule_edit (app_id, environment, scheduler, key, at, by, action, reason, changes) "
        "VALUES (1, '', 'z4j', 'nightly', ?, 'olga', 'disabled', '', '{}')", (at,)
    )  # fmt: skip
    releases.record_sight(db, 1, names.intern(db, "environment", "production"), names.intern(db, "release", "a1b2c3"), at)


async def test_each_kind_is_read_once_and_for_whom_it_is(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        service, at = NewsService(store), clock.now()
        await store.write(partial(add_everything, at=at))
        mine = await service.unread("ada", at - SECOND)
        assert sorted(each.kind for each in mine) == sorted((BEGAN, PLAN, COMMAND, ERROR, SCHEDULE, RELEASE))
        titles = {each.kind: each.title for each in mine}
        assert titles[BEGAN] == "shop.ship is slow"
        assert titles[PLAN] == "Plan 1: Retry 41 tasks"
        assert titles[COMMAND] == "Retry task failed"
        assert titles[RELEASE] == "Release a1b2c3 first seen"
        assert next(each.href for each in mine if each.kind == RELEASE) == "/releases/a1b2c3"
        theirs = {each.kind for each in await service.unread("olga", at - SECOND)}
        assert SCHEDULE not in theirs
        assert await service.unread("ada", at) == []


async def test_a_finding_that_ended_is_news_again_and_leads_to_its_subject(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        at = clock.now()
        await store.write(lambda db: findings.save(db, [FOUND], [], [], at - 9 * SECOND))
        [began] = await NewsService(store).unread("ada", 0)
        assert (began.kind, began.href) == (BEGAN, "/")
        await store.write(lambda db: findings.save(db, [], [], [FOUND.key], at))
        ended, began = await NewsService(store).unread("ada", 0)
        assert (ended.kind, ended.text) == (ENDED, "over after 9.0\u202fs · shop · production · celery")
        assert ended.href == began.href == "/names/shop.ship?app=shop&environment=production&engine=celery"


async def test_pages_within_seconds_share_a_read_and_old_news_are_not_read(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        service, at = NewsService(store), clock.now()
        await store.write(partial(add_everything, at=at - (DAYS + 1) * clock.DAY_US))
        assert await service.recent() == ()
        await store.write(partial(findings.save, begun=[Finding("disk", "disk", "bad", 1, "Disk", "full", "")], worse=[], ended=[], at=at))
        assert await service.recent() == ()
        service._until -= KEPT_US
        assert [each.title for each in await service.recent()] == ["Disk"]
