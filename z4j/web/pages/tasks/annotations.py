# SPDX-License-Identifier: AGPL-3.0-or-later
"""What attempts report about themselves, as pages show it: the bar of progress, annotations that can be searched, and links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from z4j.formats import number, percent
from z4j.rules.queries.query import Query, Term, format_query, is_path
from z4j.rules.tasks.link_templates import LinkTemplate, fill
from z4j.store.annotations.attempt_annotations import AttemptNotes, Progress
from z4j.store.tasks.tasks import TaskDetail
from z4j.web.pages.tasks.filters import Filters
from z4j_agent.wire.redaction import MASK

MAX_BAR: Final = 1_000
ID_WORDS: Final = (("trace_id", "trace"), ("sentry_event_id", "Sentry event"))


@dataclass(frozen=True, slots=True)
class ProgressBar:
    """Of `of` parts `value` are done; `of` is 0 where the total is not known. `words` say the same."""

    value: int
    of: int
    words: str


@dataclass(frozen=True, slots=True)
class Field:
    """An annotation or an id. `href` lists the tasks that have it, empty where it cannot be searched for."""

    name: str
    value: str
    href: str


@dataclass(frozen=True, slots=True)
class NotesOfAttempt:
    """The notes of one attempt. `attempt` counts from 1."""

    attempt: int
    fields: tuple[Field, ...]
    excess: int
    progress: ProgressBar | None


@dataclass(frozen=True, slots=True)
class ToolLink:
    """A link to another tool."""

    name: str
    href: str


def bar_of(progress: Progress | None) -> ProgressBar | None:
    """Returns the bar of a progress."""
    if progress is None:
        return None
    parts = [number(progress.done)]
    value = of = 0
    if progress.total is not None and progress.total > 0:
        share = min(max(progress.done / progress.total, 0.0), 1.0)
        value, of = round(share * MAX_BAR), MAX_BAR
        parts = [percent(share), f"{number(progress.done)} of {number(progress.total)}"]
    return ProgressBar(value, of, " · ".join([*parts, progress.text] if progress.text else parts))


def notes_of(task: TaskDetail) -> tuple[NotesOfAttempt, ...]:
    """Returns the annotations and the progress of each attempt that reported any."""
    return tuple(
        NotesOfAttempt(
            each.attempt + 1,
            tuple(Field(name, value, _search("note", name, value)) for name, value in each.fields.items()),
            each.excess,
            bar_of(each.progress),
        )
        for each in task.notes
        if each.fields or each.excess or each.progress
    )


def ids_of(task: TaskDetail) -> tuple[Field, ...]:
    """Returns the ids under which other tools know the task's attempts, each once, the newest attempt first."""
    found = [Field(word, getattr(each, name), "") for each in reversed(task.notes) for name, word in ID_WORDS if getattr(each, name)]
    return tuple(Field(field.name, field.value, _search("trace", "", field.value)) for field in dict.fromkeys(found))


def links_of(task: TaskDetail, templates: Sequence[LinkTemplate]) -> tuple[ToolLink, ...]:
    """Returns the links that the templates make of a task: with what its newest attempt reported, else an earlier one."""
    values = {
        "task_id": task.row.task_id, "name": task.row.name, "queue": task.row.queue, "worker": task.row.worker, "release": task.row.release,
        "environment": task.row.environment, "app": task.row.app,
    } | _values(task.notes)  # fmt: skip
    filled = [(template.name, fill(template.url, values)) for template in templates]
    return tuple(ToolLink(name, href) for name, href in filled if href)


def _values(notes: Sequence[AttemptNotes]) -> dict[str, str]:
    values: dict[str, str] = {}
    for each in notes:
        values |= {name: id for name, id in (("trace_id", each.trace_id), ("sentry_event_id", each.sentry_event_id)) if id}
        values |= {f"note.{name}": value for name, value in each.fields.items() if MASK not in value}
    return values


def _search(field: str, path: str, value: str) -> str:
    if not value or MASK in value or (path and not is_path(path)):
        return ""
    return Filters(q=format_query(Query((Term(field, value, path=path),)))).href()
