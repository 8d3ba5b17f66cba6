# SPDX-License-Identifier: Apache-2.0
"""The entries of Celery Beat in code (`beat_schedule`): an operator's changes are overrides.

Beat's own dictionary is changed by beat's own thread alone, at the beginning of a tick: another thread would make its iteration fail. An
entry without an override is never changed, nor is one that the application adds to beat or removes while it runs. Only objects of Celery's
own classes are added, because they may be pickled into the schedule file and read without this package. One-offs are therefore stored
separately and sent by the tick.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from celery.beat import PersistentScheduler

import z4j_agent
from z4j_agent.capture.guard import guard
from z4j_agent.capture.hooks import now
from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.overrides import merge_arguments, resolve
from z4j_agent.contract.scheduler import Override, ScheduleInfo, ScheduleSpec, digest_of, read_time
from z4j_celery.schedulers.beat_conversion import (
    LATE_US,
    check_zone,
    due_of,
    form_of,
    is_missed,
    readable,
    rule_of,
    send,
    shown,
    us,
    with_queue_and_priority,
    zone_name,
)
from z4j_celery.schedulers.beat_last_runs import Memory

SEEN_EVERY_US: Final = 500_000
IN_CODE: Final = "these entries are defined in code; they are changed by overrides"


@dataclasses.dataclass(frozen=True, slots=True)
class OverriddenEntry:
    """The requested state of an entry. `rule` is None for a one-off, `at` is its time in microseconds UTC. For an unchanged entry of the
    code, `args`, `kwargs`, `options` and `rule` are the same objects as in beat, so that a change by the application is detected."""

    key: str
    name: str
    task: str
    args: Any
    kwargs: Any
    options: Any
    rule: Any
    at: int
    is_enabled: bool
    is_code: bool
    is_changed: bool = False
    """Whether an override changes it."""

    @property
    def is_active(self) -> bool:
        """Whether it is in beat's dictionary."""
        return self.is_enabled and self.rule is not None


class CodeStore:
    """`scheduler` is beat's, `fired` reports a one-off that was sent, `memory` stores the runs of changed entries."""

    name: ClassVar[str] = "code"

    def __init__(self, app: Any, scheduler: Any, fired: Callable[..., None], memory: Memory) -> None:
        self._app = app
        self._scheduler = scheduler
        self._fired = fired
        self._memory = memory
        self._code = {name: planned_of(name, entry) for name, entry in dict(scheduler.schedule).items()}
        """The code's entries: the current ones, and for changed entries those before the change. Replaced, never modified."""
        self._plan: dict[str, OverriddenEntry | None] = dict(self._code)
        """The requested entries, None for deleted ones. Replaced, never modified."""
        self._waiting: dict[str, OverriddenEntry | None] | None = None
        """The plan that the next tick applies."""
        self._put: set[str] = set()
        """Keys of entries that were changed in beat's dictionary, removed from it, or added."""
        self._aside: dict[str, Any] = {}
        """Disabled entries, with the data of their runs."""
        self._moved: dict[str, int] = {}
        """Key → the time, in microseconds UTC, from which an entry counts that did not run at that time."""
        self._once: dict[str, OverriddenEntry] = {}
        self._seen: dict[str, Any] = dict(scheduler.schedule)
        """The entries after the last tick; the agent's thread reads these."""
        self._seen_at = 0
        self._planning = threading.Lock()
        """Protects the replacement of the code's entries or the plan, by beat's thread or the agent's."""

    # -- beat's thread -------------------------------------------------------------------------------------------------
    def around_tick(self, tick: Callable[..., float], *args: Any, **options: Any) -> float:
        self._before_tick()
        seconds = tick(*args, **options)
        if not self._once:
            return seconds
        soonest = min(entry.at for entry in self._once.values())
        return min(seconds, max(0.01, (soonest - now()) / 1_000_000))

    @guard("a tick of beat")
    def _before_tick(self) -> None:
        plan, self._waiting = self._waiting, None
        if plan is not None:
            self._install_plan(plan)
        at = now()
        for key, entry in [(key, entry) for key, entry in self._once.items() if entry.at <= at]:
            del self._once[key]
            self._send_once(entry)
        if plan is not None or at - self._seen_at > SEEN_EVERY_US:
            self._look()

    def _send_once(self, entry: OverriddenEntry) -> None:
        # Marked first, as beat updates an entry before it is sent: a missed run is better than a double one.
        self._memory.mark_sent(entry.key, entry.at)
        try:
            task_id = send(self._app, entry.task, entry.args, entry.kwargs, entry.options, producer=self._scheduler.producer)
        except Exception as error:
            self._fired(entry.key, entry.at, "", error)
            raise
        self._fired(entry.key, entry.at, task_id)

    def _look(self) -> None:
        """Reads beat's dictionary. Changes by the application itself count as code."""
        seen = dict(self._scheduler.schedule)
        self._seen, self._seen_at = seen, now()
        fresh = {
            key: planned_of(key, entry) for key, entry in seen.items() if key not in self._put and not same(self._code.get(key), entry)
        }
        gone = [key for key in self._code if key not in seen and key not in self._put]
        if fresh or gone:
            with self._planning:
                self._code = {key: entry for key, entry in {**self._code, **fresh}.items() if key not in gone}
                self._plan = {key: entry for key, entry in {**self._plan, **fresh}.items() if key not in gone}
        if isinstance(self._scheduler, PersistentScheduler):  # a plain Scheduler stores nothing for entries of the code either
            of_put = [(key, self._plan.get(key)) for key in self._put]
            self._memory.keep_runs(
                {
                    key: [rule_text(entry.rule), us(seen[key].last_run_at) or 0, seen[key].total_run_count or 0]
                    for key, entry in of_put if key in seen and entry is not None and entry.rule is not None
                }
            )  # fmt: skip

    def _install_plan(self, plan: dict[str, OverriddenEntry | None]) -> None:
        schedule, is_changed = self._scheduler.schedule, False
        for key in [key for key in self._put if key not in plan]:  # created by operators, and deleted; or by code that was removed
            schedule.pop(key, None)
            self._put.discard(key)
            self._aside.pop(key, None)
            is_changed = True
        for key, entry in plan.items():
            is_as_coded = entry is not None and not entry.is_changed
            if is_as_coded and key not in self._put:
                continue
            is_changed = True
            self._put_one(schedule, key, self._code.get(key, entry) if is_as_coded else entry)
            if is_as_coded:
                self._put.discard(key)
            else:
                self._put.add(key)
        late = now() - LATE_US
        once = [entry for entry in plan.values() if entry is not None and entry.rule is None and entry.is_enabled]
        self._once = {entry.key: entry for entry in once if entry.at > late and not self._memory.was_sent(entry.key, entry.at)}
        if is_changed:
            self._scheduler._heap = None  # beat compares entries by what is in them, and an entry changed in place equals itself

    def _put_one(self, schedule: Any, key: str, planned: OverriddenEntry | None) -> None:
        if planned is None or not planned.is_active:
            entry = schedule.pop(key, None)
            if entry is not None:
                self._aside[key] = entry
            return
        entry = schedule.get(key)
        if entry is None:
            entry = self._aside.pop(key, None)
        if entry is None:
            entry = self._scheduler.Entry(name=key, task=planned.task, schedule=planned.rule, app=self._app)
            self._remember(key, planned, entry)
        elif entry.schedule != planned.rule:
            entry.schedule = planned.rule
            self._remember(key, planned, entry)
        elif key not in schedule and is_missed(
            planned.rule, entry.last_run_at
        ):  # runs that were due while it was disabled are not caught up
            self._count_from_now(key, entry)
        entry.task, entry.schedule, entry.args, entry.kwargs, entry.options = (
            planned.task,
            planned.rule,
            planned.args,
            planned.kwargs,
            planned.options,
        )
        schedule[key] = entry

    def _remember(self, key: str, planned: OverriddenEntry, entry: Any) -> None:
        """Sets the last run of an entry with a rule that is new to beat: the stored one if the rule was the same before a restart, else
        now."""
        rule, last_at, count = self._memory.runs.get(key, ("", 0, 0))
        if rule == rule_text(planned.rule) and isinstance(self._scheduler, PersistentScheduler):
            entry.last_run_at = datetime.fromtimestamp(last_at / 1_000_000, entry.default_now().tzinfo)
            entry.total_run_count = count
        elif is_missed(planned.rule, entry.last_run_at):
            self._count_from_now(key, entry)

    def _count_from_now(self, key: str, entry: Any) -> None:
        entry.last_run_at = entry.default_now()
        self._moved[key] = us(entry.last_run_at) or 0

    # -- the agent's thread --------------------------------------------------------------------------------------------
    def apply(self, overrides: list[Override]) -> dict[str, str]:
        """Plans the code's entries with exactly these overrides. Returns key → reason of those that cannot be applied."""
        with self._planning:
            code = self._code
            resolved = resolve(overrides, code, self._changed)
            off = {key: dataclasses.replace(code[key], is_enabled=False, is_changed=True) for key in resolved.off}
            self._plan = self._waiting = {**code, **off, **resolved.changed, **dict.fromkeys(resolved.deleted)}
        return resolved.failed

    def _changed(self, override: Override, spec: ScheduleSpec) -> OverriddenEntry:
        code = self._code.get(override.key)
        base = code or self._plan.get(override.key)
        task = self._known(spec.task_name)
        check_zone(spec, zone_name(self._app.timezone))
        args, kwargs = merge_arguments(spec, base.args, base.kwargs) if base is not None else merge_arguments(spec)
        is_once = spec.kind == "once"
        at = us(read_time(spec.expression)) or 0 if is_once else 0
        rule = None if is_once else rule_of(spec, self._app)
        is_on = override.is_enabled and spec.is_enabled
        options = with_queue_and_priority(code.options if code is not None else None, spec)
        return OverriddenEntry(
            override.key, spec.name or override.key, task, args, kwargs, options, rule, at, is_on, code is not None, is_changed=True
        )

    def _known(self, name: str) -> str:
        """Checks a task name. Beat often has none of the app's tasks; if it has imported some, the name must be among them. Raises
        Refused."""
        registered = [name for name in list(self._app.tasks) if not name.startswith("celery.")]
        used = {entry.task for entry in self._code.values()}
        if not name or (name not in used and (not registered or name not in self._app.tasks)):
            raise Refused(f"this application has no task {name or 'without a name'}. No changes were made.")
        return name

    def list_entries(self, last: OrderedDict[str, int]) -> list[ScheduleInfo]:
        seen, zone, plan = self._seen, zone_name(self._app.timezone), self._plan
        return [
            readable(key, functools.partial(self._info, entry, seen.get(key) or self._aside.get(key), zone, last.get(key)))
            for key, entry in plan.items() if entry is not None
        ]  # fmt: skip

    def _info(self, planned: OverriddenEntry, entry: Any, zone: str, fired_at: int | None) -> ScheduleInfo:
        args, kwargs = shown(self._app, planned.task, planned.args, planned.kwargs)
        note = ""
        if planned.rule is None:
            at = datetime.fromtimestamp(planned.at / 1_000_000, UTC).isoformat(timespec="seconds")
            kind, expression, its_zone = "once", at, "UTC"
            waits = planned.key in self._once or (self._waiting is not None and planned.at > now() - LATE_US)
            next_at = planned.at if waits else None
            note = "" if waits or not planned.is_enabled else "Its time has passed."
        else:
            kind, expression, its_zone = form_of(planned.rule, zone)
            next_at = us(due_of(planned.rule, entry.last_run_at if entry is not None else planned.rule.now()))
        ran_at = us(entry.last_run_at) if entry is not None and entry.total_run_count else None
        if ran_at == self._moved.get(planned.key):
            ran_at = None
        last_at = max((value for value in (fired_at, ran_at) if value is not None), default=None)
        unsupported_edits = {"save": f"its rule, {expression[:120]}, is supported only by Celery"} if kind == "other" else {}
        options = planned.options or {}
        return ScheduleInfo(
            key=planned.key, name=planned.name, kind=kind, expression=expression, timezone=its_zone,  # type: ignore[arg-type]
            task_name=planned.task, args=args, kwargs=kwargs, queue=str(options.get("queue") or ""), priority=options.get("priority"),
            is_enabled=planned.is_enabled, next_at=next_at if planned.is_enabled else None, last_at=last_at,
            is_code=planned.is_code, unable=unsupported_edits, note=note,
        )  # fmt: skip

    def entry(self, key: str) -> tuple[str, Any, Any, dict[str, Any]]:
        planned = self._plan.get(key)
        if planned is None:
            raise Refused("the scheduler no longer has this schedule. No changes were made.")
        return planned.task, planned.args, planned.kwargs, dict(planned.options or {})

    def save(self, spec: ScheduleSpec) -> dict[str, Any]:
        raise Refused(IN_CODE)

    def delete(self, key: str) -> dict[str, Any]:
        raise Refused(IN_CODE)

    def switch(self, key: str, *, on: bool) -> dict[str, Any]:
        raise Refused(IN_CODE)


def own_memory() -> Memory:
    """Path of the file, next to the stored overrides and, like them, by environment."""
    agent = z4j_agent.current()
    folder = None if agent is None else agent.shipper.folder
    return Memory(None if agent is None or folder is None else folder / f"runs-celery_beat-{digest_of(agent.settings.environment)}.json")


def planned_of(key: str, entry: Any) -> OverriddenEntry:
    return OverriddenEntry(key, key, entry.task, entry.args, entry.kwargs, entry.options, entry.schedule, 0, True, True)


def same(planned: OverriddenEntry | None, entry: Any) -> bool:
    """Whether an entry is unchanged since it was read from the code: beat passes these objects on from run to run."""
    return (
        planned is not None and planned.rule is entry.schedule and planned.task == entry.task
        and planned.args is entry.args and planned.kwargs is entry.kwargs and planned.options is entry.options
    )  # fmt: skip


def rule_text(rule: Any) -> str:
    return " ".join(form_of(rule, "")[:2])
