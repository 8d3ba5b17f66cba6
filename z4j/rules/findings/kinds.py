# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every kind of finding by name, with the words that forms and lists use."""

from __future__ import annotations

from typing import Final

KINDS: Final[dict[str, str]] = {
    "error": "new, regressed or rising error",
    "failing_more": "task fails more than usual",
    "retries": "task is retried more than usual",
    "slow": "task is slower than usual",
    "quick": "task is suspiciously fast",
    "seldom": "task runs less often than usual",
    "stuck": "task may be stuck",
    "killed": "task kills its worker",
    "unregistered": "task that no worker has registered",
    "backlog": "queue grows or does not drain",
    "unserved_queue": "queue without a worker",
    "dead_letters": "dead letters are increasing",
    "unaccounted": "tasks of a queue are unaccounted for",
    "broker_loss": "the broker lost tasks",
    "missed_schedule": "schedule missed",
    "missed_schedules": "several schedules missed",
    "failed_schedule": "schedule failed to run",
    "failed_schedules": "several schedules failed to run",
    "late_schedule": "schedule ran late",
    "late_schedules": "several schedules ran late",
    "doubled_schedules": "scheduler runs twice",
    "silent_scheduler": "scheduler is not connected",
    "silent_host": "host or worker sends no heartbeat",
    "restarts": "worker keeps restarting",
    "different_workers": "workers of a queue differ",
    "clock": "clock of a host is off",
    "behind": "events arrive late",
    "dropped_events": "events were dropped",
    "refused_events": "reports were refused",
    "agent_faults": "agents had internal errors",
    "stopped_plan": "plan stopped automatically",
    "stalled_plan": "plan waits for an agent",
    "audit_alarm": "audit log was altered",
    "disk": "disk is nearly full",
    "certificate": "certificate expires",
    "backup": "backup failed or is missing",
    "retention": "retention limits are exceeded",
    "duty": "background duty is failing",
    "forwarding": "forwarding to a tool lags",
}
