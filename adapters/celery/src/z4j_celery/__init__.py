# SPDX-License-Identifier: Apache-2.0
"""Reports Celery tasks to z4j. One line where the app is created:

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
"""The lowest version that passes every test: 5.4 reports a cold shutdown as a killed child, and has no native delayed delivery."""


def install(app: Any, **settings: Any) -> None:
    """Monitors this app. `settings` are those of `z4j_agent.start`; the settings of a process's first app apply.

    A second call for the same app has no effect.
    """
    _installation.install(app, **settings)


def uninstall(app: Any = None) -> None:
    """Removes the hooks: Celery behaves as if this package had never been installed. Without an app, stops monitoring all of them."""
    _installation.uninstall(app)


def _load() -> type[CeleryAdapter]:
    from z4j_celery.adapter import CeleryAdapter

    return CeleryAdapter


def _real(app: Any) -> Any:
    from z4j_celery import apps

    return apps.real(app)


_installation = hooks.Installation("Celery", "celery:__version__", OLDEST, _load, real=_real)
