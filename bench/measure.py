# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads of /proc and small statistics that the benchmarks share."""

from __future__ import annotations

import statistics
from pathlib import Path


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024


def tree(pid: int) -> list[int]:
    """The process and all its descendants that live now."""
    found = [pid]
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += tree(int(child))
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        pass
    return found


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def median(values: list[float]) -> float:
    return statistics.median(values)
