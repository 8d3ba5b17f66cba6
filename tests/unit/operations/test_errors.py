# SPDX-License-Identifier: AGPL-3.0-or-later
"""Actions on error groups: roles, audit rows, history, and a plan of what failed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import T, life, origin, tell
from tests.unit.operations.test_plans import OLGA, Stage, stage
from z4j.exceptions import BadInput, NotAllowed, NotFound, WrongState
from z4j.live import Live
from z4j.operations.errors import ErrorService
from z4j.store.access import users
from z4j.store.errors import error_groups
from z4j.store.errors.error_groups import ErrorFilter, ErrorGroup

pytestmark = pytest.mark.anyio


class Viewer:
    name, role, address = "vera", "viewer", ""


@asynccontextmanager
async def service(folder: Path) -> AsyncIterator[tuple[Stage, ErrorService, ErrorGroup]]:
    async with stage(folder) as on:
        await on.fail(3)
        made = ErrorService(on.plans, Live(), on.plans.audit_log)
        [group] = (await error_groups.list_groups(on.store, ErrorFilter(), None, 9))[0]
        yield on, made, group


async def test_each_action_changes_the_group_and_is_in_both_logs(tmp_path: Path) -> None:
    async with service(tmp_path) as (on, errors, group):
        await errors.resolve(OLGA, group.id, reason="fixed in 3f")
        assert (await errors.get(group.id)).state == "resolved"
        await errors.reopen(OLGA, group.id)
        await errors.resolve(OLGA, group.id, is_by_release=True)
        assert (await errors.get(group.id)).is_by_release
        await errors.ignore(OLGA, group.id, for_us=60_000_000, rate=5, count=10)
        ignored = await errors.get(group.id)
        assert (ignored.state, ignored.ignore_rate, ignored.ignore_total) == ("ignored", 5, 13)
        await on.store.write(lambda db: users.add_user(db, "ann", "", "viewer", T))
        await errors.assign(OLGA, group.id, "ann")
        await errors.note(OLGA, group.id, "known since May", "https://wiki.example/runbook")
        noted = await errors.get(group.id)
        assert (noted.assigned_to, noted.note, noted.runbook) == ("ann", "known since May", "https://wiki.example/runbook")
        actions = [(row.actor, row.action) for row in reversed(await error_groups.list_actions(on.store, group.id))]
        assert actions == [
            ("olga", word)
            for word in ("resolved", "reopened", "resolved in the next release", "ignored", "assigned to ann", "changed the note")
        ]  # fmt: skip
        assert await on.audit() == [("change_error", "done")] * 6


async def test_merging_and_splitting(tmp_path: Path) -> None:
    async with service(tmp_path) as (on, errors, group):
        await tell(on.store, origin(), *life("lost-1", T, "failed"))
        await tell(on.store, [*life("x", T, "failed")[3][:11], "", "OSError", "no", "", None])
        other = next(found for found in (await error_groups.list_groups(on.store, ErrorFilter(), None, 9))[0] if found.id != group.id)
        await errors.merge(OLGA, other.id, group.id)
        assert (await errors.get(group.id)).failed == 5
        with pytest.raises(WrongState):
            await errors.resolve(OLGA, other.id)
        await errors.split(OLGA, other.id)
        assert (await errors.get(group.id)).failed == 4
        with pytest.raises(WrongState):
            await errors.split(OLGA, other.id)
        with pytest.raises(WrongState):
            await errors.merge(OLGA, group.id, group.id)


async def test_retry_opens_a_frozen_plan(tmp_path: Path) -> None:
    async with service(tmp_path) as (_, errors, group):
        plan = await errors.retry(OLGA, group.id, "after the fix")
        assert (plan.status, plan.items, plan.action) == ("frozen", 3, "retry_task")
        assert plan.source == f"error {group.id}: ValueError: bad"


async def test_a_viewer_is_refused_and_that_is_logged(tmp_path: Path) -> None:
    async with service(tmp_path) as (on, errors, group):
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: errors.resolve(Viewer(), group.id), lambda: errors.ignore(Viewer(), group.id),
            lambda: errors.reopen(Viewer(), group.id),
            lambda: errors.assign(Viewer(), group.id, "ann"), lambda: errors.note(Viewer(), group.id, "x", ""),
            lambda: errors.retry(Viewer(), group.id),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(NotAllowed):
                await call()
        assert {outcome for _, outcome in await on.audit()} == {"refused"}
        assert (await errors.get(group.id)).state == "unresolved"


async def test_what_is_not_possible_is_refused(tmp_path: Path) -> None:
    async with service(tmp_path) as (_, errors, group):
        with pytest.raises(NotFound):
            await errors.get(99)
        refused: tuple[dict[str, Any], ...] = ({"for_us": 0}, {"rate": -1}, {"count": 10**12}, {"for_us": 10**18})
        for limits in refused:
            with pytest.raises(BadInput):
                await errors.ignore(OLGA, group.id, **limits)
        for runbook in ("javascript:alert(1)", "ftp://x", "https://" + "x" * 600, "https://a\nb"):
            with pytest.raises(BadInput):
                await errors.note(OLGA, group.id, "", runbook)
        with pytest.raises(BadInput):
            await errors.note(OLGA, group.id, "x" * 5_000, "")
        with pytest.raises(BadInput):
            await errors.assign(OLGA, group.id, "a\nb")
