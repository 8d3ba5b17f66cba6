# SPDX-License-Identifier: AGPL-3.0-or-later
"""A release is marked with its audit row; an earlier sight stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import T, database
from tests.unit.operations.alerts.examples import OLGA, VERA
from z4j.exceptions import BadInput, NotAllowed, NotFound
from z4j.live import Live
from z4j.operations.releases import mark_release
from z4j.store.access.audit import AuditLog
from z4j.store.releases import release_runs

pytestmark = pytest.mark.anyio


async def test_a_release_is_marked_once_and_each_mark_has_its_row(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        log, live = AuditLog(tmp_path), Live()
        await log.start(store, T)
        for at in (T + 5, T, T + 9):
            await mark_release(store, log, live, OLGA, release="2.0", app="shop", environment="", at=at)
        [found] = await release_runs.list_releases(store, 2**62)
        assert (found.release, found.environment, found.first_at) == ("2.0", "", T)
        for who, release, app, error in (
            (VERA, "2.0", "shop", NotAllowed), (OLGA, "2.0", "nobody", NotFound), (OLGA, "a\nb", "shop", BadInput),
        ):  # fmt: skip
            with pytest.raises(error, match="No changes were made"):
                await mark_release(store, log, live, who, release=release, app=app, environment="", at=T)
        rows = await store.fetch_all("SELECT outcome FROM audit WHERE action = 'mark_release' ORDER BY seq")
        assert [row[0] for row in rows] == ["done", "done", "done", "refused"]
        await log.close(store, T)
