# SPDX-License-Identifier: AGPL-3.0-or-later
"""The ledger on the page of a queue: the tasks of each hour by their current state, and the unaccounted ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request

from z4j.formats import iso
from z4j.operations.findings import queue_ledger
from z4j.operations.findings.queue_ledger import QueueLedger
from z4j.rules.findings.activity import QueueActivity
from z4j.rules.findings.finding import Scope
from z4j.rules.history.queue_ledger import Balance, balance, queued_before
from z4j.rules.rollups import HOUR_US
from z4j.rules.tasks.states import FINAL, STATES
from z4j.store.fleet.queues import QueueRow
from z4j.store.rollups.queue_ledger import QueuedTask
from z4j.web.pages.tasks.filters import Filters
from z4j.web.services import services

FIRST: Final = 8
"""Hours shown initially; earlier ones are collapsed."""
LISTED: Final = 10
ENDED: Final = tuple(state for state in STATES if state in FINAL)
IN_WORKERS: Final = ("scheduled", "received", "retrying")


@dataclass(frozen=True, slots=True)
class Cell:
    """A number and the URL of exactly its tasks; "" if one URL cannot select them. None: unknown."""

    count: int | None
    href: str = ""


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One hour. `enqueued` is the sum of the next four."""

    at: int
    enqueued: Cell
    ended: Cell
    waiting: Cell
    running: Cell
    unaccounted: Cell
    unmonitored: Cell


@dataclass(frozen=True, slots=True)
class LedgerTable:
    """The part of queues/detail.html about the ledger. `why_unknown`: why unaccounted tasks are unknown, "" if they are known;
    `listed`: the oldest of the `unaccounted` tasks."""

    lines: tuple[LedgerLine, ...]
    earlier: tuple[LedgerLine, ...]
    begins: int
    why_unknown: str
    unaccounted: Cell
    older: int
    """Of these, those that were enqueued before the first hour."""
    listed: tuple[QueuedTask, ...]
    has_unmonitored: bool


async def ledger_of(request: Request, row: QueueRow, now: int) -> LedgerTable | None:
    """Returns the ledger of a queue; None before its first evaluation."""
    found = await _read(request, row, now)
    if found is None:
        return None
    rows = Filters(queue=row.name, engine=row.engine, app=row.app, environment=row.environment)
    older = queued_before(found.hours, found.queued)
    lines = [_line(each, found, rows) for each in reversed(balance(found.hours, found.unaccounted, older))]
    whole = rows.but(state=("queued",), **({"until": iso(found.until)} if found.until is not None else {}))
    return LedgerTable(
        lines=tuple(lines[:FIRST]), earlier=tuple(lines[FIRST:]), begins=found.begins, why_unknown=_why_unknown(row, found),
        unaccounted=Cell(found.unaccounted, whole.href() if found.unaccounted and found.until is not None else ""),
        older=min(older, found.unaccounted or 0), listed=found.listed[:LISTED],
        has_unmonitored=any(hour.unmonitored for hour in found.hours),
    )  # fmt: skip


async def plain_ledger(request: Request, row: QueueRow, now: int) -> dict[str, Any]:
    """Returns the ledger as JSON data. Times are microseconds UTC; `unaccounted` is null if unknown."""
    found = await _read(request, row, now)
    if found is None:
        return {"ledger": [], "unaccounted": None}
    older = queued_before(found.hours, found.queued)
    return {
        "ledger": [
            {
                "at": each.hour.at, "enqueued": each.hour.sent, "ended": each.hour.ended, "waiting": each.waiting,
                "running": each.hour.running, "unaccounted": each.unaccounted, "unmonitored": each.hour.unmonitored,
            }
            for each in balance(found.hours, found.unaccounted, older)
        ],
        "unaccounted": found.unaccounted,
    }  # fmt: skip


async def _read(request: Request, row: QueueRow, now: int) -> QueueLedger | None:
    server = services(request)
    queue = activity_of(request, row)
    return None if queue is None else await queue_ledger.read(server.store, queue, now)


def activity_of(request: Request, row: QueueRow) -> QueueActivity | None:
    """Returns the queue at its last evaluation; None before the first."""
    scope = Scope(row.app, row.environment, row.engine)
    return next((each for each in services(request).findings.queues if each.scope == scope and each.name == row.name), None)


def _why_unknown(row: QueueRow, found: QueueLedger) -> str:
    if found.unaccounted is not None or not found.queued:
        return ""
    if row.seen_at is None:
        return "No agent reports the tasks of this queue in the broker, so it is unknown whether a queued task is still there."
    return "The queue was not reported often enough in the last 15 minutes, so it is unknown whether a queued task is still in the broker."


def _line(each: Balance, found: QueueLedger, rows: Filters) -> LedgerLine:
    hour, lost = each.hour, each.unaccounted or 0
    is_cut = 0 < lost < hour.queued  # a part of the queued ones: selected by the time of the last of them
    inside = found.until is not None and hour.at < found.until <= hour.at + HOUR_US
    begins, ends = iso(hour.at), iso(hour.at + HOUR_US)
    within = rows.but(since=begins, until=ends)
    known = within.but(q="enqueued:known")

    def cell(count: int, of: Filters, *states: str) -> Cell:
        return Cell(count, (of.but(state=states) if states else of).href() if count else "")

    waiting = Cell(each.waiting)
    if not lost:
        waiting = cell(each.waiting, known, "queued", *IN_WORKERS)
    elif not is_cut:
        waiting = cell(each.waiting, known, *IN_WORKERS)
    elif inside and not hour.waiting:
        waiting = cell(each.waiting, known.but(since=iso(found.until or 0)), "queued")
    unaccounted = Cell(each.unaccounted)
    if lost and not is_cut:
        unaccounted = cell(lost, known, "queued")
    elif lost and inside:
        unaccounted = cell(lost, known.but(until=iso(found.until or 0)), "queued")
    return LedgerLine(
        at=hour.at, enqueued=cell(hour.sent, known), ended=cell(hour.ended, known, *ENDED), waiting=waiting,
        running=cell(hour.running, known, "running"), unaccounted=unaccounted,
        unmonitored=cell(hour.unmonitored, within.but(q="enqueued:unknown")),
    )  # fmt: skip
