# SPDX-License-Identifier: AGPL-3.0-or-later
"""Real damage: pages of the file overwritten, no free descriptor, no room on the disk. What SQLite itself says follows from it."""

from __future__ import annotations

import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path


def overwrite(path: Path, *names: str) -> int:
    """Overwrites every page below the root of these tables and indexes (or the root, if it is the only one) with rubbish, in place.
    Returns how many. What is in the write-ahead log only is not reached: checkpoint before."""
    with closing(sqlite3.connect(path)) as db:
        (size,) = db.execute("PRAGMA page_size").fetchone()
        roots = [db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0] for name in names]
    data = path.read_bytes()
    pages = [page for root in roots for page in _children(data[(root - 1) * size : root * size]) or [root]]
    with path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * size)
            file.write(b"\xa5" * size)
        file.flush()
        os.fsync(file.fileno())
    return len(pages)


def _children(page: bytes) -> list[int]:
    """The pages below an inner page of a b-tree."""
    if page[0] not in (2, 5):
        return []
    found = [int.from_bytes(page[8:12], "big")]
    for number in range(int.from_bytes(page[3:5], "big")):
        at = int.from_bytes(page[12 + 2 * number : 14 + 2 * number], "big")
        found.append(int.from_bytes(page[at : at + 4], "big"))
    return found


@contextmanager
def no_descriptors() -> Iterator[None]:
    """No file, socket or pipe can be opened in this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd")) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, before[1]))
    taken: list[int] = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def no_room() -> Iterator[None]:
    """No file of this process may be written to: every write fails, as on a full disk (Python ignores SIGXFSZ, so it fails with EFBIG)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def fill_up(folder: Path) -> Path:
    """Fills the file system of a folder to the last byte. Returns the file that does."""
    filler = folder / "filler"
    with filler.open("wb") as file, suppress(OSError):
        while True:
            os.write(file.fileno(), b"\0" * 4096)
    with filler.open("ab") as file, suppress(OSError):
        while True:
            os.write(file.fileno(), b"\0")
    return filler
