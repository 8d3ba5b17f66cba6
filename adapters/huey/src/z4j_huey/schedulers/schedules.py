# SPDX-License-Identifier: Apache-2.0
"""Huey's periodic tasks as schedules: listing, changes, and runs. Used in the agent's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import z4j_agent
from z4j_agent.capture.guard import let_through
from z4j_agent.capture.hooks import now, parameter_names
from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.scheduler import Override, ScheduleInfo, Scheduler, show_arguments
from z4j_agent.runtime import gevent_bridge
from z4j_huey.messages import ENGINE, function_of
from z4j_huey.schedulers.overrides import OverriddenEntry, task_name, zone_of
from z4j_huey.schedulers.periodic import SCHEDULER, Periodic, expression_of
from z4j_huey.schedulers.timing import cron_in, is_foreseeable, next_foreseen, next_match, validator_of

LOOK_AGAIN = 3_600_000_000
"""Microseconds for which the result that an entry is not due within a year is cached."""
REVOKED = "Revoked by the application. Calling restore() of the task enables it again."
OPAQUE = "A function of the application decides when it is due; calling it in advance could change its result."


class HueyPeriodic(Scheduler):
    """The scheduler of the consumer that runs in this process, or to which this process belongs."""

    scheduler: ClassVar[str] = SCHEDULER
    engine: ClassVar[str] = ENGINE

    def __init__(self, periodics: Callable[[], list[Periodic]]) -> None:
        self._periodics = periodics
        self._foreseen: dict[str, tuple[Any, int, int | None]] = {}
        """Key → its function, when it was called, and the next time that it returned."""
        self._revoked: set[str] = set()

    @property
    def store(self) -> str:
        return "code"

    def _firing(self) -> Periodic | None:
        """The schedules of this process: it runs one consumer, and so the scheduler of one Huey object."""
        return next((each for each in self._periodics() if each.is_firing), None)

    def _need(self) -> Periodic:
        periodic = self._firing()
        if periodic is None:
            raise Refused("this process does not run Huey's scheduler")
        return periodic

    def is_firing(self) -> bool:
        return self._firing() is not None

    def tick_s(self) -> float:
        """The code's entries are checked once a minute, counted from the consumer's start."""
        periodic = self._firing()
        consumer = periodic.host.lifecycle.consumer if periodic is not None else None
        return float(getattr(getattr(consumer, "scheduler_class", None), "periodic_task_seconds", 60))

    def zone(self) -> str:
        periodic = self._firing()
        return zone_of(periodic.host.huey) if periodic is not None else "UTC"

    # -- the list ------------------------------------------------------------------------------------------------------
    def list_schedules(self) -> list[ScheduleInfo]:
        periodic = self._need()
        classes = list(periodic.host.huey._registry._periodic_tasks)
        revoked = self._ask_revoked(periodic, classes)
        state = periodic.state
        entries = []
        for task_class in classes:
            key = task_name(task_class)
            if key in state.deleted:
                continue
            if key in state.plan:
                entries.append(self._planned(periodic, state.plan[key], revoked, is_code=True))
            else:
                entries.append(self._coded(periodic, task_class, key, revoked, is_off=key in state.off))
        coded = {task_name(task_class) for task_class in classes}
        return entries + [
            self._planned(periodic, task_class, revoked, is_code=False) for task_class in state.plan.values() if task_class.key not in coded
        ]

    def _ask_revoked(self, periodic: Periodic, classes: list[Any]) -> set[str]:
        """Keys of entries that the application has revoked in Huey's storage."""
        try:
            self._revoked = gevent_bridge.ask(
                periodic.host.hub, lambda: {task_name(task_class) for task_class in classes if periodic.host.huey.is_revoked(task_class)}
            )
        except Exception as error:
            let_through(error)  # entries are still listed while the storage cannot be reached, with the last result
        return self._revoked

    def _coded(self, periodic: Periodic, task_class: Any, key: str, revoked: set[str], *, is_off: bool) -> ScheduleInfo:
        huey, validator = periodic.host.huey, validator_of(task_class)
        cron, is_enabled = cron_in(validator), not is_off and key not in revoked
        is_known = cron is not None or is_foreseeable(validator)
        return ScheduleInfo(
            key=key,
            name=key,
            kind="cron" if cron is not None else "other",
            expression=cron.text if cron is not None else expression_of(validator, key),
            timezone=zone_of(huey),
            task_name=key,
            queue=huey.name,
            priority=_whole(getattr(task_class, "default_priority", None)),
            is_enabled=is_enabled,
            next_at=self._next(key, validator, is_utc=huey.utc) if is_enabled and is_known else None,
            last_at=periodic.last.get(key),
            is_code=True,
            unable=_unsupported_edits(key, revoked),
            note=REVOKED if key in revoked else "" if is_known else OPAQUE,
        )

    def _planned(self, periodic: Periodic, planned: OverriddenEntry, revoked: set[str], *, is_code: bool) -> ScheduleInfo:
        spec, name = planned.spec, task_name(planned.task_class)
        function, agent = function_of(planned.task_class), z4j_agent.current()
        names = parameter_names(function) if function is not None else ()
        args, kwargs = show_arguments(planned.args, planned.kwargs, agent.settings.redact if agent is not None else (), names)
        is_enabled = planned.is_enabled and name not in revoked
        is_over = spec.kind == "once" and planned.next_at is None
        counts = (
            "The interval is counted from 1970-01-01 UTC, so that a restart does not shift the due times."
            if spec.kind == "interval"
            else ""
        )
        return ScheduleInfo(
            key=planned.key,
            name=spec.name or planned.key,
            kind=spec.kind,
            expression=planned.expression,
            timezone="" if spec.kind == "interval" else zone_of(periodic.host.huey),
            task_name=name,
            args=args,
            kwargs=kwargs,
            queue=periodic.host.huey.name,
            priority=spec.priority,
            is_enabled=is_enabled,
            next_at=planned.next_at if is_enabled else None,
            last_at=periodic.last.get(planned.key),
            is_code=is_code,
            unable=_unsupported_edits(name, revoked),
            note=REVOKED if name in revoked else "Its time has passed." if is_over else counts,
        )

    def _next(self, key: str, validator: Any, *, is_utc: bool) -> int | None:
        """The next due time: computed once, and again when it has passed."""
        at = now()
        foreseen = self._foreseen.get(key)
        if (
            foreseen is not None
            and foreseen[0] is validator
            and (foreseen[2] > at if foreseen[2] is not None else at - foreseen[1] < LOOK_AGAIN)
        ):
            return foreseen[2]
        cron = cron_in(validator)
        next_at = next_match(cron, at, is_utc=is_utc) if cron is not None else next_foreseen(validator, at, is_utc=is_utc)
        self._foreseen[key] = validator, at, next_at
        return next_at

    # -- commands-----------------------------------------------------------------------------------------
    def apply_overrides(self, overrides: list[Override]) -> dict[str, str]:
        return self._need().apply(overrides)

    def fire_schedule(self, key: str) -> dict[str, Any]:
        """Enqueues the entry's task. Raises Refused if the entry does not exist."""
        periodic = self._need()
        huey, state = periodic.host.huey, periodic.state
        if key in state.plan:
            task = state.plan[key].make()
        else:
            coded = {task_name(task_class): task_class for task_class in list(huey._registry._periodic_tasks)}
            if key not in coded or key in state.deleted:
                raise Refused("the scheduler no longer has this schedule. No changes were made.")
            task = coded[key]()
        gevent_bridge.ask(periodic.host.hub, lambda: huey.enqueue(task))
        return {"task_id": task.id, "queue": huey.name}


def _unsupported_edits(name: str, revoked: set[str]) -> dict[str, str]:
    why = "the application has revoked its task, and a worker would drop it. Nothing was enqueued."
    return {"enable": why, "fire": why} if name in revoked else {}


def _whole(priority: Any) -> int | None:
    return priority if isinstance(priority, int) else None
