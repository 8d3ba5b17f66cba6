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
    Budget("ingest_events_per_s", "events per second, one connection, committed and acked", 50_000, "more", "bench.ingest"),
    Budget(
        "ingest_ratio_to_raw",
        "of a bare executemany upsert of the same rows, same indexes",
        0.5,
        "more",
        "bench.ingest",
    ),
    Budget("ingest_8conn_ratio_to_1conn", "eight connections in total, of one", 1.0, "more", "bench.ingest"),
    Budget("bytes_per_task", "bytes per finished small task, original and indexes included", 700, "less", "bench.pages"),
    Budget("list_p99_ms_1m", "ms, p99 of a task list page over 1 M tasks, in the server", 20, "less", "bench.pages"),
    Budget("search_p99_ms_1m", "ms, p99 of a search by task name and state over 1 M tasks", 100, "less", "bench.pages"),
    Budget("command_p50_ms", "ms, p50 from click to the end of the engine call", 50, "less", "bench.commands"),
    Budget("fire_p99_ms", "ms, p99 from due to the command at an agent, 10,000 schedules in a minute", 500, "less", "bench.schedules"),
    Budget(
        "retention_keeps_up_ratio", "tasks deleted per task that arrived, 2,000 a second at the size limit", 0.98, "more", "bench.retention"
    ),
    Budget("retention_over_limit_percent", "% above the size limit at most meanwhile", 2, "less", "bench.retention"),
    Budget("retention_hold_p99_ms", "ms, p99 that a slice of retention holds the writer, commit included", 20, "less", "bench.retention"),
    Budget("start_s", "s from start to the first answer, executable", 1.0, "less", "bench.appliance"),
    Budget("idle_rss_mb", "MB resident, idle", 60, "less", "bench.appliance"),
    Budget("loaded_rss_mb", "MB resident at most, under full ingest", 200, "less", "bench.ingest"),
    Budget("executable_mb", "MB on disk", 45, "less", "bench.appliance"),
    Budget("page_weight_kb", "KB compressed, first page load with all assets", 60, "less", "bench.appliance"),
)

YARDSTICKS: tuple[Budget, ...] = (
    Budget("retention_arrival_per_s", "tasks per second that arrived meanwhile", 0, "more", "bench.retention"),
    Budget("retention_ack_p99_ms", "ms, p99 of storing a batch of 100 tasks meanwhile", 0, "less", "bench.retention"),
    Budget("retention_deleted_per_s", "tasks deleted per second when nothing arrives", 0, "more", "bench.retention"),
    Budget("fire_lost", "fires lost of 10,000 in a minute and 10,000 due at once", 0, "less", "bench.schedules"),
    Budget("fire_out_of_order", "fires that came before an earlier one, of 10,000 due at once", 0, "less", "bench.schedules"),
    Budget("fires_at_once_per_s", "fires per second, 10,000 due at once", 0, "more", "bench.schedules"),
)
"""What the same run measured of others: no budget, only something to hold the figures above against."""
