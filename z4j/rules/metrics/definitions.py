# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every metric of /metrics: name, type, labels and meaning. The document and the Grafana board are tested against this table.

Durations and times are seconds, sizes are bytes. A counter starts at 0 with the server.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]
TASK: Final = ("app", "environment", "engine", "queue", "task")
QUEUE: Final = ("app", "environment", "engine", "queue", "broker")


class Metric(NamedTuple):
    """One metric. A counter's samples have the suffix `_total`, which `name` contains."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str


METRICS: Final[tuple[Metric, ...]] = (
    Metric("z4j_build_info", "gauge", ("version",), "1, with the version of the server."),
    Metric("z4j_start_time_seconds", "gauge", (), "When the server started (Unix time)."),
    Metric("z4j_tasks", "gauge", (*TASK, "state"), "Stored tasks by state. Retention deletes finished ones."),
    Metric("z4j_tasks_enqueued_total", "counter", TASK, "Tasks enqueued, as reported by producers."),
    Metric("z4j_tasks_started_total", "counter", TASK, "Tasks started."),
    Metric("z4j_task_retries_total", "counter", TASK, "Attempts after the first one."),
    Metric("z4j_tasks_ended_total", "counter", (*TASK, "state"), "Tasks that ended in a final state."),
    Metric("z4j_task_wait_seconds", "histogram", TASK[:4], "From enqueue (or its ETA) to start, by queue."),
    Metric("z4j_task_runtime_seconds", "histogram", (*TASK[:3], "task"), "Runtime of the attempt that determined the state, by task name."),
    Metric("z4j_queue_depth", "gauge", QUEUE, "Tasks in the queue, as reported by its broker."),
    Metric("z4j_queue_oldest_age_seconds", "gauge", QUEUE, "Age of the oldest task in the queue, if the broker reports it."),
    Metric("z4j_queue_delayed_tasks", "gauge", QUEUE, "Tasks with a later due time in the broker."),
    Metric("z4j_queue_dead_tasks", "gauge", QUEUE, "Dead letters of the queue."),
    Metric("z4j_queue_consumers", "gauge", QUEUE, "Consumers of the queue, if the broker reports them."),
    Metric("z4j_agents_connected", "gauge", ("app", "environment", "role"), "Connected processes with an agent."),
    Metric("z4j_agents_silent", "gauge", (), "Processes of the last 24 hours that disconnected without reporting a shutdown."),
    Metric("z4j_schedules", "gauge", ("app", "environment", "last_run"), "Schedules by their last due run: on time, late, missed, failed."),
    Metric("z4j_findings", "gauge", ("kind", "level"), "Findings on the page Now."),
    Metric("z4j_alerts_firing", "gauge", ("severity",), "Alerts that have fired and are not resolved."),
    Metric("z4j_ingest_batches_total", "counter", (), "Batches of agents that were stored."),
    Metric("z4j_ingest_bytes_total", "counter", (), "Bytes of these batches."),
    Metric("z4j_ingest_records_total", "counter", (), "Valid records in these batches."),
    Metric("z4j_ingest_refused_total", "counter", (), "Records that were refused."),
    Metric("z4j_ingest_lag_seconds", "gauge", ("app",), "Age of the newest record in the last batch at its commit (compares two clocks)."),
    Metric("z4j_writer_waiting_jobs", "gauge", (), "Jobs that wait for the database writer."),
    Metric("z4j_writer_commit_seconds", "gauge", (), "Duration of the last commit."),
    Metric("z4j_database_bytes", "gauge", (), "Bytes in use in the database."),
    Metric("z4j_database_limit_bytes", "gauge", (), "Size limit of the database (--gigabytes-kept)."),
    Metric("z4j_disk_free_bytes", "gauge", (), "Free bytes on the disk of the data folder."),
    Metric("z4j_backup_last_success_timestamp_seconds", "gauge", (), "When the last verified backup was made (Unix time)."),
    Metric("z4j_certificate_expiry_timestamp_seconds", "gauge", (), "When the server's own certificate expires (Unix time)."),
    Metric("z4j_audit_altered", "gauge", (), "1 if the audit log was altered, else 0."),
    Metric("z4j_duty_failing", "gauge", ("duty",), "1 if a background duty fails or has stalled, else 0."),
    Metric("z4j_forwarding_waiting_rows", "gauge", ("target", "stream"), "Rows that a target of forwarding has not received yet."),
    Metric("z4j_forwarding_sent_total", "counter", ("target",), "Rows that a target has received since it was added."),
    Metric("z4j_forwarding_last_sent_timestamp_seconds", "gauge", ("target",), "When a target last received something (Unix time)."),
    Metric("z4j_forwarding_failing", "gauge", ("target",), "1 if the last attempt to reach a target failed, else 0."),
    Metric("z4j_metrics_hidden_label_sets", "gauge", (), "Label sets that are added up as “others” because of --metrics-series."),
)  # fmt: skip
BY_NAME: Final = {metric.name: metric for metric in METRICS}


def as_table() -> str:
    """Returns the table of the document docs/metrics.md."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    lines += [f"| `{each.name}` | {each.kind} | {', '.join(f'`{label}`' for label in each.labels)} | {each.help} |" for each in METRICS]
    return "\n".join(lines) + "\n"
