# SPDX-License-Identifier: Apache-2.0
"""Reports taskiq tasks to z4j. One line where the broker is made, after its own middlewares:

    import z4j_taskiq
    z4j_taskiq.install(broker)

Without `Z4J_URL` in the environment it does nothing. It never raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from z4j_agent import hooks

if TYPE_CHECKING:
    from z4j_taskiq.adapter import TaskiqAdapter

__all__ = ["install", "uninstall"]

OLDEST = (0, 11)
_adapters: dict[int, TaskiqAdapter] = {}


def install(broker: Any, **settings: Any) -> None:
    """Watches this broker. `settings` are those of `z4j_agent.start`. Calling it twice for one broker does nothing more."""

    def version() -> str:
        from importlib.metadata import version as installed

        return installed("taskiq")

    def make() -> TaskiqAdapter:
        from z4j_taskiq.adapter import TaskiqAdapter

        return TaskiqAdapter(broker)

    if id(broker) not in _adapters:
        adapter = hooks.install("taskiq", version, OLDEST, make, settings)
        if adapter is not None:
            _adapters[id(broker)] = adapter


def uninstall(broker: Any) -> None:
    """taskiq behaves again as if this package had never been there."""
    adapter = _adapters.pop(id(broker), None)
    if adapter is not None:
        adapter.uninstall()
