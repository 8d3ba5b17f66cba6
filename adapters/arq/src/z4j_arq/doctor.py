# SPDX-License-Identifier: Apache-2.0
"""Known problems of arq configurations that can be detected in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from z4j_agent.contract.adapter import Finding
from z4j_arq.queues import ArqPart, brokers_by_queue

LONG_CLAIM_S = 900.0
SHORT_WAIT_MS = 3_600_000
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1", ""})


def _of_worker(worker: Any) -> Iterator[Finding]:
    functions = list(worker.functions.items())
    once = [name for name, each in functions if (worker.max_tries if each.max_tries is None else each.max_tries) == 1]
    if once and not getattr(worker, "_job_completion_wait", 0):
        yield Finding(
            "warning",
            f"A worker that stops cancels its running jobs at once. Jobs with a single try are then lost: {_some(once)}.",
            "Let it finish first (job_completion_wait), or allow a second try (max_tries; the default for cron jobs is one).",
        )
    if worker.in_progress_timeout_s > LONG_CLAIM_S:
        yield Finding(
            "warning",
            f"A job of a killed worker runs again only after {worker.in_progress_timeout_s:g} s: the longest time limit plus 10 s.",
            "Run the few long functions, with their own limit, on a separate worker and queue.",
        )
    if not worker.retry_jobs:
        yield Finding(
            "warning",
            "retry_jobs is disabled: jobs that a stopping worker cancels fail, and Retry counts as a failure.",
            "Enable retry_jobs, and set max_tries=1 where a job must not run twice.",
        )
    if 0 < worker.expires_extra_ms < SHORT_WAIT_MS:
        yield Finding(
            "warning",
            f"A job expires {worker.expires_extra_ms / 1000:g} s after its scheduled time, and arq stores no record of it.",
            "Raise expires_extra_ms, here and in create_pool.",
        )
    everywhere = [job.name for job in worker.cron_jobs if not job.unique and not job.job_id]
    if everywhere:
        yield Finding(
            "warning",
            f"Each worker of this queue runs its own copy of these cron jobs: {_some(everywhere)}.",
            "Enable unique, unless that is intended.",
        )
    if not worker.keep_result_s and not worker.keep_result_forever:
        yield Finding(
            "warning",
            "arq stores no results here. The outcome of a task whose end was not reported cannot be determined.",
            "Keep results for a few minutes (keep_result).",
        )


def _is_open(broker: Any) -> bool:
    """Whether anyone who can reach this Redis can write pickles into it. A socket file has permissions of its own."""
    options = broker.settings
    is_local = "path" in options or str(options.get("host") or "") in _LOCAL
    return broker.deserializer is None and not is_local and not options.get("password") and not options.get("credential_provider")


def _some(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


class Doctor(ArqPart):
    """Findings about this process."""

    def findings(self) -> list[Finding]:
        """Findings about the workers of this process and their Redis."""
        findings = [finding for worker in list(self.state.workers) for finding in _of_worker(worker)]
        if any(_is_open(broker) for broker in brokers_by_queue(self.state).values()):
            findings.append(
                Finding(
                    "warning",
                    "Jobs are pickles, and this Redis has no password. Anyone who can reach it can run code in the workers.",
                    "Set a Redis password, or use a serializer other than pickle (job_serializer, job_deserializer).",
                )
            )
        return findings
