# SPDX-License-Identifier: AGPL-3.0-or-later
"""Joins news with the stored state of tasks. Runs in the writer's transaction; `ingest` is the only caller.

Read, join in Python, write: safe because there is one writer and it reads inside its own transaction. What changed
between the old and the new row feeds the counters and the minutes, so that no page ever has to count tasks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from z4j.rules.tasks.fold import NEVER, Event, Summary, fold
from z4j.rules.tasks.reused_ids import is_one_life, is_ordinary
from z4j.rules.tasks.states import FINAL_CODES, FLAGS
from z4j.store.fleet import processes
from z4j.store.names import name_limits, names
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection
from z4j.store.tasks import task_ids
from z4j.wire.records import NOTHING_SENT, whole_sent

SQL = sql.load("tasks/task_writer")

MINUTE_US = 60_000_000
LOOKUP = 64
"""Marks of the block `find_tasks`."""

Key = tuple[str, str]
"""Engine and task id, as texts."""
Place = tuple[int, int, int, int, int]
"""app, environment, engine, queue and name: what counters count by."""


class Saved(NamedTuple):
    """What `save` did: the row of every task, whether anything a page shows is different now, and whose id came again.

    Of those nothing is written yet: (key, engine id, encoded id, its newest row or None), see `executions`.
    """

    ids: dict[Key, int]
    is_changed: bool
    again: list[tuple[Key, int, bytes, tuple[Any, ...] | None]]


def save(db: Connection, app_id: int, news: Mapping[Key, list[Event]]) -> Saved:
    """Fold the news of one app's tasks into their rows. Returns the row id of each."""
    ids: dict[Key, int] = {}
    added: list[tuple[Any, ...]] = []
    changed: list[tuple[Any, ...]] = []
    again: list[tuple[Key, int, bytes, tuple[Any, ...] | None]] = []
    tally = Tally()
    new_id = next_id(db)
    by_engine: dict[str, list[tuple[Key, bytes]]] = {}

    for key in news:
        by_engine.setdefault(key[0], []).append((key, task_ids.encode(key[1])))
    for engine, wanted in by_engine.items():
        engine_id = name_limits.intern(db, app_id, "engine", engine)
        known = find(db, app_id, engine_id, [raw for _, raw in wanted])
        for key, raw in wanted:
            row = known.get(raw)
            if row is None:
                if not _is_one_life(db, app_id, 0, None, news[key]):
                    again.append((key, engine_id, raw, None))
                    continue
                ids[key] = new_id
                values = encode(db, app_id, _folded(None, news[key]))
                added.append((*values, new_id, app_id, engine_id, raw))
                tally.add(app_id, engine_id, values, 1)
                new_id += 1
                continue
            id, old = row[0], row[1:]
            summary = decode(db, old)
            if old[-1] & FLAGS["again"] or not _is_one_life(db, app_id, id, summary, news[key]):
                again.append((key, engine_id, raw, row))
                continue
            ids[key] = id
            values = encode(db, app_id, _folded(summary, news[key]))
            if values != old:
                changed.append((*values, id))
                tally.add(app_id, engine_id, old, -1)
                tally.add(app_id, engine_id, values, 1)
    if added:
        db.executemany(SQL["add_task"], added)
        set_next_id(db, new_id)
    if changed:
        db.executemany(SQL["change_task"], changed)
    tally.write(db)
    name_limits.flush(db, app_id)
    return Saved(ids, bool(added or changed), again)


def _is_one_life(db: Connection, app_id: int, id: int, summary: Summary | None, events: list[Event]) -> bool:
    if is_ordinary(summary, events):
        return True

    def same_clock(a: str, b: str) -> bool:
        clock = processes.process_of(db, app_id, a).clock
        return bool(clock) and clock == processes.process_of(db, app_id, b).clock

    def starts() -> list[int]:
        return [row[0] for row in db.execute(SQL["first_starts"], (id,))]

    return is_one_life(summary, events, same_clock, starts)


def find(db: Connection, app_id: int, engine_id: int, wanted: list[bytes]) -> dict[bytes, tuple[Any, ...]]:
    """The known ones of these tasks: row id and then the columns of `encode`, by encoded task id."""
    found: dict[bytes, tuple[Any, ...]] = {}
    for start in range(0, len(wanted), LOOKUP):
        some = wanted[start : start + LOOKUP]
        marks = (app_id, engine_id, *some, *[None] * (LOOKUP - len(some)))
        found.update((row[0], row[1:]) for row in db.execute(SQL["find_tasks"], marks))
    return found


def add_links(db: Connection, app_id: int, links: Iterable[tuple[str, str, int]]) -> None:
    """Note (kind, target task id, row id) for finding children and retries from the other end."""
    db.executemany(SQL["add_link"], [(app_id, kind, task_ids.encode(target), id) for kind, target, id in links])


def remove(db: Connection, rows: Iterable[tuple[int, int, int, int, int, int, int]]) -> None:
    """Take deleted tasks, (app, environment, engine, queue, name, state, how many), out of the counters."""
    db.executemany(SQL["add_to_counter"], [(*row[:6], -row[6]) for row in rows])


def encode(db: Connection, app_id: int, of: Summary) -> tuple[Any, ...]:
    """The columns of a summary, in the order of the SQL in merge.sql."""
    key, at, run, worker, runtime_us, reason, error_type, error, result = of.state
    origin = processes.process_of(db, app_id, run)
    intern = name_limits.intern
    return (
        key & 15, key, -at, origin.boot_id, origin.pid, intern(db, app_id, "worker", worker),
        None if runtime_us < 0 else runtime_us, reason or None, error_type or None, error or None, result or None,
        of.first_at, of.last_at, None if of.enqueued_at == NEVER else of.enqueued_at,
        *(of.eta or (None, None)),
        *((of.received[0], -of.received[1]) if of.received else (None, None)),
        *((of.start[0], -of.start[1]) if of.start else (None, None)),
        *((of.name[0], intern(db, app_id, "name", of.name[1])) if of.name else (None, 0)),
        *((of.queue[0], intern(db, app_id, "queue", of.queue[1])) if of.queue else (None, 0)),
        *((of.environment[0], intern(db, app_id, "environment", of.environment[1])) if of.environment else (None, 0)),
        *((of.sent[0], _pack_sent(of.sent[1]), of.sent[1][8] or None) if of.sent else (None, None, None)),
        *((of.args[0], of.args[1], int(of.args[2])) if of.args else (None, None, 0)),
        of.original, None if of.cancel_asked_at == NEVER else of.cancel_asked_at, of.flags,
    )  # fmt: skip


def decode(db: Connection, row: tuple[Any, ...]) -> Summary:
    """The summary in the columns that `encode` made: exactly the same one."""
    (
        _, key, at, boot_id, pid, worker_id, runtime_us, reason, error_type, error, result,
        first_at, last_at, enqueued_at, eta_attempt, eta_at, received_attempt, received_at, start_attempt, started_at,
        name_rank, name_id, queue_rank, queue_id, environment_rank, environment_id, sent_rank, sent, _, args_rank, args,
        is_masked, original, cancel_asked_at, flags,
    ) = row  # fmt: skip
    text_of = names.text_of
    return Summary(
        (
            key, -at, processes.token_of(db, boot_id, pid), text_of(db, worker_id),
            -1 if runtime_us is None else runtime_us, reason or "", error_type or "", error or "", result or "",
        ),
        first_at,
        last_at,
        NEVER if enqueued_at is None else enqueued_at,
        () if eta_attempt is None else (eta_attempt, eta_at),
        () if received_attempt is None else (received_attempt, -received_at),
        () if start_attempt is None else (start_attempt, -started_at),
        () if name_rank is None else (name_rank, text_of(db, name_id)),
        () if queue_rank is None else (queue_rank, text_of(db, queue_id)),
        () if environment_rank is None else (environment_rank, text_of(db, environment_id)),
        () if sent_rank is None else (sent_rank, unpack_sent(sent)),
        () if args_rank is None else (args_rank, args, bool(is_masked)),
        original,
        NEVER if cancel_asked_at is None else cancel_asked_at,
        flags,
    )  # fmt: skip


def _folded(summary: Summary | None, events: list[Event]) -> Summary:
    folded = fold(summary, events)
    assert folded is not None
    return folded


@lru_cache(4_096)  # most tasks of an app come from a few places
def _pack_sent(sent: tuple[Any, ...]) -> str:
    length = len(sent)
    while length and sent[length - 1] == NOTHING_SENT[length - 1]:
        length -= 1
    return json.dumps(sent[:length], separators=(",", ":"), ensure_ascii=False)


@lru_cache(4_096)
def unpack_sent(text: str) -> Any:
    """A `Sent` as the fold knows it."""
    return whole_sent(json.loads(text))


def next_id(db: Connection) -> int:
    """The id of the next new row. Say with `set_next_id` how far they were used."""
    memory = db.recall("task")
    if "next" not in memory:
        memory["next"] = db.execute(SQL["newest_task"]).fetchone()[0] + 1
    return int(memory["next"])


def set_next_id(db: Connection, id: int) -> None:
    """Ids below are taken."""
    db.recall("task")["next"] = id


class Tally:
    """Differences of counters and minutes of one batch."""

    def __init__(self) -> None:
        self.counters: dict[tuple[int, ...], int] = {}
        self.minutes: dict[tuple[int, ...], list[int]] = {}

    def add(self, app_id: int, engine_id: int, row: tuple[Any, ...], sign: int) -> None:
        # state, state_at, runtime_us, name_id, queue_id and environment_id where `encode` puts them.
        state = row[0]
        place = (app_id, row[25], engine_id, row[23], row[21], state)
        self.counters[place] = self.counters.get(place, 0) + sign
        if state in FINAL_CODES:
            sums = self.minutes.setdefault((row[2] // MINUTE_US, *place), [0, 0])
            sums[0] += sign
            sums[1] += sign * (row[6] or 0)

    def write(self, db: Connection) -> None:
        counters = [(*place, tasks) for place, tasks in self.counters.items() if tasks]
        if counters:
            db.executemany(SQL["add_to_counter"], counters)
        minutes = [(*place, *sums) for place, sums in self.minutes.items() if any(sums)]
        if minutes:
            db.executemany(SQL["add_to_minute"], minutes)
