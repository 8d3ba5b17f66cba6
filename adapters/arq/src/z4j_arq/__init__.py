# SPDX-License-Identifier: Apache-2.0
"""Reports arq tasks to z4j. One line under the settings of the worker, which producers import too or repeat:

    import z4j_arq
    z4j_arq.install(WorkerSettings)

A producer without those settings calls `z4j_arq.install()`; the worker then reports the arguments. Without `Z4J_URL` in the environment
it does nothing. It never raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from z4j_agent.capture import hooks

if TYPE_CHECKING:
    from z4j_arq.adapter import ArqAdapter

__all__ = ["install", "uninstall"]

OLDEST = (0, 26)


def install(worker_settings: Any = None, **settings: Any) -> None:
    """Monitors arq in this process. `worker_settings` is the class or dict that the `arq` command takes: from its functions' signatures
    a producer recognises secret arguments. `settings` are those of `z4j_agent.start`. Further calls only add worker settings.
    """
    _installation.install(None, worker_settings, **settings)


def uninstall() -> None:
    """Removes the hooks: arq behaves as if this package had never been installed."""
    _installation.uninstall()


def _load() -> type[ArqAdapter]:
    from z4j_arq.adapter import ArqAdapter

    return ArqAdapter


_installation = hooks.Installation("arq", "arq.version:VERSION", OLDEST, _load)
