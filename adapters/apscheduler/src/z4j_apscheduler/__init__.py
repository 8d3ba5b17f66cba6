# SPDX-License-Identifier: Apache-2.0
"""Shows the jobs of an APScheduler 3.x scheduler in z4j. One line, in the process that runs the scheduler:

    import z4j_apscheduler
    z4j_apscheduler.install(scheduler)

Without `Z4J_URL` in the environment it does nothing. It never raises.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from z4j_agent import hooks
from z4j_agent.guard import guard
from z4j_agent.log import log

if TYPE_CHECKING:
    from z4j_apscheduler.scheduler import ApScheduler

__all__ = ["install", "uninstall"]

OLDEST = (3, 10)
NEWEST = 3
"""Major version; 4 has another API and no listeners of this kind."""
_installed: ApScheduler | None = None
"""One for all schedulers of this process, so that a command finds the right one."""


def install(scheduler: Any, *, name: str = "", functions: Iterable[Any] = (), **settings: Any) -> None:
    """Watches this scheduler, before or after it is started. `settings` are those of `z4j_agent.start`.

    `functions` are callables, or "module:function", that operators may make new schedules for, beside those the scheduler runs already.
    May be called again with another scheduler; the keys of its jobs begin with `name`, or with "scheduler-2". Calling it twice with the
    same scheduler adds the functions.
    """
    global _installed
    if _installed is not None and _installed.is_installed:
        _watch_too(_installed, scheduler, name, functions)
        return

    def make() -> ApScheduler:
        from z4j_apscheduler.scheduler import ApScheduler

        made = ApScheduler()
        made.watch(scheduler, name, functions)
        return made

    if _is_too_new():
        return
    _installed = hooks.install("APScheduler", _version, OLDEST, make, settings)


def uninstall(scheduler: Any = None) -> None:
    """The scheduler, or every one, behaves again as if this package had never been there."""
    if _installed is not None:
        _unwatch(_installed, scheduler)


@guard("install")
def _watch_too(installed: ApScheduler, scheduler: Any, name: str, functions: Iterable[Any]) -> None:
    installed.watch(scheduler, name, functions)


@guard("uninstall")
def _unwatch(installed: ApScheduler, scheduler: Any) -> None:
    installed.unwatch(scheduler)


@guard("install")
def _is_too_new() -> bool:
    found = _version()
    is_too_new = found.partition(".")[0].isdigit() and int(found.partition(".")[0]) > NEWEST
    if is_too_new:
        log.error("z4j is off: APScheduler %s is not supported, only 3.x is", found)
    return is_too_new


def _version() -> str:
    from importlib.metadata import version

    return version("apscheduler")
