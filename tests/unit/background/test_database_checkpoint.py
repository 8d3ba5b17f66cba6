# SPDX-License-Identifier: AGPL-3.0-or-later
"""The write-ahead log stays short."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database
from z4j.background.database_checkpoint import CHECKPOINT_US, DatabaseCheckpoint
from z4j.store.sqlite.db import Store

pytestmark = pytest.mark.anyio


async def test_a_short_log_is_copied_twice_a_minute_and_a_long_one_at_once(tmp_path: Path) -> None:
    asked: list[int] = []

    class Counting(Store):
        async def checkpoint(self, least_bytes: int = 0) -> None:
            asked.append(least_bytes)
            await super().checkpoint(least_bytes)

    async with database(tmp_path) as store:
        of = Counting(store.path)
        duty = DatabaseCheckpoint(of)
        for at in (T, T + SECOND, T + CHECKPOINT_US - 1, T + CHECKPOINT_US, T + CHECKPOINT_US + 1, T - SECOND):
            await duty.checkpoint(at)
    assert [bytes == 0 for bytes in asked] == [True, False, False, True, False, True], "also after the clock was put back"
    assert len(set(asked)) == 2
