# SPDX-License-Identifier: Apache-2.0
"""Reports Celery tasks to z4j. One line where the app is made:

    import z4j_celery
    z4j_celery.install(app)

Without `Z4J_URL` in the environment it does nothing. It never raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from z4j_agent.capture import hooks

if TYPE_CHECKING:
    from z4j_celery.adapter import CeleryAdapter

__all__ = ["install", "uninstall"]

OLDEST = (5, 5)
"""The lowest version that passes every test: 5.4 tells a cold shutdown as a killed child, and has no native delayed delivery."""


def install(app: Any, **settings: Any) -> None:
    """Watches this app. `settings` are those of `z4j_agent.start`; the first app of a process decides them.

    Calling it twice for one app does nothing more.
    """
    _installation.install(app, **settings)


def uninstall(app: Any = None) -> None:
    """Celery behaves again as if this package had never been there. Without an app: every one that is watched."""
    _installation.uninstall(app)


def _load() -> type[CeleryAdapter]:
    from z4j_celery.adapter import CeleryAdapter

    return CeleryAdapter


def _real(app: Any) -> Any:
    from z4j_celery import apps

    return apps.real(app)


_installation = hooks.Installation("Celery", "celery:__version__", OLDEST, _load, real=_real)
