# SPDX-License-Identifier: Apache-2.0
"""Reports RQ jobs to z4j. One line in the module that holds the tasks, or in the settings given to `rq worker -c`:

    import z4j_rq
    z4j_rq.install()

Without `Z4J_URL` in the environment it does nothing. It never raises.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from z4j_agent import hooks
from z4j_agent.guard import guard
from z4j_rq.spawning import installers

if TYPE_CHECKING:
    from z4j_rq.adapter import RqAdapter

__all__ = ["install", "uninstall"]

OLDEST = (2, 0)
_adapter: RqAdapter | None = None


def install(*, functions: Iterable[Any] = (), **settings: Any) -> None:
    """Watches every queue and worker of this process. `settings` are those of `z4j_agent.start`.

    RQ registers no tasks. Operators may run what carries `@job`, what the application has enqueued itself, and `functions`: callables, or
    "module.function". Calling it twice adds the functions and does nothing more.
    """
    global _adapter

    def version() -> str:
        from rq.version import VERSION

        return str(VERSION)

    def make() -> RqAdapter:
        from z4j_rq.adapter import RqAdapter

        return RqAdapter()

    if _adapter is None or not _adapter.capture.is_connected:  # `z4j_agent.stop` takes the hooks away, too
        _adapter = hooks.install("RQ", version, OLDEST, make, settings)
    if _adapter is not None:
        _offer(_adapter, functions)


@guard("install")
def _offer(adapter: RqAdapter, functions: Iterable[Any]) -> None:
    adapter.capture.known.offer(functions)


def uninstall() -> None:
    """RQ behaves again as if this package had never been there."""
    global _adapter
    adapter, _adapter = _adapter, None
    if adapter is not None:
        adapter.uninstall()


installers[:] = [install]
