# SPDX-License-Identifier: Apache-2.0
"""Identifies the worker of a work horse that was spawned, not forked, and lets `spawned` install z4j in it. Imports nothing of this
package."""

from __future__ import annotations

import os
from collections.abc import Callable

BOOT = "Z4J_RQ_WORKER"
"""Environment of a spawned horse: the process token of its worker, "<boot>.<pid>". A task's subprocesses inherit it too, but have
another parent."""
installers: list[Callable[[], None]] = []
"""The package's `install`, which registers itself here."""


def parent_boot() -> str:
    """The boot of the worker that spawned this process, "" if none did."""
    boot, _, pid = os.environ.get(BOOT, "").rpartition(".")
    return boot if pid == str(os.getppid()) else ""
