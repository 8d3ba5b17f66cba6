# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores task ids that the application uses repeatedly: one row for each execution. Runs in the transaction of the writer; only
`agents.ingest` calls it.

The events of such an id are kept until its executions are settled. Each batch computes the rows again from all of them;
`rules.tasks.reused_ids.split_executions` decides which event belongs to which execution. A row keeps its id as long as its execution
exists. The newest execution has `life` 0, so that a search for the task id finds it; in each earlier one `life` is the row id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from z4j.rules.tasks.fold import AttemptSummary, Event, Summary, fold, original_key, run_join, runs_of
from z4j.rules.tasks.reused_ids.row_events import events_of
from z4j.rules.tasks.reused_ids.split_executions import Execution, ReportedEvent, split
from z4j.rules.tasks.states import FLAGS
from z4j.store.annotations import attempt_annotations
from z4j.store.fleet import processes
from z4j.store.names import name_limits, names
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store
from z4j.store.tasks import attempts, originals, task_writer
from z4j.store.tasks.task_changes import TaskChanges
from z4j.store.tasks.task_columns import StoredTask, TaskColumns, decode, encode
from z4j.store.tasks.task_writer import Id
from z4j.wire.records import whole_sent

SQL = sql.load("tasks/reused_ids")

SETTLED_US: Final = 24 * 3_600_000_000
"""How long after its last event an execution that is not the newest is open to be divided otherwise."""
EXECUTIONS: Final = 16
EVENTS: Final = 300
"""Of one id, beyond which its executions are settled at once: the time a batch takes must not grow with what an id has been."""
RUNS: Final = 100
"""A row with so many runs takes in everything that is said of its id from then on."""

Original = tuple[bytes, str, str]
"""Bytes, key id, and the identity of the broker it belongs to."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class _Kept:
    """An event of the id, and the row it belonged to so far (0: none). `is_retold`: from the row as it was before events were kept.
    `pinned`: the row that the server said it of, 0 for what agents tell."""

    __slots__ = ("digest", "event", "is_retold", "original", "packed", "pinned", "row", "task")

    def __init__(self, event: Event, original: Original | None, task: int = 0, *, is_retold: bool = False, pinned: int = 0) -> None:
        self.event, self.original, self.task, self.is_retold, self.pinned = event, original, task, is_retold, pinned
        self.packed = _encode((tuple(event), *(original or (None, "", "")), is_retold, pinned))
        self.digest = hashlib.blake2b(self.packed, digest_size=16).digest()
        self.row = task


class _Base(NamedTuple):
    """What a row said before its events were kept. It says more than the events retold from it, and speaks for them as long as they are of
    one execution."""

    summary: Summary
    runs: dict[tuple[int, str], AttemptSummary]
    original: tuple[int, bytes, str, str] | None
    """Its key, and the parts of Original."""


class Reused:
    """One id of one app and engine while its news are taken in."""

    def __init__(self, db: Connection, app_id: int, engine_id: int, raw: bytes, newest: StoredTask | None) -> None:
        self.db, self.app_id, self.engine_id, self.raw = db, app_id, engine_id, raw
        self.key = {"app_id": app_id, "engine_id": engine_id, "task_id": raw}
        self.kept: dict[bytes, _Kept] = {}
        self.base: _Base | None = None
        self.base_row = 0
        for task, digest, packed in db.execute(SQL["list_events"], self.key).fetchall():
            if digest == BASE:
                self.base = _unpacked_base(packed)
            else:
                self._keep(_unpacked(packed, task))
        self.rows = {entry.task for entry in self.kept.values()}
        self.whole: StoredTask | None = None
        """The newest row, where it takes in everything."""
        if newest is not None and newest.id not in self.rows:
            self._begin(newest)

    def save(self, news: Iterable[tuple[Event, Original | None]]) -> int:
        """Adds new events. Returns the row id of the newest execution."""
        if self.whole is not None:
            self._join(self.whole, list(news))
            return self.whole.id
        before = len(self.kept)
        since = min((_moment(entry.event) for entry in self.kept.values()), default=0)
        without = {**self.key, "without": json.dumps(sorted(self.rows))}
        is_settled = bool(self.kept) and bool(self.db.execute(SQL["has_settled"], without).fetchone()[0])
        for event, original in news:
            late = None
            if is_settled and _moment(event) < since:
                late = self.db.execute(SQL["settled_row"], {**without, "at": _moment(event)}).fetchone()
            if late:
                self._join(_read_rows(self.db, late)[0], [(event, original)])
            else:
                self._keep(_Kept(event, original))
        clock_of = {entry.event.run: processes.process_of(self.db, self.app_id, entry.event.run).clock for entry in self.kept.values()}
        executions = split(ReportedEvent(entry.event, clock_of[entry.event.run]) for entry in self.kept.values() if not entry.pinned)
        has_news = len(self.kept) > before or not self.rows
        tasks = self._assign(executions)
        if has_news or any(entry.task != entry.row for entry in self.kept.values()):
            self._write(executions, tasks, is_settled)
        return tasks[-1]

    def save_fact(self, row: int, event: Event) -> None:
        """Adds an event of the server about one row. The event stays with that row, whatever its time is."""
        if self.whole is not None or row not in self.rows:
            for known in _read_rows(self.db, [row]):
                self._join(known, [(event, None)])
            return
        self._keep(_Kept(event, None, pinned=row))
        self.save(())

    # -- pieces --------------------------------------------------------------------------------------------------------
    def _keep(self, entry: _Kept) -> None:
        self.kept.setdefault(entry.digest, entry)

    def _begin(self, newest: StoredTask) -> None:
        if self.kept:  # of earlier executions alone: they are what they are
            settle(self.db, [(self.app_id, self.engine_id, self.raw)])
            self.kept.clear()
            self.base = None
        if self.db.execute(SQL["count_runs"], {"task": newest.id, "limit": RUNS}).fetchone()[0] >= RUNS:
            self.whole = newest
            return
        self._split_executions(newest)
        self.rows = {newest.id}

    def _split_executions(self, row: StoredTask) -> None:
        task = row.id
        row_of = self.db.execute(SQL["read_original"], {"task": task}).fetchone()
        payload = None if row_of is None else (*row_of[:3], names.text_of(self.db, row_of[3]))
        summary, its_runs = decode(self.db, row.columns), attempts.read(self.db, task)
        for event in events_of(summary, its_runs):
            has_original = event.kind == "payload" and payload is not None and original_key(event) == payload[0]
            kept = _Kept(event, payload[1:] if payload is not None and has_original else None, task, is_retold=True)
            self._keep(kept)
            self._put([kept])
        self.base = _Base(summary, {(attempt, token): run for attempt, token, run in its_runs}, payload)
        packed = _encode((summary, [(*at, run) for at, run in self.base.runs.items()], payload))
        self.db.execute(SQL["put_event"], (self.app_id, self.engine_id, self.raw, BASE, task, summary.last_at, packed))

    def _assign(self, executions: list[Execution]) -> list[int]:
        """The row of each execution: the one its earliest events had, if no earlier execution has taken it."""
        by_event: dict[Event, list[_Kept]] = {}
        for entry in self.kept.values():
            if not entry.pinned:
                by_event.setdefault(entry.event, []).append(entry)
        taken: set[int] = set()
        tasks = []
        new_id = task_writer.next_id(self.db)
        for execution in executions:
            mine = [entry for report in execution.reports for entry in by_event[report.event]]
            task = next((entry.task for entry in mine if entry.task and entry.task not in taken), 0)
            if not task:
                task, new_id = new_id, new_id + 1
            taken.add(task)
            tasks.append(task)
            for entry in mine:
                entry.row = task
        task_writer.set_next_id(self.db, new_id)
        for entry in self.kept.values():
            if entry.pinned:
                entry.row = entry.pinned if entry.pinned in taken else tasks[-1]
        retold = {entry.row for entry in self.kept.values() if entry.is_retold}
        self.base_row = retold.pop() if self.base is not None and len(retold) == 1 else 0
        return tasks

    def _write(self, executions: list[Execution], tasks: list[int], is_settled: bool) -> None:
        db, changes = self.db, TaskChanges()
        known = {row.id: row.columns for row in _read_rows(db, sorted(self.rows))}
        moved = {entry.task for entry in self.kept.values() if entry.task != entry.row} | {
            entry.row for entry in self.kept.values() if entry.task != entry.row
        }
        for task in known:
            db.execute(SQL["set_life"], (task, task))
        for task in known.keys() - set(tasks):
            successor = next(entry.row for entry in self.kept.values() if entry.task == task)
            self._remove(task, successor)
            changes.add(self.app_id, self.engine_id, task, known[task], None)
        for number, (execution, task) in enumerate(zip(executions, tasks, strict=True)):
            summary = self._fold(execution, task)
            is_unmarked = execution.is_unmarked or (is_settled and not number and _is_bare(execution))
            flags = summary.flags | FLAGS["again"] | (FLAGS["unmarked"] if is_unmarked else 0)
            values = encode(db, self.app_id, summary._replace(flags=flags))
            old = known.get(task)
            if old is None:
                added = db.execute(task_writer.SQL["add_task"], (*values, task, self.app_id, self.engine_id, self.raw))
                assert added.rowcount == 1  # no other row of the id is its newest now
                db.execute(SQL["set_life"], (task, task))
            elif old != values:
                db.execute(task_writer.SQL["change_task"], (*values, task))
            if old != values:
                changes.add(self.app_id, self.engine_id, task, old, values)
            if task in moved:
                self._write_parts(execution, task)
        db.execute(SQL["set_life"], (0, tasks[-1]))
        changes.write(db)
        self._put([entry for entry in self.kept.values() if entry.task != entry.row])
        self._settle(executions, tasks)

    def _fold(self, execution: Execution, task: int) -> Summary:
        is_base = self.base is not None and task == self.base_row
        heard = self._reported_events(execution, task, without_retold=is_base)
        summary = fold(self.base.summary if self.base is not None and is_base else None, heard)
        assert summary is not None
        return summary

    def _reported_events(self, execution: Execution, task: int, *, without_retold: bool) -> list[Event]:
        pinned = [entry.event for entry in self.kept.values() if entry.pinned and entry.row == task]
        if not without_retold:
            return [entry.event for entry in execution.reports] + pinned
        heard = {entry.event for entry in self.kept.values() if not entry.is_retold}
        return [entry.event for entry in execution.reports if entry.event in heard] + pinned

    def _write_parts(self, execution: Execution, task: int) -> None:
        db, events = self.db, {entry.event for entry in execution.reports}
        base = self.base if task == self.base_row else None
        runs = runs_of(self._reported_events(execution, task, without_retold=base is not None))
        for at, run in base.runs.items() if base is not None else ():
            runs[at] = run_join(runs[at], run) if at in runs else run
        attempts.replace(db, self.app_id, task, runs)
        db.execute(SQL["delete_original"], (task,))
        mine = [
            (original_key(entry.event), *entry.original)
            for entry in self.kept.values()
            if entry.event in events and entry.original is not None
        ]
        if base is None:
            db.execute(SQL["delete_links"], (task,))
            db.execute(SQL["delete_relations"], (task,))
        elif base.original is not None:
            mine.append(base.original)
        self._save_originals(task, mine)
        task_writer.add_links(db, self.app_id, [(kind, target, task) for event in events for kind, target in links_of(event)])

    def _put(self, kept: list[_Kept]) -> None:
        rows = [(self.app_id, self.engine_id, self.raw, entry.digest, entry.row, entry.event.at, entry.packed) for entry in kept]
        self.db.executemany(SQL["put_event"], rows)

    def _remove(self, task: int, successor: int) -> None:
        self.db.execute(SQL["move_commands"], (successor, task))
        self.db.execute(SQL["move_items"], (successor, task))
        attempts.replace(self.db, self.app_id, task, {})
        attempt_annotations.move(self.db, task, successor)
        for block in ("delete_original", "delete_links", "delete_relations", "delete_row"):
            self.db.execute(SQL[block], (task,))

    def _settle(self, executions: list[Execution], tasks: list[int]) -> None:
        newest = max(report.event.at for report in executions[-1].reports)
        events = 0
        for number, (execution, task) in enumerate(reversed(list(zip(executions, tasks, strict=True)))):
            events += len(execution.reports)
            is_old = max(report.event.at for report in execution.reports) < newest - SETTLED_US
            if events > EVENTS or number >= EXECUTIONS or (number >= 2 and is_old):
                self.db.execute(SQL["drop_events"], (task,))

    def _join(self, row: StoredTask, news: Sequence[tuple[Event, Original | None]]) -> None:
        """Events of an execution that is settled: they change what that one says, not where it begins and ends."""
        db, task, events = self.db, row.id, [event for event, _ in news]
        summary = fold(decode(db, row.columns), events)
        assert summary is not None
        values = encode(db, self.app_id, summary)
        if values != row.columns:
            db.execute(task_writer.SQL["change_task"], (*values, task))
            changes = TaskChanges()
            changes.add(self.app_id, self.engine_id, task, row.columns, values)
            changes.write(db)
        attempts.save(db, self.app_id, {(task, *at): run for at, run in runs_of(events).items()})
        self._save_originals(task, [(original_key(event), *original) for event, original in news if original is not None])
        task_writer.add_links(db, self.app_id, [(*link, task) for event in events for link in links_of(event)])

    def _save_originals(self, task: int, payloads: list[tuple[int, bytes, str, str]]) -> None:
        broker_id = partial(name_limits.intern, self.db, self.app_id, "broker")
        originals.save(self.db, [(task, key, data, key_id, broker_id(broker)) for key, data, key_id, broker in payloads])


def save_fact(db: Connection, row: int, event: Event) -> bool:
    """Adds an event of the server about a row whose id was reused. Returns False for any other row, whose events are saved like all
    others."""
    owner = db.execute(SQL["find_row"], (row,)).fetchone()
    if owner is None or not owner[3]:
        return owner is None
    app_id, engine_id, raw, _ = owner
    newest = task_writer.find(db, app_id, engine_id, [raw]).get(raw)
    Reused(db, app_id, engine_id, raw, newest).save_fact(row, event)
    return True


async def list_old(store: Store, before: int, limit: int) -> list[Id]:
    """Ids with kept events that were not heard of since."""
    return [(row[0], row[1], row[2]) for row in await store.fetch_all(SQL["list_old"], {"before": before, "limit": limit})]


def settle(db: Connection, ids: Iterable[Id]) -> None:
    """Deletes the events of these ids. Their division into executions no longer changes."""
    keys = list(ids)
    for key in keys:
        task_writer.forget_task(db, key)
    db.executemany(SQL["drop_id"], keys)
    db.executemany(SQL["clear_flag"], [{"app_id": app_id, "engine_id": engine_id, "task_id": raw} for app_id, engine_id, raw in keys])


def forget_row(db: Connection, row: int, id: Id, *, is_newest: bool) -> None:
    """Deletes what a deleted row with a reused id leaves behind: its events, and its place if it was the newest."""
    task_writer.forget_task(db, id)
    if is_newest:
        db.execute(SQL["drop_id"], id)
        db.execute(SQL["promote"], id)
    else:
        db.execute(SQL["drop_events"], (row,))


def find_newest(db: Connection, id: Id) -> None:
    """Finds which row of an id is the newest after one was restored; its events are no longer known."""
    task_writer.forget_task(db, id)
    for block in ("drop_id", "spread", "promote"):
        db.execute(SQL[block], id)


async def list_executions(store: Store, task: int) -> list[tuple[int, int, int]]:
    """Lists (row id, first time in microseconds UTC, state code) of the executions of a task's id, the earliest first; at most the
    newest thousand."""
    rows = await store.fetch_all(SQL["list_executions"], {"id": task})
    return [(row[0], row[1], row[2]) for row in reversed(rows)]


def _read_rows(db: Connection, rows: Sequence[int]) -> list[StoredTask]:
    stored = db.execute(SQL["read_rows"], {"ids": json.dumps(rows)})
    return [StoredTask(row[0], TaskColumns._make(row[1:])) for row in stored]


def links_of(event: Event) -> list[tuple[str, str]]:
    """Returns kind and target of the links from an event's task to others, to what it waits for, and to its group."""
    sent = event.sent
    if not sent or not (sent[0] or sent[2] or sent[3] or sent[9]):
        return []
    links = [(kind, target) for kind, target in (("parent", sent[0]), ("retry_of", sent[3]), ("group", sent[2])) if target]
    return links + [("depends_on", id) for id in sent[9].split("\n")] if sent[9] else links


def _moment(event: Event) -> int:
    """The moment that says which execution an event is about."""
    return event.started_at if event.started_at >= 0 else event.at


def _is_bare(execution: Execution) -> bool:
    return not any(report.event.kind == "enqueued" and not report.event.attempt for report in execution.reports)


def _unpacked(packed: bytes, task: int) -> _Kept:
    event, data, key_id, broker, is_retold, pinned = _decode(packed)
    event[EVENT_SENT] = whole_sent(event[EVENT_SENT]) if event[EVENT_SENT] else ()
    if len(event) > EVENT_USAGE:
        event[EVENT_USAGE] = tuple(event[EVENT_USAGE])
    return _Kept(Event(*event), None if data is None else (data, key_id, broker), task, is_retold=is_retold, pinned=pinned)


def _unpacked_base(packed: bytes) -> _Base:
    summary, its_runs, original = _decode(packed)
    joined = {(attempt, token): AttemptSummary(*map(_as_tuples, run)) for attempt, token, run in its_runs}
    joined = {at: run._replace(state=_whole(run.state, 9)) for at, run in joined.items()}
    summary = Summary(*map(_as_tuples, summary))
    summary = summary._replace(state=_whole(summary.state, 10))
    if summary.sent:
        summary = summary._replace(sent=(summary.sent[0], whole_sent(summary.sent[1])))
    return _Base(summary, joined, None if original is None else tuple(original))


def _whole(state: tuple[Any, ...], length: int) -> Any:
    """A state of an older release has no usage at its end."""
    return state if len(state) == length else (*state, ())


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


BASE: Final = b"base"
"""In the place of a digest."""
EVENT_SENT: Final = Event._fields.index("sent")
EVENT_USAGE: Final = Event._fields.index("usage")
