# SPDX-License-Identifier: Apache-2.0
"""Known problems of Huey configurations that can be detected in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from huey.serializer import Serializer

from z4j_agent.contract.adapter import Finding
from z4j_huey.broker_identity import HueyPart

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1", ""})


def _of_huey(huey: Any) -> Iterator[Finding]:
    if huey._immediate:
        yield Finding(
            "warning",
            "Huey's immediate mode is enabled: tasks run in the calling process, not in a consumer.",
            "Disable it outside of tests (immediate=False; Django enables it with DEBUG).",
        )
    if type(huey.serializer) is Serializer and _is_open(huey.storage):
        yield Finding(
            "warning",
            "Tasks are pickles, and this Redis has no password. Anyone who can reach it can run code in the workers.",
            "Set a Redis password, or use SignedSerializer for the Huey object.",
        )
    if hasattr(getattr(huey.storage, "lock", None), "fd"):  # one descriptor for all threads (huey/utils.py, FileLock)
        yield Finding(
            "warning",
            "In this version of Huey the threads of one process can deadlock on the folder of FileHuey.",
            "Upgrade Huey, or use SqliteHuey.",
        )
    if not huey.results:
        yield Finding(
            "warning",
            "Huey stores no results here. The outcome of a task whose end was not reported cannot be determined.",
            "Enable results (results=True), with a storage that expires them.",
        )


def _of_consumer(huey: Any, consumer: Any) -> Iterator[Finding]:
    classes = dict(huey._registry._registry)
    limited = sorted(name for name, each in classes.items() if getattr(each, "default_timeout", None))
    if limited and consumer.worker_type == "thread":
        yield Finding(
            "warning",
            f"Thread workers ignore task timeouts without an error: {_some(limited)}.",
            "Use process or greenlet workers (-k), or call task.check_timeout() inside the task.",
        )
    if huey._registry._periodic_tasks and consumer.periodic:
        yield Finding(
            "ok",
            "This consumer enqueues the periodic tasks. Every additional consumer does so too, and each task then runs several times.",
            "Start all consumers but one with --no-periodic.",
        )
    if not consumer._health_check:
        yield Finding(
            "warning",
            "The health check is disabled: a worker that dies is not replaced, and a dead scheduler stops enqueueing.",
            "Enable it (remove --disable-health-check).",
        )
    if consumer.worker_type in ("greenlet", "gevent"):
        monkey = sys.modules.get("gevent.monkey")
        if monkey is None or not monkey.is_module_patched("socket"):
            yield Finding(
                "warning",
                "Greenlets without gevent's patches run one after another: network calls block all of them.",
                "Apply the patches at startup (from gevent import monkey; monkey.patch_all()).",
            )
    path = str(getattr(huey.storage, "filename", "") or "")
    if path == ":memory:" or type(huey.storage).__name__ == "MemoryStorage":
        yield Finding(
            "warning",
            f"This storage is in the memory of process {os.getpid()}: other processes cannot use it, and it is lost with the process.",
            "Use Redis, SQLite or files.",
        )


def _is_open(storage: Any) -> bool:
    """Whether anyone who can reach this Redis can write pickles into it. A socket file has permissions of its own."""
    pool = getattr(storage, "pool", None)
    options = getattr(pool, "connection_kwargs", None)
    if options is None:
        return False
    is_local = "path" in options or str(options.get("host") or "") in _LOCAL
    return not is_local and not options.get("password") and not options.get("credential_provider")


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


class Doctor(HueyPart):
    """Findings about this process."""

    def findings(self) -> list[Finding]:
        """Findings about its Huey objects and its consumer."""
        findings: list[Finding] = []
        for state in self.serving():
            consumer = state.lifecycle.consumer
            findings += [*_of_huey(state.huey), *(_of_consumer(state.huey, consumer) if consumer is not None else ())]
        return list(dict.fromkeys(findings))
