# SPDX-License-Identifier: Apache-2.0
"""What is reported about one attempt beside its course: annotations, progress, and its IDs in other tools.

It travels in copies of the attempt's `started` record, so that a server that does not know it takes them for what they repeat. Every value
carries its own time: of two values under one name the later one counts, whatever order they arrive in.
"""

from __future__ import annotations

import time
from typing import Any, Protocol

MAX_FIELDS = 20
"""Annotations of one attempt. Others are counted, and the page shows how many were left out."""
MAX_KEY = 50
MAX_VALUE = 200
"""Characters of a name, and of a value or the text of a progress."""
AT_ONCE = 20
"""Records of one attempt that are sent without a pause."""
PAUSE_NS = 500_000_000
"""Then at most one is sent in so many nanoseconds, and the last one always. Of progress from the beginning."""
LARGEST = 2.0**53
COUNT_LIMIT = 1_000_000
MAX_ID = 64

Head = tuple[str, str, int, int, str, str, str]
"""Engine, task id, attempt, start in microseconds UTC, process token, name and queue: the head of the `started` record."""


class Process(Protocol):
    """What is needed of the agent of this process."""

    run: str
    settings: Any

    def append(self, record: bytes) -> bool:
        """Appends one encoded record to the spool. Returns False if it could not be written. Never raises."""


class Annotations:
    """Everything that is reported about one run, and how much of it was sent. Without a lock: several threads of a task may call it, and a
    process that it forks. What one of them does not send, the other or the end of the run does."""

    __slots__ = (
        "_at",
        "_excess",
        "_fields",
        "_head",
        "_ids",
        "_process",
        "_progress",
        "_sent",
        "_sent_excess",
        "_sent_ns",
        "_sent_records",
    )

    def __init__(self, process: Process, head: Head) -> None:
        self._process, self._head = process, head
        self._fields: dict[str, tuple[int, str]] = {}
        self._ids: dict[str, tuple[int, str]] = {}
        """`trace_id` and `sentry_event_id`, like the fields by the time when each was set."""
        self._progress: tuple[int, float, float | None, str] | None = None
        self._excess = self._sent_excess = 0
        self._at = 0
        self._sent: dict[str, int] = {}
        self._sent_ns = self._sent_records = 0

    def add(self, fields: dict[str, object]) -> None:
        """Sets annotations. Values are redacted like arguments; names are cut at MAX_KEY characters, values at MAX_VALUE. Names beyond
        MAX_FIELDS are counted and left out."""
        for key, value in fields.items():
            if len(self._fields) >= MAX_FIELDS and key[:MAX_KEY] not in self._fields:
                self._excess = min(self._excess + 1, COUNT_LIMIT)
                continue
            name, shown = self._show(key, value)
            if self._fields.get(name, (0, None))[1] != shown:
                self._fields[name] = (self._now(), shown)

    def advance(self, done: float, total: float | None, text: str) -> None:
        """Sets the progress: `done` of `total`, None if the total is unknown. A `done` that is not a finite number below 2^53 is ignored;
        such a `total` counts as unknown."""
        so_far, whole = _number(done), None if total is None else _number(total)
        if so_far is not None:
            self._progress = (self._now(), so_far, whole, text if isinstance(text, str) else self._show("text", text)[1])

    def identify(self, name: str, id: str) -> None:
        """Sets the ID under which another tool knows this attempt, cut at MAX_ID characters. `name` is `trace_id` or `sentry_event_id`. ""
        is ignored."""
        if id and self._ids.get(name, (0, ""))[1] != id:
            self._ids[name] = (self._now(), id[:MAX_ID])

    def send_now_or_later(self) -> None:
        """Appends what was not sent yet as one record, unless the last one was appended less than PAUSE_NS ago, and the first AT_ONCE are
        used up or only the progress has changed. What remains is sent by a later call, or by the end of the run."""
        now = time.monotonic_ns()
        is_first = self._sent_records < AT_ONCE and not self._is_only_progress()
        if is_first or now - self._sent_ns >= PAUSE_NS or not self._sent_ns:
            self.send()

    def send(self) -> None:
        """Appends what was not sent yet as one copy of the `started` record. Does nothing if there is nothing new."""
        news, sent = self._news()
        if not news:
            return
        self._sent_ns = time.monotonic_ns()
        self._sent_records += 1
        self._sent |= sent
        self._sent_excess = news.get("excess", self._sent_excess)
        self._append(news)

    def _is_only_progress(self) -> bool:
        return self._excess == self._sent_excess and not self._changed(self._fields) and not self._changed(self._ids)

    def _news(self) -> tuple[dict[str, Any], dict[str, int]]:
        """What was not sent yet, and the time of each part by its key in `_sent`."""
        news: dict[str, Any] = {}
        sent: dict[str, int] = {}
        for part, values in (("fields", self._fields), ("ids", self._ids)):
            if changed := self._changed(values):
                news[part] = changed
                sent |= {key: at for key, (at, _) in changed.items()}
        if self._excess != self._sent_excess:
            news["excess"] = self._excess
        latest = self._progress
        if latest is not None and self._sent.get(_PROGRESS) != latest[0]:
            at, done, total, text = latest
            news["progress"] = (at, done, total, self._show("text", text)[1] if text else "")  # only of those that are sent
            sent[_PROGRESS] = latest[0]
        return news, sent

    def _changed(self, values: dict[str, tuple[int, str]]) -> dict[str, tuple[int, str]]:
        return {key: value for key, value in list(values.items()) if self._sent.get(key) != value[0]}

    def _append(self, news: dict[str, Any]) -> None:
        from z4j_agent.wire import records

        self._process.append(records.started(*self._head, meta=records.meta({"note": news})))

    def _now(self) -> int:
        """Microseconds UTC, later than all before of this run."""
        self._at = max(time.time_ns() // 1000, self._at + 1)
        return self._at

    def _show(self, key: str, value: object) -> tuple[str, str]:
        """A name and its value, redacted like an argument of this name, and cut."""
        from z4j_agent.capture import display
        from z4j_agent.wire.redaction import redact

        extra = self._process.settings.redact
        ((name, shown),) = redact({key: value}, extra)[0].items()
        text = shown if isinstance(shown, str) else display.show(shown, extra)[0]
        return display.shorten(name, MAX_KEY), display.shorten(text, MAX_VALUE)


_PROGRESS = "\0progress"
"""In `_sent`; no annotation has this name."""


def _number(value: object) -> float | None:
    """A number that every reader understands; None for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = value if type(value) is int else float(value)
    return number if -LARGEST < number < LARGEST else None
