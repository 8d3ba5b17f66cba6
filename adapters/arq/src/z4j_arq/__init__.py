# SPDX-License-Identifier: Apache-2.0
"""Reports arq tasks to z4j. One line under the settings of the worker, which producers import too or repeat:

    import z4j_arq
    z4j_arq.install(WorkerSettings)

A producer without those settings calls `z4j_arq.install()`; the worker tells the arguments then. Without `Z4J_URL` in the environment
it does nothing. It never raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from z4j_agent import hooks

if TYPE_CHECKING:
    from z4j_arq.adapter import ArqAdapter

__all__ = ["install", "uninstall"]

OLDEST = (0, 26)
_adapter: ArqAdapter | None = None


def install(worker_settings: Any = None, **settings: Any) -> None:
    """Watches arq in this process. `worker_settings` is the class or dict that the `arq` command takes: its functions' signatures tell
    a producer which arguments are secret. `settings` are those of `z4j_agent.start`. Further calls only add worker settings.
    """
    global _adapter

    def version() -> str:
        from arq.version import VERSION

        return str(VERSION)

    def make() -> ArqAdapter:
        from z4j_arq.adapter import ArqAdapter

        return ArqAdapter()

    if _adapter is None or not _adapter.is_installed:  # the agent may have been stopped, and have taken everything off
        _adapter = hooks.install("arq", version, OLDEST, make, settings)
    if _adapter is not None and worker_settings is not None:
        _adapter.capture.know(worker_settings)


def uninstall() -> None:
    """arq behaves again as if this package had never been there."""
    global _adapter
    adapter, _adapter = _adapter, None
    if adapter is not None:
        adapter.uninstall()
