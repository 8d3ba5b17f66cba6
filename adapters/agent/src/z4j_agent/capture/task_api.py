# SPDX-License-Identifier: Apache-2.0
"""What an application reports about the attempt that runs here: `z4j_agent.annotate` and `z4j_agent.progress`.

Both may be called anywhere in a task, as often as the application likes: they never raise, and outside of a task or without an agent they
do nothing. Imported with `z4j_agent` itself, so nothing else is imported before a task reports something.
"""

from __future__ import annotations

from z4j_agent.capture.current_run import current
from z4j_agent.capture.guard import faults, let_through


def annotate(**fields: object) -> None:
    """Adds searchable fields to the attempt that runs here: `annotate(order=42)`. Another value under the same name replaces the first.
    Values are redacted like arguments and cut at 200 characters; an attempt has up to 20 fields. Never raises."""
    run = current()
    if run is None or not fields:
        return
    try:
        notes = run.own_annotations()
        notes.add(fields)
        notes.send_now_or_later()
    except Exception as error:
        let_through(error)
        faults.report("annotate", error)


def progress(done: float, total: float | None = None, text: str = "") -> None:
    """Shows how far the attempt that runs here has come: `progress(30, 120, "orders")`. `total` is None if unknown. Sent at most twice a
    second; the last one is always sent. Never raises."""
    run = current()
    if run is None:
        return
    try:
        notes = run.own_annotations()
        notes.advance(done, total, text)
        notes.send_now_or_later()
    except Exception as error:
        let_through(error)
        faults.report("progress", error)
