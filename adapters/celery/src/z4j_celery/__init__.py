# SPDX-License-Identifier: Apache-2.0
"""Reports Celery tasks to z4j. One line where the app is made:

    import z4j_celery
    z4j_celery.install(app)

Without `Z4J_URL` in the environment it does nothing. It never raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from z4j_agent import hooks

if TYPE_CHECKING:
    from z4j_celery.adapter import CeleryAdapter

__all__ = ["install", "uninstall"]

OLDEST = (5, 3)
_adapters: dict[int, CeleryAdapter] = {}


def install(app: Any, **settings: Any) -> None:
    """Watches this app. `settings` are those of `z4j_agent.start`. Calling it twice for one app does nothing more."""

    def version() -> str:
        import celery

        return str(celery.__version__)

    def make() -> CeleryAdapter:
        from z4j_celery.adapter import CeleryAdapter

        return CeleryAdapter(app)

    if id(app) not in _adapters:
        adapter = hooks.install("Celery", version, OLDEST, make, settings)
        if adapter is not None:
            _adapters[id(app)] = adapter


def uninstall(app: Any) -> None:
    """Celery behaves again as if this package had never been there."""
    adapter = _adapters.pop(id(app), None)
    if adapter is not None:
        adapter.uninstall()
