# SPDX-License-Identifier: AGPL-3.0-or-later
"""Adds minutes to their hour and day, some minutes after they have ended: most news of a minute have arrived by then, and writing all three
steps with every task cost ingest twice as much as minutes alone.

Until then readers add the minutes to the longer steps themselves (`rollups`). The boundary, `rolled_until`, is stored, and moves in the
transaction that adds them.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from z4j.rules.rollups import DAY, HOUR, HOUR_US, MINUTE_US, STEP_US
from z4j.store.rollups import rollup_writer
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("rollups/downsampling")
AFTER_US: Final = 5 * MINUTE_US
"""How long after its end a minute is added."""
BLOCKS: Final = ("roll_sums", "roll_buckets", "roll_workers")


async def rolled_until(store: Store) -> int:
    """Returns the time in microseconds UTC before which minutes were added to hours and days."""
    row = await store.fetch_one(rollup_writer.SQL["read_rolled"])
    return int(row[0]) if row else 0


async def roll(store: Store, at: int) -> int:
    """Adds every minute that ended long enough before a time (microseconds UTC): those of one hour at a time, where a server has to catch
    up. Returns how often it added some."""
    rolled, until, count = await rolled_until(store), (at - AFTER_US) // MINUTE_US * MINUTE_US, 0
    while (row := await store.fetch_one(SQL["next_minute"], {"at": rolled})) and row[0] is not None and row[0] < until:
        first = int(row[0])
        rolled = min(first // HOUR_US * HOUR_US + HOUR_US, until)
        await store.write(partial(roll_minutes, at=first, until=rolled))
        count += 1
    return count


def roll_minutes(db: Connection, at: int, until: int) -> None:
    """Adds the minutes from `at` on and before `until`, all of one hour, and moves the boundary behind them. The minutes before have to be
    added already, or to be without tasks."""
    for step in (HOUR, DAY):
        start = at // STEP_US[step] * STEP_US[step]
        if start >= rollup_writer.horizon(db, rollup_writer.EVERY_APP, step):
            db.sum_cache.stage([(step, start)])
            for block in BLOCKS:
                db.execute(SQL[block], {"step": step, "start": start, "at": at, "until": until})
    db.execute(SQL["put_rolled_until"], {"at": str(until)})
    rollup_writer.forget_horizons(db)
