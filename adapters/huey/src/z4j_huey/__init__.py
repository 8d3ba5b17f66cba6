# SPDX-License-Identifier: Apache-2.0
"""Reports Huey tasks to z4j. One line where the Huey object is created:

    import z4j_huey
    z4j_huey.install(huey)

Without `Z4J_URL` in the environment it does nothing. It never raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from z4j_agent.capture import hooks

if TYPE_CHECKING:
    from z4j_huey.adapter import HueyAdapter

__all__ = ["install", "uninstall"]

OLDEST = (2, 5)


def install(huey: Any, **settings: Any) -> None:
    """Monitors this Huey object. `settings` are those of `z4j_agent.start`; the settings of a process's first object apply.

    It may be called before or after the tasks are declared. A second call for the same object has no effect.
    """
    _installation.install(huey, **settings)


def uninstall(huey: Any = None) -> None:
    """Removes the hooks: Huey behaves as if this package had never been installed. Without an object, stops monitoring all of them."""
    _installation.uninstall(huey)


def _load() -> type[HueyAdapter]:
    from z4j_huey.adapter import HueyAdapter

    return HueyAdapter


_installation = hooks.Installation("Huey", "huey:__version__", OLDEST, _load)
