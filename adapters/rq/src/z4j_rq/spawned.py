# SPDX-License-Identifier: Apache-2.0
"""What a spawned work horse loads first. It inherits nothing but the environment; RQ 3 hands it the worker's exception handlers by name,
so a handler of ours has this module imported there before the task's own are.
"""

from __future__ import annotations

import os
from typing import Any

import z4j_rq

BOOT = "Z4J_RQ_WORKER"
"""Environment of a spawned horse: the run of its worker, "<boot>.<pid>". A task's subprocesses inherit it too, but have another parent."""


def parent_boot() -> str:
    """The boot of the worker that spawned this very process, "" where none did."""
    boot, _, pid = os.environ.get(BOOT, "").rpartition(".")
    return boot if pid == str(os.getppid()) else ""


def pass_on(job: Any, *_error: Any) -> bool:
    """An exception handler that leaves everything to the next."""
    return True


if parent_boot():
    z4j_rq.install()
