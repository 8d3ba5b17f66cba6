# SPDX-License-Identifier: Apache-2.0
"""Shows the jobs of an APScheduler 3.x scheduler in z4j. One line, in the process that runs the scheduler:

    import z4j_apscheduler
    z4j_apscheduler.install(scheduler)

Without `Z4J_URL` in the environment it does nothing. It never raises.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from z4j_agent.capture import hooks

if TYPE_CHECKING:
    from z4j_apscheduler.scheduler import ApScheduler

__all__ = ["install", "uninstall"]

OLDEST = (3, 10)
NEWEST = 3
"""Major version; 4 has another API and no listeners of this kind."""


def install(scheduler: Any, *, name: str = "", functions: Iterable[Any] = (), **settings: Any) -> None:
    """Monitors this scheduler; call it before or after the scheduler's start. `settings` are those of `z4j_agent.start`.

    `functions` are callables, or "module:function", for which operators may create schedules, in addition to those that the scheduler
    already runs. May be called again with another scheduler; the keys of its jobs begin with `name`, or with "scheduler-2". A second
    call with the same scheduler adds the functions.
    """
    _installation.install(scheduler, name, functions, **settings)


def uninstall(scheduler: Any = None) -> None:
    """Removes the hooks of one scheduler, or of all: it behaves as if this package had never been installed."""
    _installation.uninstall(scheduler)


def _load() -> type[ApScheduler]:
    from z4j_apscheduler.scheduler import ApScheduler

    return ApScheduler


_installation = hooks.Installation("APScheduler", "apscheduler", OLDEST, _load, newest=NEWEST)
