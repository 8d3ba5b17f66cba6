# SPDX-License-Identifier: AGPL-3.0-or-later
"""The record of an incident. Times are microseconds UTC. Pure."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from z4j.formats import absolute, duration, number, plural

EventKind = Literal["finding", "over", "error", "release", "action", "alert", "note", "began", "ended"]
WORDS: Final[dict[EventKind, str]] = {
    "finding": "finding began", "over": "finding ended", "error": "new error", "release": "release", "action": "action",
    "alert": "alert", "note": "note", "began": "began", "ended": "ended",
}  # fmt: skip


class Event(Struct, frozen=True):
    """One line of the record. `who` is the user who caused it, if any; `href` is its page on the server."""

    at: int
    kind: EventKind
    text: str
    who: str = ""
    href: str = ""


class ErrorSeen(Struct, frozen=True):
    """An error seen during the incident; `is_new`: for the first time."""

    id: int
    title: str
    failed: int
    is_new: bool


class Curve(Struct, frozen=True):
    """Tasks per slot of `slot_us` from `since` on: succeeded and failed."""

    since: int
    slot_us: int
    finished: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()


class Record(Struct, frozen=True):
    """All collected data. `ended_at` is None while the incident is ongoing."""

    title: str
    app: str
    environment: str
    began_at: int
    ended_at: int | None
    started_by: str
    ended_by: str
    events: tuple[Event, ...]
    errors: tuple[ErrorSeen, ...]
    curve: Curve
    left_out: int = 0
    """Events beyond the limit of a list."""


def in_order(events: list[Event]) -> tuple[Event, ...]:
    """Returns events in the order in which they happened; at the same time, causes come before findings."""
    ranks = {kind: rank for rank, kind in enumerate(("began", "release", "action", "error", "finding", "alert", "note", "over", "ended"))}
    return tuple(sorted(events, key=lambda event: (event.at, ranks[event.kind])))


def markdown(record: Record, address: str) -> str:
    """Returns the record as Markdown, with whole URLs; `address` is where the server is reached."""
    where = " · ".join(part for part in (record.app, record.environment) if part) or "every app"
    lasted = duration(record.ended_at - record.began_at) if record.ended_at is not None else "ongoing"
    lines = [
        f"# {_text(record.title)}", "", f"- where: {_text(where)}",
        f"- from {absolute(record.began_at)} to {absolute(record.ended_at)} ({lasted})",
        f"- recorded by {_text(record.started_by)}" + (f", ended by {_text(record.ended_by)}" if record.ended_by else ""),
        f"- tasks during the incident: {number(sum(record.curve.finished))} succeeded, {number(sum(record.curve.failed))} failed", "",
        "## What happened", "", "| time | | what | who |", "|---|---|---|---|",
    ]  # fmt: skip
    lines += [f"| {absolute(each.at)} | {WORDS[each.kind]} | {_link(each, address)} | {_text(each.who)} |" for each in record.events]
    if record.left_out:
        lines.append(f"\n{plural(record.left_out, 'more event')} not listed.")
    lines += ["", "## Errors", ""]
    lines += [f"- {'new: ' if each.is_new else ''}{_text(each.title)} ({number(each.failed)} failed)" for each in record.errors] or [
        "None."
    ]
    return "\n".join(lines) + "\n"


def _link(event: Event, address: str) -> str:
    text = _text(event.text)
    return f"[{text}]({address}{event.href})" if event.href else text


def _text(text: str) -> str:
    """Escapes a text of the application or a user for one table cell."""
    flat = " ".join(text.split())
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>#|!~$&" else letter for letter in flat)
