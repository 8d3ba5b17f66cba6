# SPDX-License-Identifier: AGPL-3.0-or-later
"""The errors of a task name, a queue or a worker, for its page: those with the most stored failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from z4j.formats import plural
from z4j.store.errors import top_groups
from z4j.store.errors.top_groups import TopGroup
from z4j.store.sqlite.db import Store
from z4j.web.pages.tasks.facets import BAD_ENDS
from z4j.web.pages.tasks.filters import Filters

SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """An error with its failed tasks and its failed attempts there; the URLs list their tasks.  `release` is that of its newest failed
    task, "" if unknown."""

    group: TopGroup
    failed_href: str
    attempts_href: str
    release: str


@dataclass(frozen=True, slots=True)
class ErrorPanel:
    """What the macro `errors` shows."""

    lines: tuple[ErrorLine, ...]
    note: str
    href: str
    """The page of all errors there."""


async def panel_of(store: Store, rows: Filters, now: int) -> ErrorPanel:
    """Returns the errors of a task name or a queue, whose failures are counted."""
    groups = await top_groups.list_top(store, rows.for_store(now), SHOWN)
    if rows.name:
        groups = [group._replace(where="") for group in groups]
    return ErrorPanel(await _lines(store, groups, rows), "stored failures", rows.but(worker="").href("/errors"))


async def panel_of_worker(store: Store, rows: Filters, now: int) -> ErrorPanel:
    """Returns the errors of the newest failed tasks of a worker."""
    groups, read, is_more = await top_groups.list_top_of_worker(store, rows.for_store(now), SHOWN)
    note = f"of its newest {plural(read, 'failed task')}" if is_more else "stored failed tasks"
    return ErrorPanel(await _lines(store, groups, rows), note, rows.scope().href("/errors"))


async def _lines(store: Store, groups: Sequence[TopGroup], rows: Filters) -> tuple[ErrorLine, ...]:
    releases = await top_groups.newest_releases(store, [group.id for group in groups])
    return tuple(
        ErrorLine(
            group, rows.but(state=BAD_ENDS, error_group=str(group.id)).href(), rows.but(error_group=str(group.id)).href(),
            releases.get(group.id, ""),
        )
        for group in groups
    )  # fmt: skip
