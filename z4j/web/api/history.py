# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of task names and of the histories of task names, queues and workers: the exports of their pages."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from z4j.store.samples.name_sample import SlowTask
from z4j.web.api.endpoints import Operation
from z4j.web.pages.names import detail as name_detail
from z4j.web.pages.names import list as name_list
from z4j.web.pages.queues import detail as queue_detail
from z4j.web.pages.workers import detail as worker_detail


class NameTotals(Struct):
    """What the tasks of a name did in the range. Percentiles are null without runs; `stored` is the number of stored tasks.
    `is_partial`: the names have more queues and releases than are read, and the numbers of the range are at least these."""

    name: str
    ended: int
    per_minute: float
    bad: int
    retried: int
    p50_us: int | None
    p95_us: int | None
    stored: int
    is_partial: bool


class NameTotalsList(Struct):
    """Those with the most tasks first; `page` is the number of the next page, null at the end."""

    range: str
    names: list[NameTotals]
    page: int | None


class Slot(Struct):
    """Sums from `at` until the next slot, durations in microseconds; percentiles are null without tasks. A slot of which nothing is known
    has `at` only."""

    at: int
    enqueued: int | None = None
    started: int | None = None
    retried: int | None = None
    waited: int | None = None
    waited_us: int | None = None
    ran: int | None = None
    ran_us: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    cancelled: int | None = None
    expired: int | None = None
    rejected: int | None = None
    lost: int | None = None
    waited_p50_us: int | None = None
    waited_p95_us: int | None = None
    waited_p99_us: int | None = None
    ran_p50_us: int | None = None
    ran_p95_us: int | None = None
    ran_p99_us: int | None = None


class PartSums(Struct):
    """The sums of a release or a queue; `first_at` is when a release was first seen."""

    name: str
    first_at: int | None
    enqueued: int
    started: int
    retried: int
    waited: int
    waited_us: int
    ran: int
    ran_us: int
    succeeded: int
    failed: int
    cancelled: int
    expired: int
    rejected: int
    lost: int


class Bucket(Struct):
    """Tasks whose duration was in this range."""

    from_us: int
    to_us: int
    tasks: int


class NameHistory(Struct):
    """The history of a task name. `left_out_series` were not read, `read_share` is the share that was."""

    name: str
    app: str
    environment: str
    engine: str
    range: str
    since: int
    until: int
    slot_us: int
    left_out_series: int
    read_share: float
    slots: list[Slot]
    releases: list[PartSums]
    queues: list[PartSums]
    ran_buckets: list[Bucket]
    waited_buckets: list[Bucket]
    slowest: list[SlowTask]


class ReportedSlot(Struct):
    """What the brokers of a queue reported from `at` on: the last depth, its mean and maximum; null: not reported."""

    at: int
    depth: int
    depth_mean: float
    depth_max: int
    oldest_us: int | None
    delayed: int | None
    dead: int | None


class LedgerHour(Struct):
    """The tasks that were first seen in an hour, and what is known of them; `unaccounted` is null if unknown."""

    at: int
    enqueued: int
    ended: int
    waiting: int
    running: int
    unaccounted: int | None
    unmonitored: int


class CallerTasks(Struct):
    """Tasks that a schedule, a parent task, a route or a line of code sent."""

    kind: str
    text: str
    tasks: int


class Callers(Struct):
    """The callers of the tasks that were read."""

    read: int
    tasks: list[CallerTasks]


class QueueHistory(Struct):
    """The history of a queue. Without a task in it, only `slots` and `reports` are there, and they are empty."""

    queue: str
    app: str
    environment: str
    engine: str
    slots: list[Slot]
    reports: list[ReportedSlot]
    range: str = ""
    since: int | None = None
    until: int | None = None
    slot_us: int | None = None
    left_out_series: int = 0
    read_share: float = 1.0
    forecast: str = ""
    entered_last_hour: dict[str, int] = {}
    entered_same_hour_last_week: dict[str, int] | None = None
    ledger: list[LedgerHour] = []
    unaccounted: int | None = None
    callers: Callers | None = None
    callers_same_hour_last_week: Callers | None = None


class WorkerSlot(Struct):
    """Tasks that a worker ended from `at` on, those of them that failed, and the sum of their runtimes."""

    at: int
    ended: int
    failed: int
    busy_us: int


class WorkerStart(Struct):
    """A start of the worker."""

    at: int
    pid: int
    release: str


class WorkerHistory(Struct):
    """The history of a worker."""

    worker: str
    app: str
    environment: str
    concurrency: int | None
    range: str
    since: int
    until: int
    slot_us: int
    slots: list[WorkerSlot]
    starts: list[WorkerStart]


RANGE: Final = ("range", "90m, 24h, 7d or 90d, until now.")
SCOPE: Final = (("app", "Only of this app."), ("environment", "Only of this environment."), ("engine", "Only of this engine."), RANGE)

OPERATIONS: Final = (
    Operation("GET", "/api/v1/names", name_list.list_json, "viewer", "Task names with statistics.", NameTotalsList,
              query=(("q", "Part of the name."), *SCOPE, ("page", "Number of the page, from 0."))),
    Operation("GET", "/api/v1/names/history", name_detail.detail_json, "viewer", "The history of a task name.", NameHistory,
              query=(("name", "The task name."), *SCOPE)),
    Operation("GET", "/api/v1/queues/history", queue_detail.history_json, "viewer", "The history of a queue.", QueueHistory,
              query=(("queue", "The queue."), *SCOPE, ("broker", "Its broker, if the queue is in several."))),
    Operation("GET", "/api/v1/workers/history", worker_detail.history_json, "viewer", "The history of a worker.", WorkerHistory,
              query=(("worker", "The worker."), *SCOPE[:2], RANGE)),
)  # fmt: skip
