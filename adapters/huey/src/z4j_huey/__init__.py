# SPDX-License-Identifier: Apache-2.0
"""Reports Huey tasks to z4j. One line where the Huey object is made:

    import z4j_huey
    z4j_huey.install(huey)

Without `Z4J_URL` in the environment it does nothing. It never raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from z4j_agent import hooks
from z4j_agent.guard import guard

if TYPE_CHECKING:
    from z4j_huey.adapter import HueyAdapter

__all__ = ["install", "uninstall"]

OLDEST = (2, 5)
_hueys: dict[int, Any] = {}
_adapter: HueyAdapter | None = None


def install(huey: Any, **settings: Any) -> None:
    """Watches this Huey object. `settings` are those of `z4j_agent.start`; the first object of a process decides them.

    Before or after the tasks are declared makes no difference. Calling it twice for one object does nothing more.
    """

    def version() -> str:
        import huey as engine

        return str(engine.__version__)

    def make() -> HueyAdapter:
        from z4j_huey.adapter import HueyAdapter

        return HueyAdapter(huey)

    global _adapter
    if _adapter is not None and not _adapter.is_installed:  # the agent was stopped, and has taken everything off
        _adapter = None
        _hueys.clear()
    if id(huey) in _hueys:
        return
    if _adapter is None:
        _adapter = hooks.install("Huey", version, OLDEST, make, settings)
    else:
        _watch(_adapter, huey)
    if _adapter is not None:
        _hueys[id(huey)] = huey


def uninstall(huey: Any) -> None:
    """Huey behaves again as if this package had never been there."""
    if _hueys.pop(id(huey), None) is not None and _adapter is not None:
        _adapter.unwatch(huey)


@guard("watching another Huey object")
def _watch(adapter: HueyAdapter, huey: Any) -> None:
    adapter.watch(huey)
