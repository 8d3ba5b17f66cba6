# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is measured, in which unit, and the budget it is held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Budget:
    name: str
    what: str
    limit: float
    better: Literal["more", "less"]
    how: str

    def verdict(self, figure: float | None) -> str:
        """Met or missed, and by how much; grey when nothing was measured."""
        if figure is None:
            return "not measured"
        is_met = figure >= self.limit if self.better == "more" else figure <= self.limit
        share = abs(figure - self.limit) / self.limit * 100
        return f"{'met' if is_met else '**missed**'} by {share:.0f} %"


ENGINES: dict[str, float] = {"watched_throughput_ratio": 0.93, "sleep_watched_throughput_ratio": 0.99}
"""Of each engine: no-op tasks and tasks that sleep for 5 ms, per second, of what an unwatched worker runs in the same rounds."""
CELERY: dict[str, float] = {"watched_producer_us": 50, "watched_worker_us": 30, "worker_worker_us": 60}
"""Of Celery: µs of processor time per task at most. In the producer; in the worker of a watched producer; of an unwatched one."""

BUDGETS: tuple[Budget, ...] = (
    Budget(
        "ingest_events_per_s",
        "events per second, committed and acked: random IDs, each task told in three batches, into 10 M tasks; one connection",
        60_000,
        "more",
        "bench.ingest",
    ),
    Budget("ingest_ratio_to_raw", "of a bare upsert of the same rows, each once, into the same 10 M tasks", 0.35, "more", "bench.ingest"),
    Budget(
        "ingest_8conn_ratio_to_1conn",
        "the same with four producers and four workers on eight connections, of one",
        1.0,
        "more",
        "bench.ingest",
    ),
    Budget(
        "ingest_full_events_per_s",
        "events per second with sums, error groups and the index of words, whose lag does not grow: the same shape, one of 25 tasks fails,"
        " into 1 M tasks, in process",
        50_000,
        "more",
        "bench.ingest_full",
    ),
    Budget("ingest_full_ratio", "of the same without the three, in turns in the same run", 0.8, "more", "bench.ingest_full"),
    Budget("index_hold_p99_ms", "ms, p99 that a slice of the index of words holds the writer meanwhile", 20, "less", "bench.ingest_full"),
    Budget(
        "bytes_per_task", "bytes per finished small task, with original, indexes and the index of its words", 1_000, "less", "bench.pages"
    ),
    Budget("page_p99_ms_1m", "ms, p99 of the slowest kind of page over 1 M tasks of a day, in the server", 20, "less", "bench.pages"),
    Budget("page_p99_ms_10m", "ms, p99 of the slowest kind of page over 10 M tasks", 20, "less", "bench.pages"),
    Budget("search_text_ms_1m", "ms, p99 of the slowest kind of search for words, over 1 M tasks", 100, "less", "bench.pages"),
    Budget("search_text_ms_10m", "ms, p99 of the slowest kind of search for words, over 10 M tasks", 100, "less", "bench.pages"),
    Budget(
        "list_complete_10m",
        "of the task lists over 10 M tasks, complete within their time: the kind with the fewest",
        0.9,
        "more",
        "bench.pages",
    ),
    Budget(
        "search_rows_10m",
        "rows (median) that a search shows which few tasks match, before it stops, over 10 M tasks",
        1,
        "more",
        "bench.pages",
    ),
    Budget("command_p50_ms", "ms, p50 from click to the end of the engine call", 50, "less", "bench.commands"),
    Budget("fire_p99_ms", "ms, p99 from due to the command at an agent, 10,000 schedules in a minute", 500, "less", "bench.schedules"),
    Budget(
        "retention_keeps_up_ratio", "tasks deleted per task that arrived, 2,000 a second at the size limit", 0.98, "more", "bench.retention"
    ),
    Budget("retention_over_limit_percent", "% above the size limit at most meanwhile", 2, "less", "bench.retention"),
    Budget("retention_hold_p99_ms", "ms, p99 that a slice of retention holds the writer, commit included", 20, "less", "bench.retention"),
    Budget("start_s", "s from start to the first answer, executable", 1.0, "less", "bench.appliance"),
    Budget("idle_rss_mb", "MB resident, idle, after a sign-in and a page", 60, "less", "bench.appliance"),
    Budget("loaded_rss_mb", "MB resident at most, under full ingest", 200, "less", "bench.ingest"),
    Budget("executable_mb", "MB on disk", 45, "less", "bench.appliance"),
    Budget("page_weight_kb", "KB compressed, first page load with all assets", 60, "less", "bench.appliance"),
)

YARDSTICKS: tuple[Budget, ...] = (
    Budget("idle_unused_rss_mb", "MB resident, idle, before anybody has signed in", 0, "less", "bench.appliance"),
    Budget("ingest_empty_events_per_s", "events per second in the shape of life into an empty database", 0, "more", "bench.ingest"),
    Budget("ingest_empty_ratio_to_raw", "of a bare upsert of the same rows, there", 0, "more", "bench.ingest"),
    Budget(
        "ingest_whole_events_per_s",
        "events per second at best: rising IDs, whole lives in a batch, one name and queue, empty database",
        0,
        "more",
        "bench.ingest",
    ),
    Budget("ingest_whole_ratio_to_raw", "of a bare upsert of the same rows, there", 0, "more", "bench.ingest"),
    Budget("retention_arrival_per_s", "tasks per second that arrived meanwhile", 0, "more", "bench.retention"),
    Budget("retention_ack_p99_ms", "ms, p99 of storing a batch of 100 tasks meanwhile", 0, "less", "bench.retention"),
    Budget("retention_deleted_per_s", "tasks deleted per second when nothing arrives", 0, "more", "bench.retention"),
    Budget("fire_lost", "fires lost of 10,000 in a minute and 10,000 due at once", 0, "less", "bench.schedules"),
    Budget("fire_out_of_order", "fires that came before an earlier one, of 10,000 due at once", 0, "less", "bench.schedules"),
    Budget("fires_at_once_per_s", "fires per second, 10,000 due at once", 0, "more", "bench.schedules"),
)
"""What the same run measured of others: no budget, only something to hold the figures above against."""
