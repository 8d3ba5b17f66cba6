# SPDX-License-Identifier: AGPL-3.0-or-later
"""Verifies the audit log row by row: MACs, checkpoints, and what is remembered of it elsewhere. Pure; the caller reads the rows.

Used for the whole log (`z4j audit verify`), and for the rows since the last checkpoint before the next one is signed.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from z4j.rules.audit.checkpoints import Checkpoint, why_not_next
from z4j.rules.audit.entries import ANY, GENESIS, AuditRow, Head, add_to_digest, sign
from z4j.rules.audit.restores import Abandoned, is_restore, names


@dataclass(frozen=True, slots=True)
class Position:
    """A point of the log up to which everything was checked: the last row's number, MAC and digest, and the last checkpoint."""

    seq: int = 0
    mac: bytes = GENESIS
    digest: bytes = GENESIS
    point: Checkpoint | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`broken_at` is the first row that cannot be trusted, 0 when all can. `heads` checkpoints were checked, and the rows up to `covered`
    are under one. `head` is the end of what can be trusted, by its MAC, and `digest` the same by its digest. `copied_at` is the time of
    the backup this log is a copy from, 0 when it is none. `restores` are the numbers of the rows that record a restored backup."""

    rows: int
    broken_at: int
    why: str
    head: Head
    digest: bytes
    heads: int
    covered: int
    copied_at: int
    restores: tuple[int, ...] = ()

    @property
    def is_intact(self) -> bool:
        """Whether no damage was found."""
        return self.broken_at == 0


@dataclass(slots=True)
class Walk:
    """`feed` rows in order, then ask `end`. `known` is what others remember; `points` are the checkpoints after `start`; `why_not_ours`
    says what is wrong with a signature, or nothing. `abandoned` are rows that restored backups abandoned: a memory of one of these
    does not contradict the log. Without it, restores are not checked."""

    keys: dict[str, bytes]
    points: list[Checkpoint]
    why_not_ours: Callable[[Checkpoint], str]
    known: Iterable[Head] = ()
    start: Position = field(default_factory=Position)
    abandoned: Abandoned | None = None
    at: Position = field(init=False)
    _why: str = field(init=False, default="")
    _broken_at: int = field(init=False, default=0)
    _next: int = field(init=False, default=0)
    _marks: dict[int, list[Head]] = field(init=False)
    _last: AuditRow | None = field(init=False, default=None)
    _restores: list[int] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.at = self.start
        if self.abandoned:
            self.known = [head for head in self.known if not any((head.seq, head.mark) in marks for marks in self.abandoned.values())]
        self._marks = {}
        for head in self.known:
            if head.seq:
                self._marks.setdefault(head.seq, []).append(head)
        self._check_points_before(self.at.seq + 1)

    def feed(self, rows: Iterable[AuditRow]) -> bool:
        """Checks more rows. False when the log is broken: more are not needed."""
        for row in rows:
            if self._why:
                return False
            self._row(row)
        return not self._why

    def end(self) -> Verdict:
        """Returns the verdict after the last row."""
        if not self._why:
            self._check_end()
        at, row = self.at, self._last
        covered = at.point.seq if at.point else 0
        copied_at = row.at if row is not None and is_copy(row, covered) else 0
        head = Head(at.seq, at.mac)
        return Verdict(at.seq, self._broken_at, self._why, head, at.digest, self._next, covered, copied_at, tuple(self._restores))

    # -- pieces --------------------------------------------------------------------------------------------------------
    def _row(self, row: AuditRow) -> None:
        expected = self.at.seq + 1
        if why := self._flaw(row, expected):
            self._break(expected, why)
            return
        digest = add_to_digest(self.at.digest, row)
        for head in self._marks.pop(row.seq, ()):
            if head.mark not in (row.mac, digest):
                self._break(row.seq, f"the row differs from the one that {_who(head)} recorded: the log was rewritten")
                return
        point = self.at.point
        if self._next < len(self.points) and self.points[self._next].seq == row.seq:
            point = self.points[self._next]
            if why := self._flaw_of_point(point, digest):
                self._break(row.seq, why)
                return
            self._next += 1
        self.at, self._last = Position(row.seq, row.mac, digest, point), row
        self._check_points_before(row.seq + 1)

    def _flaw(self, row: AuditRow, expected: int) -> str:
        if row.seq != expected:
            return f"row {expected} is missing; the next one is row {row.seq}"
        key = self.keys.get(row.key_id)
        if key is None:
            return f"it was signed with key {row.key_id}, which this server does not have"
        if not hmac.compare_digest(sign(key, self.at.mac, row), row.mac):
            return "its content, or that of an earlier row, differs from what was signed"
        return self._flaw_of_restore(row)

    def _flaw_of_restore(self, row: AuditRow) -> str:
        if self.abandoned is None or not is_restore(row):
            return ""
        self._restores.append(row.seq)
        if names(row, self.abandoned.get(row.seq, ())):
            return ""
        return "the stored list of rows that its restore abandoned differs from the signed one"

    def _flaw_of_point(self, point: Checkpoint, digest: bytes) -> str:
        if why := why_not_next(self.at.point, point):
            return why
        if point.digest != digest:
            return f"the row differs from the one that checkpoint {point.number} covers"
        return self.why_not_ours(point)

    def _check_points_before(self, seq: int) -> None:
        """Reports a checkpoint over a row that was passed already, or that does not exist."""
        if self._next < len(self.points) and self.points[self._next].seq < seq:
            point = self.points[self._next]
            before = self.at.point
            self._break(max(1, point.seq), why_not_next(before, point) or f"checkpoint {point.number} covers no additional row")

    def _check_end(self) -> None:
        seq, point = self.at.seq, self.at.point
        if unnamed := set(self.abandoned or ()) - set(self._restores):
            self._break(min(*unnamed, seq + 1), f"rows are listed as abandoned by row {min(unnamed)}, which records no restore")
            return
        if self._next < len(self.points):
            covered = self.points[-1].seq
            self._break(seq + 1, f"the log ends at row {seq}, but a checkpoint covers row {covered}: its end was removed")
            return
        number = point.number if point else 0
        for head in sorted((head for heads in self._marks.values() for head in heads), key=lambda head: -head.seq):
            if head.seq > self.start.seq:
                self._break(seq + 1, f"the log ends at row {seq}, but {_who(head)} recorded row {head.seq}: its end was removed")
                return
        by_number = {known.number: (known.seq, known.digest) for known in self.points}
        for head in self.known:
            if head.number > number:
                why = f"the last checkpoint is number {number}, but {_who(head)} recorded number {head.number}: it was removed"
                self._break((point.seq if point else 0) + 1, why)
            elif not _is_held(head, by_number):
                self._break(head.seq, f"the checkpoint over row {head.seq} that {_who(head)} recorded is not in the log")

    def _break(self, row: int, why: str) -> None:
        if not self._why:
            self._broken_at, self._why = row, why


def verify(
    rows: Iterable[AuditRow],
    keys: dict[str, bytes],
    known: Iterable[Head] = (),
    points: Iterable[Checkpoint] = (),
    why_not_ours: Callable[[Checkpoint], str] = lambda _: "",
    abandoned: Abandoned | None = None,
) -> Verdict:
    """Walks the whole log in order: see `Walk`. Checkpoints are sorted by their number."""
    walk = Walk(keys, sorted(points, key=lambda point: point.number), why_not_ours, list(known), abandoned=abandoned)
    walk.feed(rows)
    return walk.end()


def is_copy(last: AuditRow, covered: int) -> bool:
    """Whether a log that ends with this row is one that `z4j backup` copied: it ends with the row of the backup, under a checkpoint."""
    return (last.action, last.outcome, covered) == ("backup", "done", last.seq)


def _is_held(head: Head, by_number: dict[int, tuple[int, bytes]]) -> bool:
    """Whether the checkpoint that `head` was seen in is one of these; what was seen in none is compared with rows alone."""
    if head.number == ANY:
        return (head.seq, head.mark) in by_number.values()
    return not head.number or by_number.get(head.number) == (head.seq, head.mark)


def _who(head: Head) -> str:
    return head.source or "an unknown source"
