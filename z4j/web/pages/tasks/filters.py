# SPDX-License-Identifier: AGPL-3.0-or-later
"""The filters of the task list: in the URL, as typed text, and for the store. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final
from urllib.parse import urlencode

from z4j.exceptions import BadInput
from z4j.formats import when
from z4j.rules.tasks.states import STATES
from z4j.store.tasks.tasks import TaskFilter

_TYPED: Final = {
    "state": "state", "name": "name", "task": "name", "queue": "queue", "engine": "engine", "worker": "worker",
    "app": "app", "env": "environment", "environment": "environment", "since": "since", "until": "until", "id": "task_id",
    "task_id": "task_id", "label": "label",
}  # fmt: skip
_WORD: Final = re.compile(r'(?:([a-z_]+):)?(?:"([^"]*)"|(\S+))')
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters as text. Times are stored as written (`1h`), so that a URL keeps its meaning."""

    state: tuple[str, ...] = ()
    name: str = ""
    queue: str = ""
    engine: str = ""
    worker: str = ""
    app: str = ""
    environment: str = ""
    since: str = ""
    until: str = ""
    task_id: str = ""
    label: str = ""

    @property
    def is_any(self) -> bool:
        """Whether there is no filter."""
        return self == Filters()

    def pairs(self) -> list[tuple[str, str]]:
        """Returns (name, value) for a query string in a fixed order, so that equal filters have equal URLs."""
        values = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return [(name, ",".join(value) if isinstance(value, tuple) else value) for name, value in values if value]

    def href(self, path: str = "/tasks", **more: str | int | None) -> str:
        """Returns a URL with these filters and `more` (a cursor)."""
        extra = [(name, str(value)) for name, value in more.items() if value is not None]
        query = urlencode(self.pairs() + extra, safe=",:")
        return f"{path}?{query}" if query else path

    def but(self, **changes: str | tuple[str, ...]) -> Filters:
        """Returns these filters with `changes`."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def scope(self) -> Filters:
        """Returns only the filters that apply to every page."""
        return Filters(engine=self.engine, app=self.app, environment=self.environment)

    def text(self) -> str:
        """Returns the text of the query box."""
        short = {"environment": "env", "task_id": "id"}
        return " ".join(f"{short.get(name, name)}:{_quoted(value)}" for name, value in self.pairs())

    def for_store(self, now: int) -> TaskFilter:
        """Returns the filter of the store; `1h` is an hour before `now`. Raises BadInput for a time that cannot be parsed."""
        return TaskFilter(
            states=self.state, name=self.name, queue=self.queue, engine=self.engine, worker=self.worker, app=self.app,
            environment=self.environment, since=_time(self.since, now), until=_time(self.until, now), task_id=self.task_id,
            label=self.label,
        )  # fmt: skip


def from_query(query: Mapping[str, str], states: Sequence[str]) -> Filters:
    """Parses a query string; `states` are all its `state` values, repeated or joined by commas. Raises BadInput."""
    wanted = tuple(dict.fromkeys(part for value in states for part in value.split(",") if part))
    for state in wanted:
        if state not in STATES:
            raise BadInput(f"Unknown state “{state[:40]}”.", f"Use one of {', '.join(STATES)}.")
    names = [field.name for field in fields(Filters) if field.name != "state"]
    return Filters(wanted, **{name: query.get(name, "").strip()[:1_000] for name in names})


def from_text(text: str) -> Filters:
    """Parses typed text: `state:failed queue:emails since:1h`; a bare word is a task ID or a task name."""
    values: dict[str, str] = {}
    for key, quoted, plain in _WORD.findall(text[:2_000]):
        value = quoted or plain
        name = _TYPED.get(key)
        if name is None:
            value = f"{key}:{value}" if key else value
            name = "task_id" if _UUID.fullmatch(value) else "state" if value in STATES else "name"
        values[name] = f"{values[name]},{value}" if name == "state" and "state" in values else value
    return from_query(values, [values.get("state", "")])


def _quoted(value: str) -> str:
    return f'"{value}"' if " " in value else value


def _time(text: str, now: int) -> int | None:
    if not text:
        return None
    try:
        return when(text, now)
    except (ValueError, OverflowError):
        raise BadInput(f"“{text[:40]}” is not a valid time.", "Use 15m, 24h, 7d, or a date like 2026-11-23 or 2026-11-23T05:15Z.") from None
