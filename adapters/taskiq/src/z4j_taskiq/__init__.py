# SPDX-License-Identifier: Apache-2.0
"""Reports taskiq tasks to z4j. One line where the broker is made, after its own middlewares:

    import z4j_taskiq
    z4j_taskiq.install(broker)

Without `Z4J_URL` in the environment it does nothing. It never raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from z4j_agent import hooks
from z4j_agent.guard import guard

if TYPE_CHECKING:
    from z4j_taskiq.adapter import TaskiqAdapter

__all__ = ["install", "uninstall"]

OLDEST = (0, 11)
_adapter: TaskiqAdapter | None = None
"""One for all brokers of this process, so that a command finds the right one."""


def install(broker: Any, **settings: Any) -> None:
    """Watches this broker. `settings` are those of `z4j_agent.start`. Calling it twice for one broker does nothing more."""
    global _adapter

    def version() -> str:
        from importlib.metadata import version as installed

        return installed("taskiq")

    def make() -> TaskiqAdapter:
        from z4j_taskiq.adapter import TaskiqAdapter

        return TaskiqAdapter(broker)

    if _adapter is not None and _adapter.is_installed:
        _watch_too(_adapter, broker)
    else:
        _adapter = hooks.install("taskiq", version, OLDEST, make, settings)


@guard("install")
def _watch_too(adapter: TaskiqAdapter, broker: Any) -> None:
    adapter.watch(broker)


def uninstall(broker: Any) -> None:
    """taskiq behaves again as if this package had never been there."""
    if _adapter is not None:
        _adapter.unwatch(broker)
