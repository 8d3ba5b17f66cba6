# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a run took: printed, and kept in docs/proof.md by `run.py --record`."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.suite.folders import FOLDERS, ROOT
from tests.suite.processes import Result
from tests.suite.processors import Ticks

PROOF: Final = ROOT / "docs/proof.md"
BEGIN: Final = "<!-- written by tests/run.py --record -->"
END: Final = "<!-- end -->"


@dataclass(frozen=True, slots=True)
class Row:
    """Of one folder, or of all."""

    name: str
    minutes: float
    """Of all its processes together."""
    cpu_minutes: float
    tests: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a run."""

    seconds: float
    ticks: Ticks
    """Of all processors in this time."""

    @property
    def busy(self) -> float:
        """The share of the processors' time that somebody used."""
        return 1 - self.ticks.idle / max(self.ticks.all, 1)


def rows_of(results: Sequence[Result]) -> list[Row]:
    """One for each folder, the longest first."""
    rows = [
        Row(
            folder.name,
            sum(result.seconds for result in results if result.folder == folder.name) / 60,
            sum(result.cpu_seconds for result in results if result.folder == folder.name) / 60,
            sum(len(result.outcomes) for result in results if result.folder == folder.name),
        )
        for folder in FOLDERS
    ]
    return sorted((row for row in rows if row.minutes), key=lambda row: -row.cpu_minutes)


def print_table(results: Sequence[Result], seconds: float, stretches: Sequence[Stretch]) -> None:
    print("\n== minutes per folder (of all its processes together), processor minutes, tests")
    rows = rows_of(results)
    for row in rows:
        print(f"{row.minutes:6.1f} {row.cpu_minutes:6.1f} {row.tests:6}  {row.name}")
    print(f"{seconds / 60:6.1f} {sum(row.cpu_minutes for row in rows):6.1f} {sum(row.tests for row in rows):6}  all")
    for stretch, what in zip(stretches, ("while processes waited for their turn", "after the last one began"), strict=False):
        print(f"{stretch.seconds / 60:6.1f} minutes {what}: the processors were {stretch.busy:.0%} busy")


def write_table(results: Sequence[Result], seconds: float, *, again: int, proof: Path = PROOF) -> None:
    """Replaces the table of the last recorded run. Raises ValueError where its place is missing."""
    text = proof.read_text("utf-8")
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    proof.write_text(text[:begin] + "\n" + table(results, seconds, again) + text[end:], "utf-8")


def table(results: Sequence[Result], seconds: float, again: int) -> str:
    """In Markdown. `again` is how many tests passed only when they were run alone."""
    rows = rows_of(results)
    failed = sum(result.count("failed") for result in results) - again
    everything = Row("all", seconds / 60, sum(row.cpu_minutes for row in rows), sum(row.tests for row in rows))
    lines = [
        f"Commit {_commit()}, {datetime.now(UTC):%Y-%m-%d}: {everything.tests:,} tests in {everything.minutes:.1f} minutes; "
        f"{failed} failed, {again} passed only at the second try.",
        "",
        "| folder | minutes | processor minutes | tests |",
        "|---|---|---|---|",
        *(f"| {row.name} | {row.minutes:.1f} | {row.cpu_minutes:.1f} | {row.tests:,} |" for row in (*rows, everything)),
    ]
    return "\n".join(lines) + "\n"


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--abbrev=8", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
