# SPDX-License-Identifier: Apache-2.0
"""How a work horse that was spawned, not forked, knows its worker, and how `spawned` installs us in it. Imports nothing of this package."""

from __future__ import annotations

import os
from collections.abc import Callable

BOOT = "Z4J_RQ_WORKER"
"""Environment of a spawned horse: the run of its worker, "<boot>.<pid>". A task's subprocesses inherit it too, but have another parent."""
installers: list[Callable[[], None]] = []
"""The package's `install`, which puts itself here."""


def parent_boot() -> str:
    """The boot of the worker that spawned this very process, "" where none did."""
    boot, _, pid = os.environ.get(BOOT, "").rpartition(".")
    return boot if pid == str(os.getppid()) else ""
