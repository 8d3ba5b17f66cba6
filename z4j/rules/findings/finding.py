# SPDX-License-Identifier: AGPL-3.0-or-later
"""Defines a finding: a sentence with numbers, its evidence, and one suggested action."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple
from urllib.parse import quote, urlencode

from z4j.rules.permissions import Needed

Level = Literal["bad", "warn", "blind"]
"""`bad`: action is required; `warn`: to be watched; `blind`: unknown, shown in gray and never as healthy."""

LEVELS: Final[dict[Level, int]] = {"bad": 2_000, "warn": 1_000, "blind": 1_500}
"""What a level adds to the weight: unknown is between the other two."""


class Scope(NamedTuple):
    """App, environment and engine of a finding, as in the filters of every page; "": any."""

    app: str = ""
    environment: str = ""
    engine: str = ""

    def holds(self, other: Scope) -> bool:
        """Whether a finding of `other` is shown under the filters of this scope."""
        return all(mine in ("", theirs) or not theirs for mine, theirs in zip(self, other, strict=True))


class Link(NamedTuple):
    """A link with its text. `needs` is the role required for the action in the text, if a weaker role may open the page."""

    text: str
    href: str
    needs: Needed = "viewer"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. Times are microseconds UTC."""

    kind: str
    """The name of the rule: letters and underscores."""
    subject: str
    """What it is about. Kind, scope and subject identify the finding while it is open."""
    level: Level
    weight: float
    """Rank among the findings of its level, 0 to 999."""
    title: str
    """The problem: the first part of a sentence."""
    text: str
    """The rest of the sentence, with numbers."""
    why: str
    """What it was compared with, and further evidence."""
    scope: Scope = Scope()
    since: int | None = None
    """None: since it was first reported."""
    action: Link | None = None
    evidence: tuple[Link, ...] = ()
    curve: tuple[float | None, ...] = ()
    """The last values, the newest last; None: unknown."""
    curve_of: str = ""
    """Description of the curve, for screen readers."""
    explains: tuple[str, ...] = ()
    """Keys of findings that this one causes and that are therefore hidden (see `causes`)."""
    found_at: int | None = None
    """None: at the evaluation that reported it."""

    @property
    def key(self) -> str:
        """Identifies the finding; stable over time."""
        return key_of(self.kind, self.scope, self.subject)

    @property
    def rank(self) -> float:
        """Sort key of findings, the largest first."""
        return LEVELS[self.level] + min(max(self.weight, 0.0), 999.0)


def key_of(kind: str, scope: Scope, subject: str) -> str:
    """Returns the key of a finding."""
    return "|".join((kind, *scope, subject))


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Sorts by rank, then by name, so that the order of equal ones is stable."""
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
