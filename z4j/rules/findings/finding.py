# SPDX-License-Identifier: AGPL-3.0-or-later
"""The shape of a finding: a sentence with its numbers, its evidence, and the one action that fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple
from urllib.parse import quote, urlencode

Level = Literal["bad", "warn", "blind"]
"""`bad`: somebody has to act; `warn`: to be watched; `blind`: not known, shown in gray and never as all right."""

LEVELS: Final[dict[Level, int]] = {"bad": 2_000, "warn": 1_000, "blind": 1_500}
"""What a level adds to the weight: what is not known comes between."""


class Scope(NamedTuple):
    """Where a finding was made, as the filters of every page; "": anywhere."""

    app: str = ""
    environment: str = ""
    engine: str = ""

    def holds(self, other: Scope) -> bool:
        """Whether something of `other` is shown under the filters of this scope."""
        return all(mine in ("", theirs) or not theirs for mine, theirs in zip(self, other, strict=True))


class Link(NamedTuple):
    """A link with its text."""

    text: str
    href: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. Times are microseconds UTC."""

    kind: str
    """The rule, a word of letters and underscores."""
    subject: str
    """What it is about: with the kind and the scope it is the same finding as long as it lasts."""
    level: Level
    weight: float
    """How much it hurts among those of its level, 0 to 999."""
    title: str
    """What is wrong, as the beginning of a sentence."""
    text: str
    """How it goes on, with its numbers."""
    why: str
    """Compared with what, and what else is known."""
    scope: Scope = Scope()
    since: int | None = None
    """None: since it was first found."""
    action: Link | None = None
    evidence: tuple[Link, ...] = ()
    curve: tuple[float | None, ...] = ()
    """The last values, the newest last; None: not known."""
    curve_of: str = ""
    """What the curve shows, for those who do not see it."""
    explains: tuple[str, ...] = ()
    """Keys of findings that are not repeated beside this one: it is their cause (see `causes`)."""

    @property
    def key(self) -> str:
        """The same for the same finding at another time."""
        return key_of(self.kind, self.scope, self.subject)

    @property
    def rank(self) -> float:
        """By which findings are sorted, the largest first."""
        return LEVELS[self.level] + min(max(self.weight, 0.0), 999.0)


def key_of(kind: str, scope: Scope, subject: str) -> str:
    """Returns the key of a finding."""
    return "|".join((kind, *scope, subject))


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Sorts by how much it hurts, then by name, so that equal ones keep their order."""
    return sorted(findings, key=lambda finding: (-finding.rank, finding.key))


def tasks_href(scope: Scope, **filters: str | tuple[str, ...]) -> str:
    """Returns the URL of a list of tasks."""
    return _href("/tasks", {**scope._asdict(), **filters})


def queue_href(scope: Scope, name: str, place: str = "") -> str:
    """Returns the URL of a queue, or of one of its sections."""
    return _href(f"/queues/{quote(name, safe='')}", {**scope._asdict(), "place": place})


def name_href(scope: Scope, name: str) -> str:
    """Returns the URL of the history of a task name."""
    return _href(f"/names/{quote(name, safe='')}", scope._asdict())


def workers_href(scope: Scope) -> str:
    """Returns the URL of the list of workers."""
    return _href("/workers", scope._asdict())


def worker_href(scope: Scope, name: str) -> str:
    """Returns the URL of a worker."""
    return _href(f"/workers/{quote(name, safe='')}", {"app": scope.app, "environment": scope.environment})


def plan_href(scope: Scope, **filters: str | tuple[str, ...]) -> str:
    """Returns the URL of the preview of a plan for the tasks of a filter."""
    return _href("/plans/new", {**scope._asdict(), **filters})


def _href(path: str, query: Mapping[str, str | tuple[str, ...]]) -> str:
    pairs = [(key, ",".join(value) if isinstance(value, tuple) else value) for key, value in query.items() if value]
    return f"{path}?{urlencode(pairs, safe=',:')}" if pairs else path
