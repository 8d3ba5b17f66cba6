# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads of /proc and small statistics that the benchmarks share."""

from __future__ import annotations

import os
import statistics
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


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


def cpu_s(pids: list[int]) -> float:
    """User and system seconds these processes have used."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def family_cpu_s(pid: int) -> float:
    """User and system seconds of a process, of its living descendants, and of those they have waited for."""
    total = 0
    for each in tree(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(") ")[2].split()
        except FileNotFoundError:  # it ended while we counted; its parent has its time
            continue
        total += sum(int(field) for field in fields[11:15])
    return total / TICKS


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def median(values: list[float]) -> float:
    return statistics.median(values)
