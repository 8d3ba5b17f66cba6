# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores plans and their items: written when a plan is frozen, changed one by one as it is executed. The number of items by status is
updated in the transaction that changes an item, so the sum is always correct."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias, TypedDict, Unpack

from z4j.rules.plans import ITEM_OF, Item
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Row, Store
from z4j.store.tasks import task_ids
from z4j.text import JsonObject
from z4j_agent.wire.redaction import redact_text

SQL = sql.load("operations/plans")
NEWEST = 1 << 62


PlanParams: TypeAlias = dict[str, str | int]
"""`level`: the new priority; `queue`: the destination; `of`: the plan whose tasks are restored."""


class Sample(TypedDict):
    """A task of a plan, as the preview shows it."""

    id: int
    task_id: str
    name: str
    engine: str
    queue: str
    state: str
    args: str
    error_type: str


class NewPlan(TypedDict):
    """Columns of a plan that is being frozen. `params` is JSON, `at` microseconds UTC."""

    key: str
    action: str
    params: str
    source: str
    author: str
    reason: str
    undo_of: str
    at: int


class FrozenPlan(TypedDict):
    """Columns that freezing ends with. `excluded` (reason to count) and `samples` are JSON."""

    digest: str
    items: int
    excluded: str
    samples: str
    load_us: int | None


class PlanChange(TypedDict, total=False):
    """What changes with the status of a plan. Times are microseconds UTC."""

    pace: str | None
    started_at: int
    ended_at: int


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A frozen bulk action. Times are microseconds UTC."""

    id: int
    key: str
    action: str
    params: PlanParams
    source: str
    author: str
    reason: str
    status: str
    digest: str
    items: int
    excluded: dict[str, int]
    samples: list[Sample]
    load_us: int | None
    pace: str
    note: str
    undo_of: str
    created_at: int
    started_at: int | None
    ended_at: int | None


@dataclass(frozen=True, slots=True)
class GroupRow:
    """Items of a plan that have app, environment, engine, queue and task name in common."""

    number: int
    app_id: int
    app: str
    environment: str
    engine: str
    queue: str
    name: str
    items: int


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item and its result."""

    seq: int
    task: int
    task_id: str
    status: str
    ended_at: int | None
    detail: str
    engine: str
    queue: str
    name: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A task as freezing looks at it."""

    id: int
    task_id: bytes
    app_id: int
    environment: str
    engine: str
    queue: str
    name: str
    state: int
    original_state: int
    is_retried: bool
    args: str
    error_type: str


@dataclass(frozen=True, slots=True)
class Next:
    """An item whose turn has come, and its task as it is now; `state` is None when it is gone."""

    seq: int
    task: int
    task_id: bytes
    number: int
    state: int | None
    original_state: int
    worker: str
    eta_at: int | None
    sent: str | None


@dataclass(frozen=True, slots=True)
class SentItem:
    """An item that was sent and has no result yet, and what its command contains of its task."""

    seq: int
    task: int
    task_id: bytes
    number: int
    spool: str
    sent_at: int
    worker: str = ""
    eta_at: int | None = None
    sent: str | None = None


# -- freezing --------------------------------------------------------------------------------------------------------------
def add_plan(db: Connection, **fields: Unpack[NewPlan]) -> int:
    """Adds a plan whose items follow. Returns its row id."""
    return int(db.execute(SQL["add_plan"], fields).fetchone()[0])


def add_items(db: Connection, rows: Iterable[tuple[int, int, int, bytes, int, int, None]]) -> None:
    """Items as (plan, seq, task, task id, state, group, nothing kept)."""
    db.executemany(SQL["add_item"], rows)


def freeze_plan(db: Connection, id: int, groups: Iterable[Row], **fields: Unpack[FrozenPlan]) -> None:
    """Stores the result of freezing: groups, digest, and the number of items, which all wait."""
    db.executemany(SQL["add_group"], [(id, *group) for group in groups])
    db.execute(SQL["freeze_plan"], {"id": id, **fields})
    db.execute(SQL["add_to_count"], (id, int(Item.WAITING), fields["items"]))


def delete_plan(db: Connection, id: int) -> None:
    """Deletes a plan whose freezing failed."""
    db.execute(SQL["delete_plan"], {"id": id})


def drop_freezing(db: Connection) -> None:
    """Plans that a server left behind which ended in the middle of freezing."""
    db.execute(SQL["drop_freezing"])


async def list_forgotten(store: Store, before: int) -> list[int]:
    """Plans made before then that were not executed."""
    return [row[0] for row in await store.fetch_all(SQL["list_forgotten"], {"before": before})]


def forget_plan(db: Connection, id: int, seconds: float) -> tuple[bool, int]:
    """Deletes a plan, its items first, for at most `seconds`. Returns (whether it is deleted, number of items deleted)."""
    ends, items = time.monotonic() + seconds, 0
    while deleted := db.execute(SQL["forget_items"], {"id": id}).rowcount:
        items += deleted
        if time.monotonic() > ends:
            return False, items
    db.execute(SQL["forget_plan"], {"id": id})
    return True, items


async def read_candidates(store: Store, ids: list[int]) -> list[Candidate]:
    """Tasks by their row ids, in the order asked for."""
    rows = await store.fetch_all(SQL["read_for_plan"], {"ids": json.dumps(ids)})
    return [Candidate(*row) for row in rows]


async def list_purged(store: Store, app_id: int, engine: str, queue: str, first_at: int, last_at: int) -> list[int]:
    """Lists the row ids of the tasks that a purge removed, in the order in which they would have run."""
    params = {"app_id": app_id, "engine": engine, "queue": queue, "first_at": first_at, "last_at": last_at}
    return [row[0] for row in await store.fetch_all(SQL["list_purged"], params)]


async def mean_runtimes(store: Store, since: int) -> dict[tuple[str, str], int]:
    """Returns (engine, task name) → mean runtime in microseconds of the tasks that ended since that time (microseconds UTC)."""
    return {(engine, name): mean for engine, name, mean in await store.fetch_all(SQL["mean_runtimes"], {"since": since})}


# -- carrying out ----------------------------------------------------------------------------------------------------------
def change_plan(
    db: Connection, id: int, status: str, expected: Iterable[str], *, note: str = "", pace: str | None = None,
    started_at: int | None = None, ended_at: int | None = None,
) -> bool:  # fmt: skip
    """Changes the status of a plan if it is one of `expected`. Returns whether it was changed."""
    params = {
        "id": id, "status": status, "expected": f" {' '.join(expected)} ", "note": note, "pace": pace, "started_at": started_at,
        "ended_at": ended_at,
    }  # fmt: skip
    return bool(db.execute(SQL["change_plan"], params).fetchall())


def put_note(db: Connection, id: int, note: str) -> None:
    """Stores why a running plan does not continue; "" while it does."""
    db.execute(SQL["put_note"], {"id": id, "note": note})


def still_waiting(db: Connection, id: int, items: Iterable[int]) -> set[int]:
    """Returns which of these items still wait: none if the plan was paused or aborted since they were listed. Must be called in the
    transaction that marks them."""
    return {row[0] for row in db.execute(SQL["still_waiting"], {"id": id, "seqs": json.dumps(list(items))})}


def mark_sent(db: Connection, id: int, items: list[tuple[int, str]], at: int) -> None:
    """Items, as (seq, spool), were sent to agents."""
    changed = sum(db.execute(SQL["mark_sent"], (spool, at, id, seq)).rowcount for seq, spool in items)
    _count(db, id, Item.WAITING, Item.SENT, changed)


def end_item(db: Connection, id: int, seq: int, status: Item, at: int, detail: str = "") -> bool:
    """Stores the result of an item. Returns whether it changed the item."""
    before = db.execute(SQL["status_of"], {"id": id, "seq": seq}).fetchone()
    if (
        before is None
        or not db.execute(
            SQL["end_item"], {"id": id, "seq": seq, "status": int(status), "at": at, "detail": redact_text(detail)[:300] or None}
        ).fetchall()
    ):
        return False
    _count(db, id, Item(before[0]), status, 1)
    return True


def finish_item(
    db: Connection, app_id: int, key: str, seq: int, at: int, status: str, fields: JsonObject, spool: str | None = None
) -> bool:  # fmt: skip
    """Stores the result of an item of the plan with this key, as reported by an agent of this app. False where that is no news, or where
    the item was sent to another spool folder; without `spool` any folder is accepted."""
    row = db.execute(SQL["find_key"], {"key": key, "seq": seq, "app_id": app_id, "spool": spool}).fetchone()
    became = ITEM_OF.get(status)
    if row is None or became is None:
        return False
    return end_item(db, row[0], seq, became, at, str(fields.get("error") or fields.get("note") or ""))


def abort_waiting(db: Connection, id: int, at: int) -> None:
    """Ends the waiting items of an aborted plan."""
    changed = db.execute(SQL["abort_waiting"], {"id": id, "at": at}).rowcount
    _count(db, id, Item.WAITING, Item.ABORTED, changed)


def _count(db: Connection, id: int, before: Item, after: Item, items: int) -> None:
    if items and before != after:
        db.executemany(SQL["add_to_count"], [(id, int(before), -items), (id, int(after), items)])


# -- reading ---------------------------------------------------------------------------------------------------------------
def _plan(row: Row) -> PlanRow:
    id, key, action, params, source, author, reason, status, digest, items, excluded, samples, *rest = row
    return PlanRow(
        id, key, action, json.loads(params), source, author, reason, status, digest, items, json.loads(excluded), json.loads(samples), *rest
    )


async def get_plan(store: Store, id: int) -> PlanRow | None:
    """Returns a plan by its row id, or None."""
    row = await store.fetch_one(SQL["get_plan"], {"id": id})
    return None if row is None else _plan(row)


async def list_plans(store: Store, *, before: int = NEWEST, limit: int = 50) -> list[PlanRow]:
    """Lists plans, newest first. `before` is the `created_at` of the last plan of the previous page."""
    return [_plan(row) for row in await store.fetch_all(SQL["list_plans"], {"before": before, "limit": limit})]


async def list_running(store: Store) -> list[int]:
    """IDs of the plans that are being executed."""
    return [row[0] for row in await store.fetch_all(SQL["list_running"])]


async def find_undo(store: Store, undo_of: str) -> int | None:
    """Returns the row id of the newest plan that undoes this action, or None."""
    row = await store.fetch_one(SQL["list_undoing"], {"undo_of": undo_of})
    return None if row is None else int(row[0])


async def list_groups(store: Store, id: int) -> list[GroupRow]:
    """Lists the groups of a plan, the largest first."""
    rows = await store.fetch_all(SQL["list_groups"], {"id": id})
    return [GroupRow(number, app_id, app or "", *rest) for number, app_id, app, *rest in rows]


async def account(store: Store, id: int) -> dict[str, int]:
    """Returns status in lower case → number of items, for every status. The sum is `PlanRow.items`."""
    counts: dict[int, int] = dict(await store.fetch_all(SQL["list_counts"], {"id": id}))
    return {status.name.lower(): counts.get(int(status), 0) for status in Item}


async def list_waiting(store: Store, id: int, without: Iterable[int], limit: int) -> list[Next]:
    """Lists the next waiting items, except those of the groups `without`."""
    params = {"id": id, "without": json.dumps(sorted(without)), "limit": limit}
    rows = await store.fetch_all(SQL["list_waiting"], params)
    return [
        Next(seq, task, raw, number, state, original or 0, worker or "", eta_at, sent)
        for seq, task, raw, number, state, original, worker, eta_at, sent in rows
    ]


async def list_overdue(store: Store, id: int, before: int) -> list[int]:
    """Lists the numbers of the items that were sent before `before` (microseconds UTC) and not answered, in order."""
    return [row[0] for row in await store.fetch_all(SQL["list_overdue"], {"id": id, "before": before})]


async def list_sent(store: Store, id: int) -> list[SentItem]:
    """Lists the items that were sent and not answered, in order."""
    return [
        SentItem(seq, task, raw, number, spool or "", at or 0, worker or "", eta_at, sent)
        for seq, task, raw, number, spool, at, worker, eta_at, sent in await store.fetch_all(SQL["list_sent"], {"id": id})
    ]


async def list_items(store: Store, id: int, *, status: Item | None = None, after: int = 0, limit: int = 100) -> list[ItemRow]:
    """Items in order, of one status or of all, beyond the item number `after`."""
    params = {"id": id, "status": -1 if status is None else int(status), "after": after, "limit": limit}
    rows = await store.fetch_all(SQL["list_items"], params)
    return [
        ItemRow(seq, task, task_ids.decode(raw), Item(item_status).name.lower(), ended_at, detail, engine, queue, name)
        for seq, task, raw, item_status, ended_at, detail, engine, queue, name in rows
    ]


async def list_done(store: Store, id: int) -> list[Row]:
    """Lists the done items in order, as (seq, task, task id, state, app, environment, engine, queue, name)."""
    return await store.fetch_all(SQL["list_done"], {"id": id})


async def outcome(store: Store, app_id: int, task_id: str) -> int | None:
    """Returns the state code of a task by its id, or None while the task is unknown."""
    row = await store.fetch_one(SQL["outcome"], {"app_id": app_id, "task_id": task_ids.encode(task_id)})
    return None if row is None else int(row[0])


async def list_cancelled(store: Store, app_id: int, since: int) -> list[tuple[str, int, str, str, str, str]]:
    """Lists cancellations that plans executed and whose task still waits, as (key of the plan, seq, task id, engine, environment, broker).
    The broker is "" where it is unknown."""
    rows = await store.fetch_all(SQL["list_cancelled"], {"app_id": app_id, "since": since})
    return [(key, seq, task_ids.decode(raw), *where) for key, seq, raw, *where in rows]
