# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores what is remembered of the audit log outside the database file, so that a database that is rolled back completely still
contradicts it.

Two files in the data folder, mode 0600:
- `audit.head`: number and MAC of the last row, replaced after each one;
- `audit.witnesses`: JSON lines, appended and synchronised to disk. `checkpoint`: it was signed, and shown to so many agents. `report`: an
  agent, a browser or `audit.head` remembered a row that the log does not hold. Compacted to the last checkpoint and every report when it
  is long.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypedDict

from z4j import files
from z4j.exceptions import StoreError
from z4j.rules.audit.checkpoints import Checkpoint
from z4j.rules.audit.entries import Head
from z4j.text import clean

HEAD: Final = "audit.head"
WITNESSES: Final = "audit.witnesses"
LONG: Final = 4_000_000
"""Bytes after which the file of witnesses is compacted: about 25,000 checkpoints."""
REPORTS: Final = 1_000
"""Reports kept: an agent that invents rows must not fill the disk."""

_log = logging.getLogger("z4j.audit")


class CheckpointLine(TypedDict):
    """A checkpoint that was signed and sent to so many `agents`. `at` is microseconds UTC, `digest` hex digits."""

    kind: Literal["checkpoint"]
    number: int
    seq: int
    at: int
    digest: str
    agents: int


class ReportLine(TypedDict):
    """A row that `source` remembers and the log does not contain. `at` is microseconds UTC, `mark` hex digits."""

    kind: Literal["report"]
    seq: int
    mark: str
    number: int
    source: str
    at: int


Line: TypeAlias = CheckpointLine | ReportLine


@dataclass(frozen=True, slots=True)
class Remembered:
    """Both files. `is_missing`: there is no file of witnesses, or no checkpoint in it. `damage` says why a file cannot be read."""

    heads: tuple[Head, ...]
    is_missing: bool
    damage: str = ""


class AuditMemory:
    """One per process and data folder. Lines are written by a thread of its own, in order."""

    def __init__(self, folder: Path) -> None:
        self._head = folder / HEAD
        self._witnesses = folder / WITNESSES
        self._thread: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._pending: Future[None] | None = None

    # -- writing -------------------------------------------------------------------------------------------------------
    def keep_head(self, head: Head) -> None:
        """Remembers the last row. A crash before this leaves an older one, which is still true."""
        files.write_whole(self._head, f"{head.seq} {head.mark.hex()}\n", durable=False)

    def keep_checkpoint(self, point: Checkpoint, agents: int) -> None:
        """Schedules a line for a committed checkpoint that was sent to `agents` agents."""
        line: CheckpointLine = {
            "kind": "checkpoint", "number": point.number, "seq": point.seq, "at": point.at, "digest": point.digest.hex(), "agents": agents,
        }  # fmt: skip
        self._soon(lambda: self._append(line))

    def keep_report(self, head: Head, at: int) -> None:
        """Schedules a line for a row that someone remembers and the log does not contain."""
        line: ReportLine = {
            "kind": "report", "seq": head.seq, "mark": head.mark.hex(), "number": head.number, "source": clean(head.source)[:200], "at": at,
        }  # fmt: skip
        self._soon(lambda: self._report(line))

    def create(self) -> bool:
        """Creates an empty file of witnesses if there is none. Returns whether there was none."""
        try:
            os.close(os.open(self._witnesses, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            return False
        return True

    def set_aside(self, heads: list[Head], at: int) -> tuple[str, str]:
        """Moves what is known to be lost into a file of its own. Returns its name and the SHA-256 of what it holds."""
        self.flush()
        lost = {(head.seq, head.mark.hex()) for head in heads}
        lines = self._lines()
        aside = [line for line in lines if _key(line) in lost]
        data = b"".join(_encoded(line) for line in aside)
        target = self._witnesses.with_name(f"{WITNESSES}.acknowledged-{at}")
        files.create_whole(target, data)
        self._replace([line for line in lines if _key(line) not in lost])
        return target.name, hashlib.sha256(data).hexdigest()

    def flush(self) -> None:
        """Waits until everything so far is on disk."""
        if self._pending is not None:
            self._pending.result()

    def close(self) -> None:
        """Writes what is left and ends the thread."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    def _soon(self, act: Callable[[], None]) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="z4j-audit")
        self._pending = self._thread.submit(_guarded, act)

    def _report(self, line: ReportLine) -> None:
        known = [(other["seq"], other["mark"]) for other in self._lines() if other["kind"] == "report"]
        if (line["seq"], line["mark"]) not in known and len(known) < REPORTS:
            self._append(line)

    def _append(self, line: Line) -> None:
        data = _encoded(line)
        fd = os.open(self._witnesses, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            size = os.fstat(fd).st_size
            if size and os.pread(fd, 1, size - 1) != b"\n":
                data = b"\n" + data  # a crash tore the last line off; a reader passes over it
            os.write(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        if size > LONG:
            self._compact()

    def _compact(self) -> None:
        lines = self._lines()
        last = [line for line in lines if line["kind"] == "checkpoint"][-1:]
        self._replace([line for line in lines if line["kind"] == "report"] + last)

    def _replace(self, lines: list[Line]) -> None:
        files.write_whole(self._witnesses, b"".join(_encoded(line) for line in lines))

    # -- reading -------------------------------------------------------------------------------------------------------
    def kept_head(self) -> Head | None:
        """Returns the last row that this installation remembers, or None. Raises StoreError if the file is damaged."""
        try:
            seq, _, mark = self._head.read_text().partition(" ")
            head = Head(int(seq), bytes.fromhex(mark.strip()), 0, HEAD)
            if head.seq < 1 or len(head.mark) != 32:
                raise ValueError(seq)
            return head
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StoreError(f"{self._head} is damaged.", "Verify against a checkpoint kept elsewhere (--head).") from error

    def last_checkpoint(self) -> Head | None:
        """Returns the last checkpoint in the file of witnesses, or None."""
        checkpoints = [line for line in self._lines() if line["kind"] == "checkpoint"]
        return _head_of(checkpoints[-1]) if checkpoints else None

    def own_heads(self) -> list[Head]:
        """Returns the last row and the checkpoints that this installation wrote itself, without what others reported. Raises StoreError."""
        heads = [_head_of(line) for line in self._lines() if line["kind"] == "checkpoint"]
        return heads if (kept := self.kept_head()) is None else [*heads, kept]

    def remembered(self) -> Remembered:
        """Returns the content of both files: the last row, the last checkpoint, every earlier checkpoint, and every report."""
        heads, damage, is_missing = [], "", True
        try:
            if (kept := self.kept_head()) is not None:
                heads.append(kept)
        except StoreError as error:
            damage = error.message
        try:
            lines = [_head_of(line) for line in self._lines(is_strict=True)]
            is_missing = not any(head.number and head.source == WITNESSES for head in lines)
            heads += lines
        except ValueError as error:
            damage = f"{self._witnesses} is damaged: {error}."
        return Remembered(tuple(heads), is_missing, damage)

    def _lines(self, *, is_strict: bool = False) -> list[Line]:
        """Whole lines. A torn last one is passed over; any other that cannot be read is damage (`is_strict`). Raises ValueError."""
        try:
            data = self._witnesses.read_bytes()
        except FileNotFoundError:
            return []
        lines = list[Line]()
        for number, text in enumerate(data.split(b"\n")[:-1], 1):
            try:
                line: Line = json.loads(text)
                _head_of(line)
                lines.append(line)
            except (ValueError, KeyError, TypeError) as error:
                if is_strict and not _is_torn(text):
                    raise ValueError(f"line {number} cannot be read") from error
        return lines


def _head_of(line: Line) -> Head:
    if line["kind"] == "checkpoint":
        return Head(int(line["seq"]), bytes.fromhex(line["digest"]), int(line["number"]), WITNESSES)
    if line["kind"] == "report":
        return Head(int(line["seq"]), bytes.fromhex(line["mark"]), int(line["number"]), str(line["source"]))
    raise ValueError("unknown kind")


def _key(line: Line) -> tuple[int, str]:
    head = _head_of(line)
    return head.seq, head.mark.hex()


def _encoded(line: Line) -> bytes:
    return (json.dumps(line, ensure_ascii=True, separators=(",", ":")) + "\n").encode("ascii")


def _is_torn(text: bytes) -> bool:
    """Whether a line is the beginning of one, as a crash leaves it; the next one was written after it."""
    start = b'{"kind":"'
    return not text.endswith(b"}") and (text.startswith(start) or start.startswith(text))


def _guarded(act: Callable[[], None]) -> None:
    try:
        act()
    except OSError as error:  # a full disk: the log itself is committed, and an older line is as true
        _log.error("audit.head or audit.witnesses could not be written: %s", error)
