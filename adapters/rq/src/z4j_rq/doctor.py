# SPDX-License-Identifier: Apache-2.0
"""Known problems of RQ configurations that can be detected in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rq.serializers import DefaultSerializer
from rq.worker import SimpleWorker

from z4j_agent.contract.adapter import Finding
from z4j_rq.queues import RqPart

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1", ""})


def _of_worker(worker: Any) -> Iterator[Finding]:
    if worker.serializer is DefaultSerializer and _is_open(worker.connection):
        yield Finding(
            "warning",
            "Jobs are pickles, and this Redis has no password. Anyone who can reach it can run code in the workers.",
            "Set a Redis password, or use JSONSerializer for queues and workers.",
        )
    if isinstance(worker, SimpleWorker):
        yield Finding(
            "warning",
            "This worker runs tasks in its own process: a task that crashes ends the worker, and a running task cannot be stopped.",
            "Use a worker that forks, unless a process for every task is too expensive.",
        )
    if worker.default_result_ttl == 0:
        yield Finding(
            "warning",
            "RQ stores no results here. The outcome of a task whose end was not reported cannot be determined.",
            "Keep results for a few minutes (--results-ttl).",
        )
    if getattr(worker, "disable_default_exception_handler", False):
        yield Finding(
            "warning",
            "RQ's own exception handler is disabled: failed jobs are in no registry, only in z4j.",
            "Enable it, and add your handler to it.",
        )


def _is_open(connection: Any) -> bool:
    """Whether anyone who can reach this Redis can write pickles into it. A socket file has permissions of its own."""
    options = connection.connection_pool.connection_kwargs
    is_local = "path" in options or str(options.get("host") or "") in _LOCAL
    return not is_local and not options.get("password") and not options.get("credential_provider")


class Doctor(RqPart):
    """Findings about this process."""

    def findings(self) -> list[Finding]:
        """Findings about the workers of this process and the Redis that they use."""
        findings = (finding for worker in self.state.workers() for finding in _of_worker(worker))
        return list(dict.fromkeys(findings))
