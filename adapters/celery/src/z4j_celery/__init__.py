# SPDX-License-Identifier: Apache-2.0
"""Reports Celery tasks to z4j. One line where the app is made:

    import z4j_celery
    z4j_celery.install(app)

Without `Z4J_URL` in the environment it does nothing. It never raises.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import z4j_agent
from z4j_agent.guard import faults, let_through

if TYPE_CHECKING:
    from z4j_celery.adapter import CeleryAdapter

__all__ = ["install", "uninstall"]

OLDEST = (5, 3)
_log = logging.getLogger("z4j_agent")
_adapters: dict[int, CeleryAdapter] = {}


def install(app: Any, **settings: Any) -> None:
    """Watches this app. `settings` are those of `z4j_agent.start`. Calling it twice for one app does nothing more."""
    try:
        if id(app) in _adapters:
            return
        import celery

        found = tuple(int(part) for part in celery.__version__.split(".")[:2])
        if found < OLDEST:
            _log.error("z4j is off: Celery %s is older than the oldest supported version %d.%d", celery.__version__, *OLDEST)
            return
        from z4j_celery.adapter import CeleryAdapter

        adapter = CeleryAdapter(app)
        agent = z4j_agent.start(adapter, **settings)
        if agent is not None:
            _adapters[id(app)] = adapter
    except Exception as error:
        let_through(error)
        faults.report("install", error)


def uninstall(app: Any) -> None:
    """Celery behaves again as if this package had never been there."""
    adapter = _adapters.pop(id(app), None)
    if adapter is not None:
        adapter.uninstall()
