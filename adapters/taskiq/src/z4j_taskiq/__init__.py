# SPDX-License-Identifier: Apache-2.0
"""Reports taskiq tasks to z4j. One line where the broker is created, after its own middlewares:

    import z4j_taskiq
    z4j_taskiq.install(broker)

Without `Z4J_URL` in the environment it does nothing. It never raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from z4j_agent.capture import hooks

if TYPE_CHECKING:
    from z4j_taskiq.adapter import TaskiqAdapter

__all__ = ["install", "uninstall"]

OLDEST = (0, 11)


def install(broker: Any, **settings: Any) -> None:
    """Monitors this broker. `settings` are those of `z4j_agent.start`. A second call for the same broker has no effect."""
    _installation.install(broker, **settings)


def uninstall(broker: Any = None) -> None:
    """Removes the hooks: taskiq behaves as if this package had never been installed. Without a broker, for all of them."""
    _installation.uninstall(broker)


def _load() -> type[TaskiqAdapter]:
    from z4j_taskiq.adapter import TaskiqAdapter

    return TaskiqAdapter


_installation = hooks.Installation("taskiq", "taskiq", OLDEST, _load)
