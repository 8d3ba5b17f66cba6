# SPDX-License-Identifier: AGPL-3.0-or-later
"""What an attempt reports about itself while it runs, joined in any order and with any repetition. Pure.

Like the summaries of `fold`, a `RunAnnotations` is a point in a semilattice: of two values under one name the later one counts, and of
equal times the greater value. The limits are part of it: the first `MAX_FIELDS` names in their order are kept, and a name that was left
out can never come back, because the names that are kept only become smaller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

MAX_FIELDS: Final = 20
MAX_KEY: Final = 50
MAX_VALUE: Final = 200
ID_NAMES: Final = ("trace_id", "sentry_event_id")
"""Ids of other tools: of OpenTelemetry's trace, of Sentry's last event."""

Value = tuple[int, str]
"""When it was set (microseconds UTC), and the value."""
Progress = tuple[int, float, float, str]
"""When (microseconds UTC), done, total (-1: not known), text."""


class RunAnnotations(NamedTuple):
    """The notes of one attempt by one process. `excess`: how many annotations were left out, as far as is known."""

    fields: Mapping[str, Value]
    ids: Mapping[str, Value]
    excess: int = 0
    progress: Progress | tuple[()] = ()


NOTHING: Final = RunAnnotations({}, {})


def join(a: RunAnnotations, b: RunAnnotations) -> RunAnnotations:
    """Joins two notes of one attempt."""
    fields = _joined(a.fields, b.fields)
    excess = max(a.excess, b.excess)
    if len(fields) > MAX_FIELDS:
        fields = {name: fields[name] for name in sorted(fields)[:MAX_FIELDS]}
        excess = max(excess, 1)
    return RunAnnotations(fields, _joined(a.ids, b.ids), excess, max(a.progress, b.progress))


def _joined(a: Mapping[str, Value], b: Mapping[str, Value]) -> dict[str, Value]:
    joined = dict(a)
    for name, value in b.items():
        joined[name] = max(joined.get(name, value), value)
    return joined


class ExecutionRow(NamedTuple):
    """A row of a task id. `ended_at`: when it finally ended, None if it has not; `is_newest`: the id means this row."""

    row: int
    ended_at: int | None
    is_newest: bool


def row_of(started_at: int, executions: Sequence[ExecutionRow]) -> int:
    """Returns the row that a run belongs to: of the executions of one id, the first that ended after the run started, else the newest.
    An execution begins after the end of all before it, see `reused_ids.split_executions`."""
    newest = next((execution.row for execution in executions if execution.is_newest), executions[-1].row)
    earlier = sorted(
        (execution.ended_at, execution.row) for execution in executions if not execution.is_newest and execution.ended_at is not None
    )
    return next((row for ended_at, row in earlier if ended_at >= started_at), newest)
