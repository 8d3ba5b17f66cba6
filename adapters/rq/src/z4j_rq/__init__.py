# SPDX-License-Identifier: Apache-2.0
"""Reports RQ jobs to z4j. One line in the module that holds the tasks, or in the settings given to `rq worker -c`:

    import z4j_rq
    z4j_rq.install()

Without `Z4J_URL` in the environment it does nothing. It never raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from z4j_agent import hooks

if TYPE_CHECKING:
    from z4j_rq.adapter import RqAdapter

__all__ = ["install", "uninstall"]

OLDEST = (2, 0)
_adapter: RqAdapter | None = None


def install(**settings: Any) -> None:
    """Watches every queue and worker of this process. `settings` are those of `z4j_agent.start`. Calling it twice does nothing more."""
    global _adapter

    def version() -> str:
        from rq.version import VERSION

        return str(VERSION)

    def make() -> RqAdapter:
        from z4j_rq.adapter import RqAdapter

        return RqAdapter()

    if _adapter is None:
        _adapter = hooks.install("RQ", version, OLDEST, make, settings)


def uninstall() -> None:
    """RQ behaves again as if this package had never been there."""
    global _adapter
    adapter, _adapter = _adapter, None
    if adapter is not None:
        adapter.uninstall()
