# SPDX-License-Identifier: AGPL-3.0-or-later
"""Divides the test files of a folder among processes of about equal length, and orders these.

How long a file takes, and how much of that it computes, is what it took at the last recorded run (`run.py --record`, kept in seconds.json).
A wrong figure costs time, never a test: every file is in exactly one shard, whether its time is known or not, or in PARTS shards that run a
part of its tests each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from tests.suite.folders import FOLDERS, Folder

SECONDS: Final = Path(__file__).with_name("seconds.json")
LENGTH_S: Final = 100.0
"""What a shard should take. Shorter ones spread better and start more processes: pytest takes 0.4 s of a processor, and each environment
whose programs are forked 1 s."""
LENGTHS: Final = {"tests/browser": 300.0}
"""Where a shard is longer: each process of these folders begins with a server that is filled and a Chromium, 5 s of a processor."""
UNKNOWN_S: Final = 5.0
"""What a file is expected to take that was never recorded."""
PARTS: Final = {
    "adapters/celery/tests/commands/test_operate.py": 2,
    "adapters/celery/tests/schedulers/test_schedules.py": 2,
    "adapters/celery/tests/contract/test_conformance.py": 2,
}
"""Long files of many classes or independent tests, and the number of processes that share each of them. A file whose tests use one server
after the other, as those of the demo, is not divided."""


class Taken(NamedTuple):
    """What a file took at the last recorded run."""

    seconds: float = UNKNOWN_S
    cpu_seconds: float = 0.0


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
    cpu_seconds: float = 0.0
    """Expected of a processor."""

    @property
    def name(self) -> str:
        return self.folder.name if self.of == 1 else f"{self.folder.name} {self.number}/{self.of}"


def divide(folder: Folder, files: Sequence[str], taken: Mapping[str, Taken], length: float | None = None) -> list[Shard]:
    """Each file goes, the longest first, to the shard that has least so far; each part of a file in PARTS is a shard of its own."""
    length = length or LENGTHS.get(folder.name, LENGTH_S)
    expected = {file: taken.get(file, Taken()).seconds for file in files}
    computed = {file: taken.get(file, Taken()).cpu_seconds for file in files}
    parts = [(file, number, PARTS[file]) for file in files if file in PARTS for number in range(1, PARTS[file] + 1)]
    whole = [file for file in files if file not in PARTS]
    count = max(1, min(len(whole), round(sum(expected[file] for file in whole) / length)))
    bins: list[list[str]] = [[] for _ in range(count)]
    totals = [0.0] * count
    for file in sorted(whole, key=lambda file: (-expected[file], file)):
        least = totals.index(min(totals))
        bins[least].append(file)
        totals[least] += expected[file]
    filled = [(tuple(sorted(names)), 1, "") for names in bins if names]
    filled += [((file,), of, f"{number}/{of}") for file, number, of in parts]
    return [
        Shard(
            folder, names, sum(expected[file] for file in names) / of, number, len(filled), part,
            sum(computed[file] for file in names) / of,
        )
        for number, (names, of, part) in enumerate(filled, 1)
    ]  # fmt: skip


def read_seconds() -> dict[str, Taken]:
    return {str(file): Taken(*map(float, taken)) for file, taken in json.loads(SECONDS.read_text("utf-8")).items()}


def write_seconds(taken: Mapping[str, Taken]) -> None:
    """Keeps what else is known of files that exist."""
    exists = {file for folder in FOLDERS for file in folder.files()}
    known = {file: value for file, value in {**read_seconds(), **taken}.items() if file in exists}
    lines = [f"  {json.dumps(file)}: {json.dumps([round(value, 1) for value in known[file]])}" for file in sorted(known)]
    SECONDS.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def shards_of(folders: Sequence[Folder]) -> list[Shard]:
    """All of them, in the order in which they should begin."""
    taken = read_seconds()
    return in_order([shard for folder in folders for shard in divide(folder, folder.files(), taken)])


def in_order(shards: Sequence[Shard]) -> list[Shard]:
    """The longest first, and those that compute for more than the usual share of their time spread evenly among those that wait for
    workers, servers and browsers: else there are times at which all compute, and others at which the processors are idle."""
    share = sum(shard.cpu_seconds for shard in shards) / (sum(shard.seconds for shard in shards) or 1.0)
    order: list[tuple[float, float, Shard]] = []
    for kind in (True, False):
        of_kind = [shard for shard in shards if (shard.cpu_seconds > share * shard.seconds) is kind]
        longest_first = sorted(of_kind, key=lambda shard: -shard.seconds)
        total, begun = sum(shard.seconds for shard in longest_first) or 1.0, 0.0
        for shard in longest_first:
            order.append((begun / total, -shard.seconds, shard))
            begun += shard.seconds
    return [shard for _, _, shard in sorted(order, key=lambda row: row[:2])]
