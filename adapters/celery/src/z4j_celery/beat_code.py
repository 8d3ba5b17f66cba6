# SPDX-License-Identifier: Apache-2.0
"""The entries of Celery Beat that stand in code (`beat_schedule`): an operator's changes are overrides.

Beat's own dictionary is changed by beat's own thread alone, at the beginning of a tick: another thread would make its iteration fail.
Only Celery's own classes are put into it, for it may be pickled into the schedule file and read again without this package. One-offs
are therefore kept apart and sent by the tick.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

import z4j_agent
from z4j_agent.adapter import Refused
from z4j_agent.edits import keep_masked
from z4j_agent.guard import guard
from z4j_agent.hooks import now, parameter_names
from z4j_agent.schedules import Override, ScheduleInfo, ScheduleSpec, show_arguments
from z4j_celery.beat_forms import check_zone, due_of, form_of, rule_of, time_of, us, zone_name

SEEN_EVERY_US = 500_000
LATE_US = 60_000_000
"""A one-off that was due longer ago than this when it comes is not sent any more: the same overrides come again at each start."""


@dataclasses.dataclass(frozen=True, slots=True)
class Planned:
    """An entry as it is to be. `rule` is None of a one-off, `at` its time, microseconds UTC."""

    name: str
    task: str
    args: list[Any]
    kwargs: dict[str, Any]
    options: dict[str, Any]
    rule: Any
    at: int
    is_enabled: bool
    is_code: bool


class CodeStore:
    """`scheduler` is beat's, `fired` tells of a one-off that was sent."""

    name: ClassVar[str] = "code"

    def __init__(self, app: Any, scheduler: Any, fired: Callable[..., None]) -> None:
        self._app = app
        self._scheduler = scheduler
        self._fired = fired
        self._code = {name: self._planned_of(name, entry) for name, entry in dict(scheduler.schedule).items()}
        """What the code says, as it was before anything was changed."""
        self._plan = dict(self._code)
        self._waiting: dict[str, Planned] | None = None
        """The plan that the next tick puts in place."""
        self._aside: dict[str, Any] = {}
        """Entries that are switched off, with what they remember of their runs."""
        self._once: dict[str, Planned] = {}
        self._sent: set[str] = set()
        self._seen: dict[str, Any] = {}
        """The entries as the last tick left them; the agent's thread reads these."""
        self._seen_at = 0
        self._look()

    def _planned_of(self, name: str, entry: Any) -> Planned:
        return Planned(
            name, entry.task, list(entry.args or ()), dict(entry.kwargs or {}), dict(entry.options or {}), entry.schedule, 0, True, True
        )

    # -- beat's thread -------------------------------------------------------------------------------------------------
    def around_tick(self, original: Callable[..., float]) -> Callable[..., float]:
        def tick(*args: Any, **options: Any) -> float:
            self._before_tick()
            found = original(*args, **options)
            if not self._once:
                return found
            soonest = min(of.at for of in self._once.values())
            return min(found, max(0.01, (soonest - now()) / 1_000_000))

        return tick

    @guard("a tick of beat")
    def _before_tick(self) -> None:
        plan, self._waiting = self._waiting, None
        if plan is not None:
            self._put(plan)
        at = now()
        for key, of in [(key, of) for key, of in self._once.items() if of.at <= at]:
            del self._once[key]
            self._sent.add(key)
            try:
                sent = self._scheduler.send_task(of.task, of.args, of.kwargs, producer=self._scheduler.producer, **of.options)
            except Exception as error:
                self._fired(key, of.at, "", error)
                raise
            self._fired(key, of.at, str(sent.id))
        if plan is not None or at - self._seen_at > SEEN_EVERY_US:
            self._look()

    def _look(self) -> None:
        self._seen, self._seen_at = dict(self._scheduler.schedule), now()

    def _put(self, plan: dict[str, Planned]) -> None:
        schedule = self._scheduler.schedule
        for key in set(schedule) | set(plan):
            of = plan.get(key)
            if of is None or not of.is_enabled or of.rule is None:
                entry = schedule.pop(key, None)
                if entry is not None and of is not None:
                    self._aside[key] = entry
                continue
            entry = schedule.get(key)
            if entry is None:
                entry = self._aside.pop(key, None) or self._scheduler.Entry(name=key, task=of.task, schedule=of.rule, app=self._app)
                # What was due while it was off is not made up for.
                entry.last_run_at = entry.default_now()
                schedule[key] = entry
            elif entry.schedule != of.rule:
                entry.last_run_at = entry.default_now()
            entry.task, entry.schedule, entry.args, entry.kwargs, entry.options = of.task, of.rule, of.args, of.kwargs, dict(of.options)
        since = now() - LATE_US
        once = {key: of for key, of in plan.items() if of.rule is None and of.is_enabled and key not in self._sent}
        self._once = {key: of for key, of in once.items() if of.at > since}
        self._sent &= set(plan)
        self._scheduler._heap = None  # beat compares entries by their rules alone, and would not see other arguments

    # -- the agent's thread --------------------------------------------------------------------------------------------
    def apply(self, overrides: list[Override]) -> dict[str, str]:
        """From the code and exactly these; key → why of those that cannot hold."""
        plan, failed = dict(self._code), {}
        for of in overrides:
            try:
                made = self._changed(of)
            except Refused as error:
                failed[of.key] = str(error)
                continue
            if made is None:
                plan.pop(of.key, None)
            else:
                plan[of.key] = made
        self._plan = plan
        self._waiting = plan
        return failed

    def _changed(self, of: Override) -> Planned | None:
        before = self._plan.get(of.key) or self._code.get(of.key)
        if not of.is_new and of.key not in self._code:
            raise Refused("the code has no such entry any more")
        if of.is_deleted:
            return None
        if of.spec is None:
            return dataclasses.replace(self._code[of.key], is_enabled=of.is_enabled)
        spec, code = of.spec, self._code.get(of.key)
        task = self._known(spec.task_name)
        check_zone(spec, zone_name(self._app.timezone))
        old_args, old_kwargs = (before.args, before.kwargs) if before is not None else ([], {})
        base = code if code is not None else before
        args = spec.args if spec.args is not None else (list(base.args) if base is not None else [])
        kwargs = spec.kwargs if spec.kwargs is not None else (dict(base.kwargs) if base is not None else {})
        args, kwargs = keep_masked(args, kwargs, old_args, old_kwargs)
        options = dict(code.options) if code is not None else {}
        self._route(options, spec)
        is_once = spec.kind == "once"
        at = us(time_of(spec)) or 0 if is_once else 0
        rule = None if is_once else rule_of(spec, self._app)
        return Planned(of.key, task, args, kwargs, options, rule, at, of.is_enabled and spec.is_enabled, code is not None)

    def _known(self, name: str) -> str:
        """Beat often knows none of the app's tasks by itself; where it has imported some, a name must be among them."""
        own = [of for of in self._app.tasks if not of.startswith("celery.")]
        used = {of.task for of in self._code.values()}
        if not name or (own and name not in self._app.tasks and name not in used) or (not own and name not in used):
            raise Refused(f"this application does not know {name or 'a task without a name'}")
        return name

    def _route(self, options: dict[str, Any], spec: ScheduleSpec) -> None:
        if spec.queue:
            options["queue"] = spec.queue
        if spec.priority is not None:
            options["priority"] = spec.priority

    def told(self, last: OrderedDict[str, int]) -> list[ScheduleInfo]:
        seen, zone = self._seen, zone_name(self._app.timezone)
        return [self._told(of, seen.get(key) or self._aside.get(key), zone, last.get(key)) for key, of in self._plan.items()]

    def _told(self, of: Planned, entry: Any, zone: str, fired_at: int | None) -> ScheduleInfo:
        agent, task = z4j_agent.current(), self._app.tasks.get(of.task)
        names = parameter_names(task.run) if task is not None else ()
        args, kwargs = show_arguments(of.args, of.kwargs, agent.settings.redact if agent is not None else (), names)
        if of.rule is None:
            at = datetime.fromtimestamp(of.at / 1_000_000, UTC).isoformat(timespec="seconds")
            kind, expression, its_zone = "once", at, "UTC"
            next_at = of.at if of.name in self._once or self._waiting is not None else None
        else:
            kind, expression, its_zone = form_of(of.rule, zone)
            next_at = us(due_of(of.rule, entry.last_run_at)) if entry is not None else us(due_of(of.rule, of.rule.now()))
        has_run = entry is not None and (entry.total_run_count or 0) > 0
        last_at = max((value for value in (fired_at, us(entry.last_run_at) if has_run else None) if value is not None), default=None)
        unable = {"save": f"its rule, {expression[:120]}, is Celery's alone"} if kind == "other" else {}
        return ScheduleInfo(
            key=of.name, name=of.name.removeprefix("z4j:"), kind=kind, expression=expression, timezone=its_zone,  # type: ignore[arg-type]
            task_name=of.task, args=args, kwargs=kwargs, queue=str(of.options.get("queue") or ""), priority=of.options.get("priority"),
            is_enabled=of.is_enabled, next_at=next_at if of.is_enabled else None, last_at=last_at, is_code=of.is_code, unable=unable,
            note="Its time has passed." if kind == "once" and of.name in self._sent else "",
        )  # fmt: skip

    def entry(self, key: str) -> tuple[str, list[Any], dict[str, Any], dict[str, Any]]:
        of = self._plan.get(key)
        if of is None:
            raise Refused("there is no such schedule here")
        return of.task, of.args, of.kwargs, of.options

    def save(self, spec: ScheduleSpec) -> dict[str, Any]:
        raise Refused("these entries stand in code; the change is an override")

    def delete(self, key: str) -> dict[str, Any]:
        raise Refused("these entries stand in code; the change is an override")

    def switch(self, key: str, *, on: bool) -> dict[str, Any]:
        raise Refused("these entries stand in code; the change is an override")
