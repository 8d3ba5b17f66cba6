# SPDX-License-Identifier: Apache-2.0
"""Reports Celery tasks to z4j. One line where the app is made:

    import z4j_celery
    z4j_celery.install(app)

Without `Z4J_URL` in the environment it does nothing. It never raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from z4j_agent import hooks
from z4j_agent.guard import guard

if TYPE_CHECKING:
    from z4j_celery.adapter import CeleryAdapter

__all__ = ["install", "uninstall"]

OLDEST = (5, 5)
"""The lowest version that passes every test: 5.4 tells a cold shutdown as a killed child, and has no native delayed delivery."""
_apps: dict[int, Any] = {}
_adapter: CeleryAdapter | None = None


def install(app: Any, **settings: Any) -> None:
    """Watches this app. `settings` are those of `z4j_agent.start`; the first app of a process decides them.

    Calling it twice for one app does nothing more.
    """

    def version() -> str:
        import celery

        return str(celery.__version__)

    def make() -> CeleryAdapter:
        from z4j_celery.adapter import CeleryAdapter

        return CeleryAdapter(_real(app))

    global _adapter
    if _adapter is not None and not _adapter.is_installed:  # the agent was stopped, and has taken everything off
        _adapter = None
        _apps.clear()
    if id(app) in _apps:
        return
    if _adapter is None:
        _adapter = hooks.install("Celery", version, OLDEST, make, settings)
    else:
        _watch(_adapter, app)
    if _adapter is not None:
        _apps[id(app)] = app


def uninstall(app: Any) -> None:
    """Celery behaves again as if this package had never been there."""
    global _adapter
    if _apps.pop(id(app), None) is not None and _adapter is not None:
        _adapter.unwatch(_real(app))
        if not _apps:
            _adapter.uninstall()
            _adapter = None


@guard("watching another app")
def _watch(adapter: CeleryAdapter, app: Any) -> None:
    adapter.watch(_real(app))


def _real(app: Any) -> Any:
    from z4j_celery import apps

    return apps.real(app)
