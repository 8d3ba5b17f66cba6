# SPDX-License-Identifier: Apache-2.0
"""Reports Huey tasks to z4j. One line where the Huey object is made:

    import z4j_huey
    z4j_huey.install(huey)

Without `Z4J_URL` in the environment it does nothing. It never raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from z4j_agent import hooks

if TYPE_CHECKING:
    from z4j_huey.adapter import HueyAdapter

__all__ = ["install", "uninstall"]

OLDEST = (2, 5)
_adapters: dict[int, HueyAdapter] = {}


def install(huey: Any, **settings: Any) -> None:
    """Watches this Huey object. `settings` are those of `z4j_agent.start`. Calling it twice for one object does nothing more."""

    def version() -> str:
        import huey as engine

        return str(engine.__version__)

    def make() -> HueyAdapter:
        from z4j_huey.adapter import HueyAdapter

        return HueyAdapter(huey)

    if id(huey) not in _adapters:
        adapter = hooks.install("Huey", version, OLDEST, make, settings)
        if adapter is not None:
            _adapters[id(huey)] = adapter


def uninstall(huey: Any) -> None:
    """Huey behaves again as if this package had never been there."""
    adapter = _adapters.pop(id(huey), None)
    if adapter is not None:
        adapter.uninstall()
