# SPDX-License-Identifier: AGPL-3.0-or-later
"""The filters of the list of errors, in its URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from urllib.parse import urlencode

from z4j.exceptions import BadInput
from z4j.rules.errors.group_states import GROUP_STATES, OPEN
from z4j.store.errors.error_groups import ErrorFilter
from z4j.web.pages.tasks.filters import UrlFilters


@dataclass(frozen=True, slots=True)
class ErrorFilters(UrlFilters):
    """The filters as text. No state means those that are open."""

    state: tuple[str, ...] = ()
    name: str = ""
    queue: str = ""
    engine: str = ""
    app: str = ""
    environment: str = ""
    assigned: str = ""

    def but(self, **changes: str | tuple[str, ...]) -> ErrorFilters:
        """Returns these filters with `changes`."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def href(self, path: str = "/errors", **more: str) -> str:
        """Returns a URL with these filters and `more` (a cursor)."""
        query = urlencode([*self.pairs(), *more.items()], safe=",:")
        return f"{path}?{query}" if query else path

    def for_store(self) -> ErrorFilter:
        """Returns the filter of the store."""
        return ErrorFilter(
            states=self.state or OPEN, app=self.app, environment=self.environment, engine=self.engine, queue=self.queue, name=self.name,
            assigned=self.assigned,
        )  # fmt: skip


def from_query(query: Mapping[str, str], states: Sequence[str]) -> ErrorFilters:
    """Parses a query string; `states` are all its `state` values, repeated or joined by commas. Raises BadInput."""
    wanted = tuple(dict.fromkeys(part for value in states for part in value.split(",") if part))
    for state in wanted:
        if state not in GROUP_STATES:
            raise BadInput(f"Unknown state “{state[:40]}”.", f"Use one of {', '.join(GROUP_STATES)}.")
    names = [field.name for field in fields(ErrorFilters) if field.name != "state"]
    return ErrorFilters(wanted, **{name: query.get(name, "").strip()[:1_000] for name in names})
