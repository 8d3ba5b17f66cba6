# SPDX-License-Identifier: Apache-2.0
"""What Celery itself knows of a task whose end was not reported."""

from __future__ import annotations

from typing import Any

from z4j_agent.adapter import Unsupported

STATES = {"SUCCESS": "succeeded", "FAILURE": "failed", "REVOKED": "cancelled"}


def lookup_task(app: Any, task_id: str) -> dict[str, Any]:
    """Asks the result backend. PENDING means that it does not know the id; RETRY after a cold shutdown may be final."""
    backend = app.backend
    kind = type(backend).__name__
    if kind == "DisabledBackend":
        raise Unsupported("this app keeps no results")
    if kind == "RPCBackend":
        raise Unsupported("asking an rpc:// backend would take the result from whoever waits for it")
    state = str(backend.get_task_meta(task_id).get("status", "PENDING"))
    return {"state": STATES.get(state, "unknown"), "engine_state": state}
