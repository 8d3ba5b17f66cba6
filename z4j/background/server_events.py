# SPDX-License-Identifier: AGPL-3.0-or-later
"""Events that the server adds to tasks: `due`, `lost`, `alive`. They are stored the way events of agents are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from z4j.agents.ingest import ServerFact, ingest_facts
from z4j.rules.tasks.fold import Event
from z4j.store.sqlite.db import Store
from z4j.store.tasks.stale_tasks import StaleTask

Changed = Callable[[Iterable[str]], None]
"""Called with the topics of `live` that changed."""


async def add_events(
    store: Store, changed: Changed, kind: str, tasks: list[StaleTask], later_us: int = 0, errors: Mapping[StaleTask, str] | None = None
) -> int:
    """Adds an event of this kind to each task, `later_us` after the last one that is known. Returns how many.

    Raises the last error after every app was tried: the tasks of one app do not wait for those of another.
    """
    by_app: dict[int, list[ServerFact]] = {}
    for task in tasks:
        reason = "worker_gone" if kind == "lost" else ""
        event = Event(kind, task.attempt, task.at + later_us, task.run, task.worker, reason=reason, error=(errors or {}).get(task, ""))
        by_app.setdefault(task.app_id, []).append(ServerFact(task.engine, task.task_id, event, task.row))
    failed: Exception | None = None
    for app_id, facts in by_app.items():
        try:
            changed((await ingest_facts(store, app_id, facts)).topics)
        except Exception as error:
            failed = error
    if failed is not None:
        raise failed
    return len(tasks)
