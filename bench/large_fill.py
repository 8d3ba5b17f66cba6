# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fills a large database with all that pages show beside tasks: errors, attempts, workflows, processes, queues, schedules, plans, commands,
the audit log, and the index of words. Errors and the audit log are written by the server's own functions, the rest with SQL.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from bench.traffic import NAMES, QUEUES
from z4j.rules.rollups import DAY_US, HOUR_US, MINUTE_US, STEP_US
from z4j.rules.tasks.states import STATES
from z4j.store.access import users
from z4j.store.access.audit import AuditLog
from z4j.store.errors import error_changes
from z4j.store.search import word_index
from z4j.store.search.word_changes import INPUT, OUTCOME
from z4j.store.sqlite.db import Connection, Store
from z4j.store.sqlite.writer import open_writer

WORKFLOWS: Final = 2_000
"""Tasks with children: the last one of so many groups of `CHILDREN` tasks."""
CHILDREN: Final = 30
SCHEDULES: Final = 120
FIRES: Final = 60
PLANS: Final = 40
ITEMS: Final = 500
COMMANDS: Final = 5_000
AUDIT_ROWS: Final = 600
TRACEBACK: Final = """Traceback (most recent call last):
  File "/srv/shop/.venv/lib/python3.11/site-packages/celery/app/trace.py", line 453, in trace_task
    R = retval = fun(*args, **kwargs)
  File "/srv/shop/tasks/orders.py", line 88, in ship
    order = find_order(order_id)
  File "/srv/shop/orders/reading.py", line 31, in find_order
    raise NOT_FOUND
"""
WORDS: Final = """replace(n.text, '.part_', ' part ') || ' ' || t.id || ' order user id ' || (t.id * 7919 % 20000) || ' email customer'
  || (t.id * 104729 % 200000) || ' example org region ' || iif(t.id % 3, 'eu', 'us')
  || char(32, 128) || '0=' || t.id || char(32, 128) || '1=order' || char(32, 128) || 'user_id=' || (t.id * 7919 % 20000)
  || char(32, 128) || 'email=customer' || (t.id * 104729 % 200000) || '@example.org'
  || char(32, 128) || 'region=' || iif(t.id % 3, 'eu', 'us')
  || CASE t.state WHEN 12 THEN ' ok true' WHEN 11 THEN ' ' || lower(replace(t.error_type, '.', ' ')) || ' ' || replace(t.error, ':', '')
    ELSE '' END"""
"""The words of a task as `word_index.words_of_row` makes them, see `_check_words`; one that stands twice counts once."""


def fill(path: Path, db: sqlite3.Connection, tasks: int) -> None:
    """`db` is a connection to `path` without a transaction, with the tasks and their sums in it."""
    (last,) = db.execute("SELECT max(last_at) FROM task").fetchone()
    for part in (_attempts, _workflows, _processes, _queues, _schedules, _plans, _commands):
        db.execute("BEGIN")
        part(db, tasks, last)
        db.execute("COMMIT")
    _words(db, tasks)
    with closing(open_writer(path)) as writer:
        writer.execute("PRAGMA synchronous = OFF")
        _errors(writer)
    asyncio.run(_audit(path, last))


def _attempts(db: sqlite3.Connection, tasks: int, last: int) -> None:
    """The attempt of each failed task, with its traceback."""
    db.execute(
        """
        INSERT INTO run (task, attempt, boot_id, pid, state_key, state_at, runtime_us, worker_id, reason, error_type, error, traceback,
          received_at, started_at, eta_at, flags)
        SELECT id, 0, boot_id, pid, state_key, state_at, runtime_us, worker_id, reason, error_type, error,
          ? || error_type || ': ' || error || char(10), received_at, started_at, NULL, flags FROM task WHERE state = ?""",
        (TRACEBACK, STATES["failed"]),
    )


def _workflows(db: sqlite3.Connection, tasks: int, last: int) -> None:
    """The newest groups of tasks: each but the first of a group is a child of that one."""
    first = max(tasks - WORKFLOWS * CHILDREN, 0) // CHILDREN * CHILDREN
    db.execute(
        f"""
        INSERT INTO task_link (app_id, kind, target, task)
        SELECT t.app_id, 'parent', p.task_id, t.id FROM task AS t JOIN task AS p ON p.id = t.id / {CHILDREN} * {CHILDREN}
        WHERE t.id > ? AND t.id % {CHILDREN} != 0""",
        (first,),
    )


def _processes(db: sqlite3.Connection, tasks: int, last: int) -> None:
    """A row for each process that reported; those of the last release ended when the day did, the others when the next one came."""
    capabilities: list[list[object]] = [["celery", action, "task", "sure", [], ""] for action in ("retry_task", "cancel_task", "run_task")]
    db.execute(
        """
        INSERT INTO agent (app_id, boot, spool, host, pid, role, worker_id, environment_id, release_id, engines, capabilities, allow,
          denied, seal_key, agent_version, notes, pool, concurrency, queues, is_shipper, clock_skew_us, connected_at, seen_at, left_at,
          left_reason, is_orderly, seat, began_at)
        SELECT app_id, boot, 'spool', host, pid, role, worker_id, environment_id, release_id, '{"celery": "5.7.0"}', ?, 'operate', '[]', '',
          '0.1.0', '[]', 'prefork', 8, ?, 1, 0, at, ?, ?, 'closed', 1, boot, at FROM boot""",
        (json.dumps(capabilities), json.dumps(QUEUES), last, last),
    )
    db.execute("INSERT OR IGNORE INTO release_sight SELECT app_id, environment_id, release_id, min(at) FROM boot GROUP BY 1, 2, 3")
    db.execute(
        """
        INSERT INTO task_name (app_id, name_id, engine_id, environment_id, signature, doc, queue_id, seen_at)
        SELECT DISTINCT app_id, name_id, engine_id, environment_id, '(order_id, *, retry=False)', 'Ships an order.', queue_id, ? FROM series
        WHERE is_total = 0""",
        (last,),
    )


def _queues(db: sqlite3.Connection, tasks: int, last: int) -> None:
    """Reports of a broker, one a minute for two days, and their hours and days for four weeks."""
    broker = names_of(db, "broker", ["redis:shop"])[0]
    places = "SELECT DISTINCT app_id, environment_id, engine_id, queue_id FROM series WHERE is_total = 0 AND queue_id != 0"
    db.execute(f"INSERT INTO queue SELECT *, {broker}, 40, 12, {last - 9_000_000}, {last}, 3, 1 FROM ({places})")
    for step, (length, kept) in enumerate(zip(STEP_US, (2 * DAY_US, 28 * DAY_US, 28 * DAY_US), strict=True)):
        newest, count = last // length * length, kept // length
        db.execute(f"""
            WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < {count})
            INSERT INTO queue_rollup SELECT {step}, {newest} - n * {length}, p.*, {broker}, 6, 6 * (20 + n * 37 % 60), 90 + n % 7,
              20 + n * 37 % 60, 4000000 + n * 977 % 9000000, 3, 1 FROM s CROSS JOIN ({places}) AS p""")


def _schedules(db: sqlite3.Connection, tasks: int, last: int) -> None:
    """Of six schedules one runs every few minutes, three every few hours, and two once a day."""
    for number in range(SCHEDULES):
        period = (number % 6 == 0 and (5 + number % 11) * MINUTE_US) or ((1 + number % 5) * HOUR_US if number % 6 < 4 else DAY_US)
        db.execute(
            """
            INSERT INTO schedule (id, app_id, environment, scheduler, key, engine, name, kind, expression, timezone, task_name, queue,
              next_at, last_at, seen_at) VALUES (:id, 1, 'production', 'celery-beat', :key, 'celery', :key, 'interval', :every, 'UTC',
              :task, :queue, :next, :last, :at)""",
            {
                "id": number + 1, "key": f"sweep-{number:03}", "every": str(period // 1_000_000), "task": NAMES[number % len(NAMES)],
                "queue": QUEUES[number % len(QUEUES)], "next": last // period * period + period, "last": last // period * period,
                "at": last,
            },
        )  # fmt: skip
        due = [(number + 1, last // period * period - each * period) for each in range(FIRES)]
        db.executemany(
            "INSERT INTO fire (schedule_id, due_at, boot, fired_at, outcome) VALUES (?, ?, 'beat', ?, 'sent')",
            [(schedule, at, at + 40_000 + schedule * 977 % 90_000) for schedule, at in due],
        )


def _plans(db: sqlite3.Connection, tasks: int, last: int) -> None:
    """Plans that are done: every item succeeded."""
    failed = db.execute("SELECT id, task_id FROM task WHERE state = 11 ORDER BY first_at DESC LIMIT ?", (ITEMS,)).fetchall()
    for plan in range(1, PLANS + 1):
        at = last - plan * HOUR_US
        db.execute(
            """
            INSERT INTO plan (id, key, action, params, source, author, reason, status, digest, items, created_at, started_at, ended_at)
            VALUES (?, ?, 'retry_task', '{}', 'state=failed', 'ada', 'after the repair', 'done', '', ?, ?, ?, ?)""",
            (plan, f"{plan:016x}", len(failed), at, at, at + MINUTE_US),
        )
        db.execute(
            "INSERT INTO plan_group VALUES (?, 0, 1, 'production', 'celery', ?, ?, ?)", (plan, QUEUES[0], NAMES[0], len(failed))
        )  # fmt: skip
        db.execute("INSERT INTO plan_count VALUES (?, 2, ?)", (plan, len(failed)))
        db.executemany(
            """
            INSERT INTO plan_item (plan_id, seq, task, task_id, state, number, status, ended_at) VALUES (?, ?, ?, ?, 11, 0, 2, ?)""",
            [(plan, seq, *item, at) for seq, item in enumerate(failed, 1)],
        )


def _commands(db: sqlite3.Connection, tasks: int, last: int) -> None:
    db.executemany(
        """
        INSERT INTO command (id, app_id, engine, action, task, task_id, params, status, asked_by, created_at, expires_at, sent_at, ended_at,
          environment) VALUES (?, 1, 'celery', 'retry_task', ?, '', '{}', 'done', 'ada', ?, ?, ?, ?, 'production')""",
        [
            (f"{number:032x}", tasks - number * 7, at, at + HOUR_US, at + 2_000, at + 9_000)
            for number in range(COMMANDS)
            for at in [last - number * 20_000_000]
        ],
    )


def names_of(db: sqlite3.Connection, kind: str, texts: list[str]) -> list[int]:
    """The ids of texts, which are added."""
    db.executemany("INSERT OR IGNORE INTO name (kind, text) VALUES (?, ?)", [(kind, text) for text in texts])
    return [db.execute("SELECT id FROM name WHERE kind = ? AND text = ?", (kind, text)).fetchone()[0] for text in texts]


def _words(db: sqlite3.Connection, tasks: int) -> None:
    """The tables of days, filled in one go each."""
    _check_words(db, tasks)
    first, last = db.execute("SELECT min(first_at) / ?1, max(first_at) / ?1 FROM task", (DAY_US,)).fetchone()
    for day in range(first, last + 1):
        db.execute("BEGIN")
        for block in ("create_day", "create_words", "set_automerge"):
            db.execute(word_index.of_day(word_index.SQL[block], day))
        db.execute(f"INSERT INTO search_{day} (search_{day}, rank) VALUES ('hashsize', 67108864)")
        count = db.execute(
            f"""
            INSERT INTO search_{day} (rowid, words) SELECT t.id, {WORDS} FROM task AS t JOIN name AS n ON n.id = t.name_id
            WHERE t.first_at >= ? AND t.first_at < ? ORDER BY t.id""",
            (day * DAY_US, (day + 1) * DAY_US),
        ).rowcount
        db.execute(f"INSERT INTO search_{day} (search_{day}, rank) VALUES ('hashsize', 1048576)")
        db.execute("INSERT INTO search_table (day, created_at, tasks) VALUES (?, ?, ?)", (day, (day + 1) * DAY_US, count))
        db.execute("COMMIT")
    db.execute("UPDATE search_position SET task = iif(key = 'to', ?, 0)", (tasks,))


def _check_words(db: sqlite3.Connection, tasks: int) -> None:
    """SQL and the server agree about the words of some tasks of each kind."""
    some = [*range(1, 200), tasks, *(row[0] for row in db.execute("SELECT id FROM task WHERE state = 11 LIMIT 200"))]
    for id in some:
        (made,) = db.execute(f"SELECT {WORDS} FROM task AS t JOIN name AS n ON n.id = t.name_id WHERE t.id = ?", (id,)).fetchone()
        [row] = db.execute(word_index.SQL["list_new"], {"after": id - 1, "to": id, "limit": 1}).fetchall()
        wanted = word_index.words_of_row(row, INPUT | OUTCOME)
        assert set(made.split()) == set(wanted.split()), (made, wanted)


def _errors(db: Connection) -> None:
    """Groups of all failures."""
    failed = [row[0] for row in db.execute("SELECT id FROM task WHERE state = 11").fetchall()]
    db.execute("BEGIN IMMEDIATE")
    error_changes.note(db, failed)
    error_changes.write(db)
    db.execute("COMMIT")


async def _audit(path: Path, last: int) -> None:
    """Rows of the audit log, and users who appear in it."""
    store, log = Store(path), AuditLog(path.parent)
    await store.start()
    for name in ("ada", "grace"):
        await store.write(partial(users.add_user, name=name, password_hash="", role="operator", at=last - DAY_US))
    for number in range(AUDIT_ROWS):
        at = last - (AUDIT_ROWS - number) * MINUTE_US
        await log.record(
            store, at=at, actor="ada", role="operator", action="retry_task", target=f"task:{number}", detail={"reason": "after the repair"},
            address="10.0.0.7",
        )  # fmt: skip
    await log.close(store, last)
    await store.close()
