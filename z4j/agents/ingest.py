# SPDX-License-Identifier: AGPL-3.0-or-later
"""Turns the bytes of one batch into committed rows. `gateway` acknowledges a batch when `ingest_batch` has returned.

Everything happens in one savepoint of the writer's transaction: decode, fold the batch in memory, join with the stored
rows, write each task once. Invalid records are counted by cause; nothing that an agent sends makes this raise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

from z4j import clock, logs
from z4j.agents.command_results import Answer, Sender, settle
from z4j.exceptions import StoreError
from z4j.rules.tasks import run_annotations
from z4j.rules.tasks.fold import MAX_ATTEMPT, NO_RUN, AttemptSummary, Event, attempt_delta, original_key, run_join
from z4j.store.annotations import attempt_annotations
from z4j.store.errors import error_changes
from z4j.store.fleet import gaps, processes
from z4j.store.logs import log_lines
from z4j.store.names import name_limits, names
from z4j.store.schedules import fires
from z4j.store.sqlite.db import Connection, Store
from z4j.store.tasks import attempts, originals, reused_ids, task_ids, task_writer
from z4j.store.tasks.task_columns import StoredTask
from z4j.wire import records
from z4j.wire.batches import decode_records
from z4j.wire.texts import text
from z4j_agent import wire

SLICE = 300
"""Records in one step of the writer: a few milliseconds."""
FINE_SLICE = 10
"""The same for an app that uses the writer much while another app does too: the other waits for the end of a step. Costs a tenth more."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What a batch changed. `topics` are those of `live`; `refused` counts unusable records by cause."""

    topics: frozenset[str]
    tasks: int
    refused: dict[str, int] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    """What was answered to commands, for their owners: see `agents.outbox`."""
    records: int = 0
    newest_at: int = 0
    """When the last record of a task was made, by the clock of its host (microseconds UTC); 0: there is none."""


class ServerFact(NamedTuple):
    """An event the server adds: `due`, `lost`, `alive`, `cancel_asked`, or an end it has found out by asking the engine."""

    engine: str
    task_id: str
    event: Event
    row: int = 0
    """The row it is said of; 0: whichever row the id means."""


async def ingest_batch(store: Store, app_id: int, payload: bytes, *, at: int, spool: str | None = None) -> Ingested:
    """Stores the records of one batch (see `wire.batches`) that was received `at` (microseconds UTC). Returns after the commit. `spool` is
    the folder of the agent: results of commands of other folders are ignored; None if the folder is unknown.

    Raises StoreError if the database did not store it: then it must not be acknowledged. The beginning of it may be stored, which does no
    harm, because repeated events change nothing.
    """
    try:
        size = FINE_SLICE if store.is_contended(app_id) else SLICE
        # Decoded here and not by the writer: while SQLite works, this thread has the interpreter.
        steps = [partial(_apply, app_id=app_id, decoded=part, at=at, spool=spool) for part in _slices(_decoded(payload, at), size)]
        parts = await store.write_steps(steps, lane=app_id, may_fail=False)
    except StoreError:
        raise
    except Exception as error:
        logs.batch_failed(app_id, error)
        parts = await _ingest_singly(store, app_id, payload, at, spool)
    return parts[0] if len(parts) == 1 else _joined(parts)


async def _ingest_singly(store: Store, app_id: int, payload: bytes, at: int, spool: str | None) -> list[Ingested]:
    """Each record in a transaction of its own, after an error of ours: one record that breaks the server must not keep all later ones of
    its app in the agent's spool permanently. That record is counted as refused."""
    results: list[Ingested] = []
    for record in _singly(payload):
        try:
            results.append(await store.write(partial(apply_batch, app_id=app_id, payload=record, at=at, spool=spool), lane=app_id))
        except StoreError:
            raise
        except Exception:
            refused = {"server error": 1}
            await store.write(partial(gaps.record_refused, app_id=app_id, refused=refused, at=at), lane=app_id)
            results.append(Ingested(frozenset(("workers",)), 0, refused))
    return results


def _singly(payload: bytes) -> list[bytes]:
    """Splits a batch between records. The bytes before the first one are an incomplete record, and are a part of their own."""
    torn, *others = payload.split(wire.RECORD_START)
    return [torn] * bool(torn) + [wire.RECORD_START + record for record in others]


def _slices(decoded: _Decoded, records_each: int) -> list[_Decoded]:
    """Splits a batch, so that other apps get their turn at the writer in between. The first part has what was refused of all of it."""
    found, refused = decoded
    if len(found) <= records_each:
        return [decoded]
    parts = [found[first : first + records_each] for first in range(0, len(found), records_each)]
    return [(parts[0], refused), *((part, {}) for part in parts[1:])]


def _joined(parts: list[Ingested]) -> Ingested:
    refused: dict[str, int] = {}
    for part in parts:
        for cause, count in part.refused.items():
            refused[cause] = refused.get(cause, 0) + count
    return Ingested(
        topics=frozenset(topic for part in parts for topic in part.topics),
        tasks=sum(part.tasks for part in parts),
        refused=refused,
        answers=[answer for part in parts for answer in part.answers],
        records=sum(part.records for part in parts),
        newest_at=max(part.newest_at for part in parts),
    )


async def ingest_facts(store: Store, app_id: int, facts: Iterable[ServerFact]) -> Ingested:
    """Adds events of the server itself to the events of tasks. Returns after the commit."""
    return await store.write(lambda db: apply_facts(db, app_id, facts), lane=app_id)


def apply_facts(db: Connection, app_id: int, facts: Iterable[ServerFact]) -> Ingested:
    """Adds events of the server itself inside an open transaction."""
    batch = _Batch(db, app_id)
    for fact in facts:
        if fact.row and reused_ids.save_fact(db, fact.row, fact.event):
            batch.topics.update(("tasks", "queues", "strip"))
        else:
            batch.add((fact.engine, fact.task_id), fact.event)
    return batch.save({}, 0)


def apply_batch(db: Connection, app_id: int, payload: bytes, at: int, spool: str | None = None) -> Ingested:
    """Stores a batch like `ingest_batch`, inside an open transaction."""
    return _apply(db, app_id, _decoded(payload, at), at, spool)


_Decoded = tuple[list[records.AnyRecord], dict[str, int]]
"""Valid records, and how many others there were by cause."""


def _decoded(payload: bytes, at: int) -> _Decoded:
    refused: dict[str, int] = {}
    return [*decode_records(payload, at + clock.behind(), refused)], refused


def _apply(db: Connection, app_id: int, decoded: _Decoded, at: int, spool: str | None) -> Ingested:
    found, refused = decoded
    batch = _Batch(db, app_id, spool)
    runs_seen: dict[str, tuple[str, str, bool]] = {}
    engines: set[str] = set()
    for record in found:
        if isinstance(record, records.TaskRecord):
            seen = runs_seen.get(record.run)
            if seen is None:
                run = processes.process_of(db, app_id, record.run)
                seen = runs_seen[record.run] = run.worker, run.environment, processes.redacts(db, app_id, record.run)
            worker, environment, is_redacted = seen
            if isinstance(record, records.Logged):
                batch.add_line(record if is_redacted else records.redacted(record))
                continue
            event = (record if is_redacted else records.redacted(record)).event(worker, environment)
            engine = record.engine
            if engine not in engines:
                engine = name_limits.limited(db, app_id, "engine", engine)
                if engine == record.engine:  # each record beyond the limit is counted
                    engines.add(engine)
            key = (engine, record.task_id)
            batch.add(key, event)
            if event[0] == "started" and isinstance(record, records.Started) and record.meta is not None and record.meta.note is not None:
                batch.add_annotations(key, event, record.meta.note.annotations(is_redacted=is_redacted))
            elif isinstance(record, records.Payload) and record.original is not None and event.original >= 3:
                key_id, data = record.original
                broker = name_limits.intern(db, app_id, "broker", record.broker or "")
                batch.originals.append((key, event, data, key_id or "", broker))
        elif isinstance(record, records.Fired):
            fires.record_fired(db, app_id, record, at)
            batch.topics.add("schedules")
        else:
            batch.add_other(record)
            runs_seen.clear()  # it may have been the origin of a boot
    newest = next((record.at for record in reversed(found) if isinstance(record, records.TaskRecord)), 0)
    return replace(batch.save(refused, at), records=len(found), newest_at=newest)


class _Batch:
    """What the records of one batch say together, before any of it is written."""

    def __init__(self, db: Connection, app_id: int, spool: str | None = None) -> None:
        self.db = db
        self.app_id = app_id
        self.spool = spool
        self.tasks: dict[task_writer.Key, list[Event]] = {}
        self.runs: dict[tuple[task_writer.Key, int, str], AttemptSummary] = {}
        self.originals: list[tuple[task_writer.Key, Event, bytes, str, int]] = []
        self.annotations: dict[tuple[task_writer.Key, attempt_annotations.RunKey], run_annotations.RunAnnotations] = {}
        self.links: set[tuple[task_writer.Key, str, str]] = set()
        self.lines: dict[log_lines.RunKey, list[log_lines.LogLine]] = {}
        self.answers: list[Answer] = []
        self.topics: set[str] = set()

    def add(self, key: task_writer.Key, event: Event) -> None:
        events = self.tasks.get(key)
        if events is None:
            self.tasks[key] = [event]
        else:
            events.append(event)
        if event[0] not in NO_RUN and (run_news := attempt_delta(event)) is not None:
            run = (key, min(event.attempt, MAX_ATTEMPT), event.run)
            known = self.runs.get(run)
            self.runs[run] = run_news if known is None else run_join(known, run_news)
        if event.sent and (links := reused_ids.links_of(event)):
            self.links.update((key, *link) for link in links)

    def add_annotations(self, key: task_writer.Key, event: Event, news: run_annotations.RunAnnotations) -> None:
        """Adds what an attempt reports about itself, whose start `event` is."""
        run = (key, (min(event.attempt, MAX_ATTEMPT), event.run, event.at))
        self.annotations[run] = run_annotations.join(self.annotations.get(run, run_annotations.NOTHING), news)

    def add_line(self, record: records.TaskRecord) -> None:
        assert isinstance(record, records.Logged)
        engine = name_limits.intern(self.db, self.app_id, "engine", record.engine)
        attempt, started_at = min(record.attempt, MAX_ATTEMPT), record.started_at or 0
        run = log_lines.RunKey(engine, task_ids.encode(record.task_id), attempt, record.run, started_at)
        logger, message = text(record.logger, records.LOGGER_LIMIT), text(record.message, records.MESSAGE_LIMIT)
        line = log_lines.LogLine(record.seq, record.at, record.level, logger, message, record.dropped)
        self.lines.setdefault(run, []).append(line)

    def add_other(self, record: records.Origin | records.Gap | records.CommandResult | records.Fault) -> None:
        if isinstance(record, records.Origin):
            fields = record.facts
            processes.record_origin(
                self.db, self.app_id, record.boot, record.at, host=fields.host, pid=fields.pid, role=fields.role,
                worker=fields.worker or "", environment=fields.environment, release=fields.release or "",
            )  # fmt: skip
            processes.note_redaction(self.db, self.app_id, record.boot, fields.redaction)
        elif isinstance(record, records.Gap):
            gaps.record_gap(self.db, self.app_id, record)
            self.topics.add("workers")
        elif isinstance(record, records.Fault):
            gaps.record_fault(self.db, self.app_id, record)
            self.topics.add("workers")
        else:
            answer, topics = settle(self.db, Sender(self.app_id, self.spool), record)
            self.topics |= topics
            if answer is not None:
                self.answers.append(answer)

    def save(self, refused: dict[str, int], at: int) -> Ingested:
        saved = task_writer.save(self.db, self.app_id, self.tasks)
        ids, is_changed = saved.ids, saved.is_changed
        if self.runs:
            news = {(ids[key], attempt, token): values for (key, attempt, token), values in self.runs.items() if key in ids}
            is_changed = attempts.save(self.db, self.app_id, news) or is_changed
        if self.originals:
            originals.save(
                self.db, [(ids[values[0]], original_key(values[1]), *values[2:]) for values in self.originals if values[0] in ids]
            )
        if self.links:
            task_writer.add_links(self.db, self.app_id, [(kind, target, ids[key]) for key, kind, target in self.links if key in ids])
        rows = {(key, run): ids[key] for key, run in self.annotations if key in ids}
        for key, engine_id, raw, row in saved.again:
            self._save_again(key, engine_id, raw, row)
            is_changed = True
            executions = attempt_annotations.rows_of(self.db, self.app_id, engine_id, raw)
            attempt_annotations.place_again(self.db, executions)
            rows |= {(other, run): run_annotations.row_of(run[2], executions) for other, run in self.annotations if other == key}
        if rows:
            news_of_rows = {(row, at[1]): self.annotations[at] for at, row in rows.items()}
            is_changed = attempt_annotations.save(self.db, news_of_rows) or is_changed
        if self.lines and log_lines.save(self.db, self.app_id, self.lines):
            self.topics.add("tasks")
        if error_changes.write(self.db):
            self.topics.add("errors")
        name_limits.flush(self.db, self.app_id)
        if refused:
            gaps.record_refused(self.db, self.app_id, refused, at)
            self.topics.add("workers")
        if is_changed:
            self.topics.update(("tasks", "queues", "strip"))
        return Ingested(frozenset(self.topics), len(ids) + len(saved.again), refused, self.answers)

    def _save_again(self, key: task_writer.Key, engine_id: int, raw: bytes, row: StoredTask | None) -> None:
        """An id that came again, or may have: its rows are made from all its events."""
        mine = [values[1:] for values in self.originals if values[0] == key]
        kept = {event: (data, key_id, names.text_of(self.db, broker)) for event, data, key_id, broker in mine}
        news = [(event, kept.get(event)) for event in self.tasks[key]]
        reused_ids.Reused(self.db, self.app_id, engine_id, raw, row).save(news)
