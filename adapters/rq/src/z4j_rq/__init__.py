# SPDX-License-Identifier: Apache-2.0
"""Reports RQ jobs to z4j. One line in the module with the tasks, or in the settings given to `rq worker -c`:

    import z4j_rq
    z4j_rq.install()

Without `Z4J_URL` in the environment it does nothing. It never raises.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from z4j_agent.capture import hooks
from z4j_rq.job_hooks.spawning import installers

if TYPE_CHECKING:
    from z4j_rq.adapter import RqAdapter

__all__ = ["install", "uninstall"]

OLDEST = (2, 0)


def install(*, functions: Iterable[Any] = (), **settings: Any) -> None:
    """Monitors every queue and worker of this process. `settings` are those of `z4j_agent.start`.

    RQ registers no tasks. Operators may run functions with `@job`, functions that the application has enqueued itself, and `functions`:
    callables, or "module.function". A second call only adds functions.
    """
    _installation.install(None, functions, **settings)


def uninstall() -> None:
    """Removes the hooks: RQ behaves as if this package had never been installed."""
    _installation.uninstall()


def _load() -> type[RqAdapter]:
    from z4j_rq.adapter import RqAdapter

    return RqAdapter


_installation = hooks.Installation("RQ", "rq.version:VERSION", OLDEST, _load)
installers[:] = [install]
