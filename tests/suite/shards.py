# SPDX-License-Identifier: AGPL-3.0-or-later
"""Divides the test files of a folder among processes of about equal length, and orders these: the longest first.

How long a file takes is what it took at the last recorded run (`run.py --record`, kept in seconds.json). A wrong figure costs time, never a
test: every file is in exactly one shard, whether its time is known or not, or in PARTS shards that run a part of its tests each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.suite.folders import FOLDERS, Folder

SECONDS: Final = Path(__file__).with_name("seconds.json")
LENGTH_S: Final = 75.0
"""What a shard should take. Shorter ones spread better and start more processes, of a second each."""
UNKNOWN_S: Final = 5.0
"""What a file is expected to take that was never recorded."""
PARTS: Final = {
    "tests/browser/test_pages.py": 3,
    "adapters/celery/tests/commands/test_operate.py": 2,
    "adapters/celery/tests/schedulers/test_schedules.py": 2,
    "adapters/celery/tests/contract/test_conformance.py": 2,
}
"""Long files of many classes or independent tests, and the number of processes that share each of them. A file whose tests use one server
after the other, as those of the demo, is not divided."""


@dataclass(frozen=True, slots=True)
class Shard:
    folder: Folder
    files: tuple[str, ...]
    """Below the root, in the order they are run."""
    seconds: float
    """Expected, from when its files were recorded."""
    number: int = 1
    of: int = 1
    part: str = ""
    """Which part of its only file, as `2/3`; "" for all of it."""

    @property
    def name(self) -> str:
        return self.folder.name if self.of == 1 else f"{self.folder.name} {self.number}/{self.of}"


def divide(folder: Folder, files: Sequence[str], seconds: Mapping[str, float], length: float = LENGTH_S) -> list[Shard]:
    """Each file goes, the longest first, to the shard that has least so far; each part of a file in PARTS is a shard of its own."""
    expected = {file: seconds.get(file, UNKNOWN_S) for file in files}
    parts = [(file, number, PARTS[file]) for file in files if file in PARTS for number in range(1, PARTS[file] + 1)]
    whole = [file for file in files if file not in PARTS]
    count = max(1, min(len(whole), round(sum(expected[file] for file in whole) / length)))
    bins: list[list[str]] = [[] for _ in range(count)]
    totals = [0.0] * count
    for file in sorted(whole, key=lambda file: (-expected[file], file)):
        least = totals.index(min(totals))
        bins[least].append(file)
        totals[least] += expected[file]
    filled = [(tuple(sorted(names)), total, "") for names, total in zip(bins, totals, strict=True) if names]
    filled += [((file,), expected[file] / of, f"{number}/{of}") for file, number, of in parts]
    return [
        Shard(folder, names, total, number, len(filled), part) for number, (names, total, part) in enumerate(filled, 1)
    ]  # fmt: skip


def read_seconds() -> dict[str, float]:
    return {str(file): float(taken) for file, taken in json.loads(SECONDS.read_text("utf-8")).items()}


def write_seconds(taken: Mapping[str, float]) -> None:
    """Keeps what else is known of files that exist."""
    exists = {file for folder in FOLDERS for file in folder.files()}
    known = {file: value for file, value in {**read_seconds(), **taken}.items() if file in exists}
    lines = [f"  {json.dumps(file)}: {round(known[file], 1)}" for file in sorted(known)]
    SECONDS.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def shards_of(folders: Sequence[Folder]) -> list[Shard]:
    """All of them, the longest first."""
    seconds = read_seconds()
    all_of_them = [shard for folder in folders for shard in divide(folder, folder.files(), seconds)]
    return sorted(all_of_them, key=lambda shard: -shard.seconds)
