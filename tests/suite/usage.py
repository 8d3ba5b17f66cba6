# SPDX-License-Identifier: AGPL-3.0-or-later
"""A pytest plugin that writes which file took how many processor seconds: `-p tests.suite.usage --usage FILE`. Runs in every environment.

Counted are the process of pytest and all processes below it, those that still run and those that were waited for. A process that outlives
its parent is not counted. FILE receives one line for each test file: its seconds, and its path below the root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

TICKS: Final = os.sysconf("SC_CLK_TCK")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--usage", help="where the processor seconds of each file are written")


class Usage:
    """Looks at the processes after the last test of each file, when the fixtures of its module have ended."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._before = 0.0

    def pytest_collection_finish(self) -> None:
        self._before = processor_seconds(os.getpid())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
        result = yield
        if nextitem is None or nextitem.path != item.path:
            now = processor_seconds(os.getpid())
            with self._file.open("a") as file:
                file.write(f"{now - self._before:.2f} {os.path.relpath(item.path, item.config.invocation_params.dir)}\n")
            self._before = now
        return result


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Usage(Path(str(config.getoption("--usage")))))


def processor_seconds(root: int, proc: Path = Path("/proc")) -> float:
    """Of a process and all below it. Their fields are those of proc(5): parent, and user and system time of itself and of its children."""
    parents, ticks = dict[int, int](), dict[int, int]()
    for path in proc.glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        pid = int(path.parent.name)
        parents[pid], ticks[pid] = int(fields[1]), sum(map(int, fields[11:15]))
    children = dict[int, list[int]]()
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    below = [root]
    for pid in below:
        below += children.get(pid, ())
    return sum(ticks.get(pid, 0) for pid in below) / TICKS
