# SPDX-License-Identifier: Apache-2.0
"""Purge of a queue, for every engine: the records of a task are in the spool before the task is removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from z4j_agent.agent import Agent
from z4j_agent.capture.hooks import now
from z4j_agent.contract.capabilities import Refused
from z4j_agent.wire import records

FULL: Final = "a task could not be stored in the spool; this task and all tasks behind it remain in the queue"


@dataclass(slots=True)
class Entry:
    """One task of a queue. `take` removes it and returns whether it was still there: a worker may have taken it first."""

    task_id: str
    """"" for a message that cannot be read: it is removed without a record."""
    attempt: int
    name: str
    take: Callable[[], bool]
    payload: Callable[[], bytes | None] = lambda: None
    """The record of its arguments and its original, None if they are unknown."""
    is_taken: bool = False


def purge(agent: Agent, engine: str, queue: str, entries: Iterable[Entry], *, is_dead: bool = False) -> dict[str, Any]:
    """Removes these tasks. `entries` are made one by one, as they are removed. Tasks that the engine has given up (`is_dead`) have already
    ended and are not reported as cancelled.

    Returns {"tasks": number removed, "queue"}, with "first_at" and "last_at" (microseconds UTC) of its records if there are any, and "note"
    if it stopped because the spool refused one. Raises Refused if it stopped before a task was removed, and the exceptions of `entries`."""
    taken, first_at, last_at, note = 0, 0, 0, ""
    for entry in entries:
        payload = entry.payload() if entry.task_id else None
        if payload is not None and not agent.append(payload):
            note = FULL
            break
        entry.is_taken = entry.take()
        if not entry.is_taken:
            continue
        taken += 1
        if entry.task_id and not is_dead:
            last_at = now()
            first_at = first_at or last_at
            head = (engine, entry.task_id, entry.attempt, last_at, agent.run, entry.name, queue)
            agent.append(records.cancelled(*head, reason="purged"))
    if note and not taken:
        raise Refused(note)
    answer: dict[str, Any] = {"tasks": taken, "queue": queue}
    return answer | ({"first_at": first_at, "last_at": last_at} if first_at else {}) | ({"note": note} if note else {})
