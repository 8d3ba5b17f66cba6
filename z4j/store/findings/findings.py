# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores when findings began and ended, and muted findings. Written only when something begins, worsens or ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from z4j.rules.findings.finding import LEVELS, Finding, Scope
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("findings/findings")
SOME: Final = 100
KEPT: Final = 10_000
"""Findings that are over and kept, however many begin and end again."""


class OpenFinding(NamedTuple):
    """A finding that lasts: since when, when it was first seen (microseconds UTC), and its worst level."""

    began_at: int
    found_at: int
    level: str


@dataclass(frozen=True, slots=True)
class EndedFinding:
    """A finding that has ended. Times are microseconds UTC."""

    key: str
    kind: str
    scope: Scope
    subject: str
    level: str
    title: str
    text: str
    began_at: int
    ended_at: int


class Muted(NamedTuple):
    """A muted finding: a kind of finding about a subject; an empty field is any."""

    kind: str
    scope: Scope
    subject: str
    muted_by: str
    reason: str
    at: int

    def holds(self, finding: Finding) -> bool:
        """Whether the finding is muted."""
        return self.kind == finding.kind and self.scope.holds(finding.scope) and self.subject in ("", finding.subject)


async def list_open(store: Store) -> dict[str, OpenFinding]:
    """Returns the findings that last, by key."""
    return {key: OpenFinding(*rest) for key, *rest in await store.fetch_all(SQL["list_open"])}


def save(db: Connection, begun: Iterable[Finding], worse: Iterable[Finding], ended: Iterable[str], at: int) -> None:
    """Stores which findings began, have a worse level, and ended (their keys) at a time in microseconds UTC."""
    for finding in begun:
        params = {
            "key": finding.key, "kind": finding.kind, **finding.scope._asdict(), "subject": finding.subject, "level": finding.level,
            "title": finding.title, "text": finding.text, "at": at if finding.since is None else min(finding.since, at),
            "found_at": finding.found_at or at,
        }  # fmt: skip
        db.execute(SQL["begin"], params)
    for finding in worse:
        db.execute(SQL["worsen"], {"key": finding.key, "level": finding.level})
    for key in ended:
        db.execute(SQL["end"], {"key": key, "at": at})


def is_worse(level: str, than: str) -> bool:
    """Whether a level is worse than another."""
    ranks: dict[str, int] = {str(name): rank for name, rank in LEVELS.items()}
    return ranks.get(level, 0) > ranks.get(than, 0)


async def list_ended(store: Store, since: int, limit: int = 50) -> list[EndedFinding]:
    """Lists the findings that ended since a time in microseconds UTC, the last one first."""
    rows = await store.fetch_all(SQL["list_ended"], {"since": since, "limit": limit})
    return [EndedFinding(row[0], row[1], Scope(*row[2:5]), *row[5:]) for row in rows]


def delete_old(db: Connection, before: int) -> bool:
    """Deletes some findings that ended before a time, or before `KEPT` others. Returns whether there may be more."""
    old = db.execute(SQL["delete_old"], {"before": before, "limit": SOME}).rowcount
    return max(old, db.execute(SQL["delete_beyond"], {"kept": KEPT, "limit": SOME}).rowcount) == SOME


async def list_muted(store: Store) -> list[Muted]:
    """Lists muted findings."""
    return [Muted(row[0], Scope(*row[1:4]), *row[4:]) for row in await store.fetch_all(SQL["list_muted"])]


def mute(db: Connection, muted: Muted) -> None:
    """Mutes a kind of finding about a subject."""
    db.execute(SQL["mute"], {**muted._asdict(), **muted.scope._asdict()} | {"scope": None})


def unmute(db: Connection, kind: str, scope: Scope, subject: str) -> bool:
    """Removes what was muted. Returns whether there was something."""
    return bool(db.execute(SQL["unmute"], {"kind": kind, **scope._asdict(), "subject": subject}).rowcount)
