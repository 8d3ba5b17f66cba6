# SPDX-License-Identifier: AGPL-3.0-or-later
"""Keeps the groups of failures in the transaction that changes tasks.

What changes a task row or an attempt notes the task. `write`, at the end of the job, computes from the rows what the task adds to the
counts, compares that with what it added so far (`error_task`), and adds the difference. So the counts are a sum over the present rows,
whatever the order, the copies and the batches of events. Deleted tasks stay in the counts of hours and in the totals.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final, NamedTuple

from z4j.rules.errors.fingerprints import Fingerprint, fingerprint
from z4j.rules.errors.group_states import FAILED, Attempt, failures_of, type_of
from z4j.rules.errors.splits import Split, is_part
from z4j.rules.tasks.fold import FAILED as TASK_FAILED
from z4j.rules.tasks.fold import LOST, MAX_ATTEMPT, REJECTED, RETRYING
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Row
from z4j.store.tasks.task_columns import TaskColumns

SQL = sql.load("errors/error_changes")

HOUR_US: Final = 3_600_000_000
FINGERPRINTS: Final = 2_000
"""Of one app. Beyond them failures are counted as one: an app whose messages differ in words would make as many as it has failures."""
OTHERS: Final = Fingerprint(b"", "Other errors", "", f"more than {FINGERPRINTS:,} different errors in this app", "")
ACTIONS: Final = 200
"""Rows in the history of a group."""
CHUNK: Final = 500
CACHE_LIMIT: Final = 20_000

_NOTED = "tasks with failures"
_KNOWN = "error fingerprints"
_PLACES = "error places"
_COUNTS = "fingerprints of apps"
_SPLITS = "what is split off from fingerprints"
_ATTEMPTS: Final = MAX_ATTEMPT << 47
_BAD: Final = frozenset({RETRYING, LOST, REJECTED, TASK_FAILED})

Entry = tuple[int, int, int, int, int]
"""task, fingerprint, kind, at, place"""


class _Known(NamedTuple):
    id: int
    group: int


def may_matter(old: TaskColumns | None, new: TaskColumns | None) -> bool:
    """Whether a change of a task row may change what it adds: it has failed, is retried, or was."""
    return (new is not None and (new.state in _BAD or new.state_key & _ATTEMPTS > 0)) or (
        old is not None and (old.state in _BAD or old.state_key & _ATTEMPTS > 0)
    )


def note(db: Connection, tasks: Iterable[int]) -> None:
    """Notes tasks whose row or attempts changed. `write` has to be called in the same job."""
    db.recall(_NOTED).update(dict.fromkeys(tasks))


def note_counted(db: Connection, tasks: list[int]) -> None:
    """Notes those of these tasks that have added something before. Their rows need not tell: another end or a run may hide an attempt that
    was lost, and that attempt is cured when the task succeeds, and moves when its task gets another name or queue."""
    if tasks:
        note(db, (row[0] for row in db.execute(SQL["list_counted"], (json.dumps(tasks),))))


def write(db: Connection) -> bool:
    """Adds what the noted tasks changed. Returns whether anything did."""
    noted = db.recall(_NOTED)
    if not noted:
        return False
    ids = list(noted)
    noted.clear()
    changes = [_Change(db, ids[start : start + CHUNK]).write() for start in range(0, len(ids), CHUNK)]
    return any(changes)


def remove(db: Connection, tasks: list[int]) -> None:
    """Takes deleted tasks out of what is stored."""
    sums = _Sums()
    for fingerprint_row, kind, place in db.execute(SQL["drop_tasks"], (json.dumps(tasks),)).fetchall():
        sums.add_place(place, kind, -1)
        sums.add(fingerprint_row, -1, None, 0)
    sums.write(db)


def add_action(db: Connection, group: int, actor: str, action: str, detail: str, at: int) -> None:
    """Adds a row to the history of a group, of which the last `ACTIONS` are kept. `actor` is empty for the server."""
    db.execute(SQL["add_action"], (group, at, actor, action, detail))
    db.execute(SQL["delete_old_actions"], (group, ACTIONS))


def forget_groups(db: Connection) -> None:
    """Has to be called when fingerprints change their group, are split or deleted."""
    for cache in (_KNOWN, _PLACES, _COUNTS, _SPLITS):
        db.recall(cache).clear()


class _Change:
    """Some noted tasks: what they add now and what they added before."""

    def __init__(self, db: Connection, ids: list[int]) -> None:
        self.db = db
        listed = (json.dumps(ids),)
        self._attempts: dict[int, list[Attempt]] = {}
        for task, key, at, boot_id, pid, reason, error_type, error, traceback in db.execute(SQL["read_runs"], listed):
            attempt = Attempt(key, at, (boot_id, pid), reason or "", error_type or "", error or "", traceback or "")
            self._attempts.setdefault(task, []).append(attempt)
        self._before: set[Entry] = {(*row,) for row in db.execute(SQL["read_counted"], listed)}
        self._now: set[Entry] = set()
        self._newest: dict[tuple[int, int], int] = {}
        """(group, process) → time of its newest failed task among what is added."""
        self._seen: dict[_Known, tuple[int, int]] = {}
        for row in db.execute(SQL["read_tasks"], listed).fetchall():
            self._add(row)

    def _add(self, row: Row) -> None:
        id, app_id, state, key, at, boot_id, pid, reason, error_type, error, environment_id, engine_id, queue_id, name_id = row
        task = Attempt(key, at, (boot_id, pid), reason or "", error_type or "", error or "")
        for kind, attempt in failures_of(state, task, self._attempts.get(id, ())):
            found = fingerprint(type_of(attempt), attempt.error, attempt.traceback)
            known = _part_of(self.db, _find(self.db, app_id, found, attempt.at), attempt)
            place = _place(self.db, known.id, environment_id, engine_id, queue_id, name_id)
            entry = (id, known.id, kind, attempt.at, place)
            self._now.add(entry)
            if entry not in self._before:
                first, last = self._seen.get(known, (attempt.at, attempt.at))
                self._seen[known] = min(first, attempt.at), max(last, attempt.at)
                if kind == FAILED:
                    at_process = (known.group, attempt.run[0])
                    self._newest[at_process] = max(self._newest.get(at_process, 0), attempt.at)

    def write(self) -> bool:
        """Writes the difference. Returns whether there was one."""
        added, gone = self._now - self._before, self._before - self._now
        if not added and not gone:
            return False
        sums = _Sums()
        for sign, entries in ((1, added), (-1, gone)):
            for _, of_fingerprint, kind, at, place in entries:
                sums.add(of_fingerprint, sign, kind, at)
                sums.add_place(place, kind, sign)
        self.db.executemany(SQL["drop_counted"], sorted(gone))
        self.db.executemany(SQL["add_counted"], sorted(added))
        sums.write(self.db)
        for known, (first, last) in self._seen.items():
            self.db.execute(SQL["widen_fingerprint"], (first, last, known.id))
            self.db.execute(SQL["widen_group"], (first, last, known.group))
        for (group, boot_id), at in self._newest.items():
            if self.db.execute(SQL["regress"], {"id": group, "boot_id": boot_id, "at": at}).rowcount:
                add_action(self.db, group, "", "regressed", "", at)
        return True


class _Sums:
    """What is added to fingerprints, groups, places and hours."""

    def __init__(self) -> None:
        self._fingerprints: dict[tuple[int, ...], list[int]] = {}
        self._places: dict[tuple[int, ...], list[int]] = {}
        self._hours: dict[tuple[int, ...], list[int]] = {}

    def add(self, of: int, sign: int, kind: int | None, at: int) -> None:
        """`kind` None: only what is stored is less."""
        counts = self._fingerprints.setdefault((of,), [0, 0, 0, 0])
        counts[0] += sign
        if kind is not None:
            counts[1 + kind] += sign
            self._hours.setdefault((of, at // HOUR_US), [0, 0, 0])[kind] += sign

    def add_place(self, place: int, kind: int, sign: int) -> None:
        """One more or less at a place."""
        self._places.setdefault((place,), [0, 0, 0])[kind] += sign

    def write(self, db: Connection) -> None:
        """Writes the sums, at the latest before the commit."""
        counts = {key: tuple(values) for key, values in self._fingerprints.items()}
        db.add_sums(SQL["sum_fingerprint"], counts)
        db.add_sums(SQL["sum_group"], counts)
        db.add_sums(SQL["sum_place"], {key: tuple(values) for key, values in self._places.items()})
        db.add_sums(SQL["sum_hour"], {key: tuple(values) for key, values in self._hours.items()})


def _find(db: Connection, app_id: int, found: Fingerprint, at: int) -> _Known:
    """The fingerprint and its group, which are made if they are new."""
    cache = db.recall(_KNOWN)
    known: _Known | None = cache.get((app_id, found.key))
    if known is not None:
        return known
    row = db.execute(SQL["find_fingerprint"], (app_id, found.key)).fetchone()
    if row is not None:
        known = _Known(*row)
    else:
        counts = db.recall(_COUNTS)
        if app_id not in counts:
            counts[app_id] = db.execute(SQL["count_fingerprints"], (app_id,)).fetchone()[0]
        if counts[app_id] >= FINGERPRINTS and found is not OTHERS:
            return _find(db, app_id, OTHERS, at)
        columns = (app_id, found.title, found.error_type, found.message, found.function, at, at)
        group = db.execute(SQL["add_group"], columns).fetchone()[0]
        known = _Known(db.execute(SQL["add_fingerprint"], (app_id, found.key, group, at, at)).fetchone()[0], group)
        counts[app_id] += 1
    if len(cache) >= CACHE_LIMIT:
        cache.clear()
    cache[app_id, found.key] = known
    return known


def _part_of(db: Connection, known: _Known, attempt: Attempt) -> _Known:
    """The fingerprint that counts a failure: the part that a person has split off, if it matches one, and so on for what is split off from
    that. A part is always newer than what it is split off from."""
    splits: dict[int, list[tuple[Split, _Known]]] = db.recall(_SPLITS)
    if not splits:
        splits[0] = []  # read, even if there is none; ids begin with 1
        for fingerprint_row, kind, pattern, part_row, group in db.execute(SQL["read_splits"]):
            splits.setdefault(fingerprint_row, []).append((Split(kind, pattern), _Known(part_row, group)))
    part: _Known | None = known
    while part is not None:
        known = part
        matching = (each for split, each in splits.get(known.id, ()) if is_part(split, attempt.error, attempt.traceback))
        part = next(matching, None)
    return known


def _place(db: Connection, *key: int) -> int:
    cache = db.recall(_PLACES)
    place: int | None = cache.get(key)
    if place is None:
        row = db.execute(SQL["find_place"], key).fetchone() or db.execute(SQL["add_place"], key).fetchone()
        if len(cache) >= CACHE_LIMIT:
            cache.clear()
        place = cache[key] = int(row[0])
    return place
