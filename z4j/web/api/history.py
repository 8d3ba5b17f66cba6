# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of task names and of the histories of task names, queues and workers."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from z4j.web.api.operations import Operation
from z4j.web.frame import export
from z4j.web.pages.names.detail import plain_name
from z4j.web.pages.names.list import plain_names
from z4j.web.pages.queues.detail import find_queue
from z4j.web.pages.queues.history import plain_queue
from z4j.web.pages.workers.detail import find_worker
from z4j.web.pages.workers.history import plain_worker

RANGE: Final = ("range", "90m, 24h, 7d or 90d, until now.")
SCOPE: Final = (("app", "Only of this app."), ("environment", "Only of this environment."), ("engine", "Only of this engine."), RANGE)


async def names(request: Request) -> Response:
    """GET /api/v1/names."""
    return export.to_json(await plain_names(request))


async def name_history(request: Request) -> Response:
    """GET /api/v1/names/history."""
    return export.to_json(await plain_name(request))


async def queue_history(request: Request) -> Response:
    """GET /api/v1/queues/history."""
    return export.to_json(await plain_queue(request, await find_queue(request)))


async def worker_history(request: Request) -> Response:
    """GET /api/v1/workers/history."""
    return export.to_json(await plain_worker(request, await find_worker(request)))


OPERATIONS: Final = (
    Operation("GET", "/api/v1/names", names, "viewer", "Task names and what their tasks did.", dict[str, Any],
              query=(("q", "Part of the name."), *SCOPE, ("page", "Number of the page, from 0."))),
    Operation("GET", "/api/v1/names/history", name_history, "viewer", "The history of a task name.", dict[str, Any],
              query=(("name", "The task name."), *SCOPE)),
    Operation("GET", "/api/v1/queues/history", queue_history, "viewer", "The history of a queue.", dict[str, Any],
              query=(("queue", "The queue."), *SCOPE, ("broker", "Its broker, where it is in several."))),
    Operation("GET", "/api/v1/workers/history", worker_history, "viewer", "The history of a worker.", dict[str, Any],
              query=(("worker", "The worker."), *SCOPE[:2], RANGE)),
)  # fmt: skip
