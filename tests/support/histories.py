# SPDX-License-Identifier: AGPL-3.0-or-later
"""What workers report of an id that the application uses again: whole histories, and single records for a case of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from z4j.rules.tasks.fold import Event, fold, state_of
from z4j.rules.tasks.reused_ids.split_executions import ReportedEvent, split
from z4j.rules.tasks.states import STATE_NAMES
from z4j.wire.batches import decode_records
from z4j.wire.records import TaskRecord
from z4j_agent import wire

T = 1_700_000_000_000_000
S = 1_000_000
BOOTS = {"pro": "p", "wa": "a", "wb": "b", "same": "p"}
"""Boots and the host each is on."""
ENDS = {"succeeded": 12, "failed": 11, "lost": 6, "cancelled": 8}


@dataclass(frozen=True)
class Plan:
    """One execution as the application means it."""

    is_watched: bool
    worker: str
    end: str
    retries: int
    gap_us: int
    is_told_by_child: bool = False
    """Of an unwatched producer: the process that runs the task reports the arguments, after the start."""


def history(made: list[Plan], skew: dict[str, int]) -> list[list[Any]]:
    """What the processes tell. `skew`: by how much the clock of each host is ahead."""
    records: list[list[Any]] = []
    at = T
    for number, plan in enumerate(made):
        at += plan.gap_us
        worker, sender = f"{plan.worker}.7", "pro.1"
        mine, theirs = skew.get(BOOTS[plan.worker], 0), skew.get("p", 0)
        if plan.is_watched:
            records.append(["enqueued", "rq", "job", 0, at + theirs, sender, "name", "queue", None, {"code": "shop:1"}])
            records.append(
                [
                    "payload",
                    "rq",
                    "job",
                    0,
                    at + theirs,  # in life some microseconds later, which a row does not keep
                    sender,
                    "name",
                    "queue",
                    2,
                    f"[{number}]",
                    False,
                    [None, f"AAA{number}"],
                    "plain",
                ]
            )
        for attempt in range(plan.retries + 1):
            got, began, end = at + mine + 900, at + mine + 1_000, at + mine + 500_000
            head: list[Any] = ["rq", "job", attempt]
            records.append(["received", *head, got, f"{plan.worker}.1", "name", "queue", None, None])
            at_of, by = (began + 5, worker) if plan.is_told_by_child else (got + 5, f"{plan.worker}.1")
            payload = ["payload", *head, at_of, by, "name", "queue", 1, f"[{number}]", False, [None, f"AAB{number}"], "plain"]
            told = [payload] if not plan.is_watched and not attempt else []
            start = ["started", *head, began, worker, "name", "queue", None]
            records += [start, *told] if plan.is_told_by_child else [*told, start]
            if attempt < plan.retries:
                records.append(["retried", *head, end, worker, "name", "queue", began, 9, None, "", "E", "again", "trace", None])
                records.append(["enqueued", "rq", "job", attempt + 1, end + 10, worker, "name", "queue", None, None])
                at += 600_000
            elif plan.end == "succeeded":
                records.append(["succeeded", *head, end, worker, "name", "queue", got, began, 9, f"result {number}", None])
            elif plan.end == "failed":
                records.append(
                    ["failed", *head, end, worker, "name", "queue", got, began, 9, "", "E", f"error {number}", f"trace {number}", None]
                )
            else:
                records.append(["cancelled", *head, end, worker, "name", "queue", began, 9, "stopped", f"error {number}", None])
    return records


def meant(made: list[Plan]) -> list[tuple[str, str, str, str]]:
    return [
        (
            plan.end, f"[{number}]", f"result {number}" if plan.end == "succeeded" else "",
            "" if plan.end == "succeeded" else f"error {number}",
        )
        for number, plan in enumerate(made)
    ]  # fmt: skip


def events_of(records: Iterable[list[Any]]) -> list[Event]:
    """The records as the fold and the lives take them."""
    decoded = decode_records(b"".join(map(wire.encode_record, records)), T + 10**15, {})
    return [record.event("w", "") for record in decoded if isinstance(record, TaskRecord)]


def told(*records: list[Any], clock: str = "h") -> list[str]:
    """The state of each life the records make."""
    lives = split(ReportedEvent(event, clock) for event in events_of(records))
    states = []
    for life in lives:
        summary = fold(None, [of.event for of in life.reports])
        assert summary is not None
        states.append(STATE_NAMES[state_of(summary.state[0])])
    return states


def started(at: int, attempt: int = 0, meta: Any = None) -> list[Any]:
    return ["started", "rq", "job", attempt, T + at, "wa.7", "name", "queue", meta]


def ended(kind: str, at: int, began: int | None, attempt: int = 0) -> list[Any]:
    head = [kind, "rq", "job", attempt, T + at, "wa.7", "name", "queue"]
    start = None if began is None else T + began
    if kind == "succeeded":
        return [*head, None, start, 1, "", None]
    if kind == "failed":
        return [*head, None, start, 1, "", "E", "", "", None]
    if kind == "retried":
        return [*head, start, 1, None, "", "E", "", "", None]
    return [*head, start, 1, "", "", None] if kind == "cancelled" else [*head, "worker_gone", ""]


def received(at: int, attempt: int = 0) -> list[Any]:
    return ["received", "rq", "job", attempt, T + at, "wa.1", "name", "queue", None, None]


def enqueued(at: int, attempt: int = 0, code: str = "shop:1") -> list[Any]:
    return ["enqueued", "rq", "job", attempt, T + at, "wa.1", "name", "queue", None, {"code": code} if code else None]
