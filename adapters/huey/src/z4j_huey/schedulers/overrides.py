# SPDX-License-Identifier: Apache-2.0
"""Overrides of a Huey object's schedules: checked, and with their next times. Without I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.overrides import merge_arguments, resolve
from z4j_agent.contract.scheduler import Override, ScheduleSpec, read_cron, read_interval, read_time
from z4j_agent.runtime.time_zones import check_only_zone, zone_of_host
from z4j_agent.wire.cron import Cron
from z4j_huey.messages import ENGINE
from z4j_huey.schedulers.timing import next_match
from z4j_huey.state import HueyState

SECOND = 1_000_000


class OverriddenEntry:
    """A new or changed entry. The scheduler's loop updates `next_at`."""

    def __init__(self, spec: ScheduleSpec, task_class: Any, args: list[Any], kwargs: dict[str, Any], *, is_utc: bool) -> None:
        """The rule of a spec. Raises Refused if the expression is not supported."""
        self.key = spec.key
        self.spec = spec
        self.task_class = task_class
        self.args, self.kwargs = args, kwargs
        self.is_enabled = spec.is_enabled
        self.expression = spec.expression
        self.next_at: int | None = None
        """When it is due, in microseconds UTC; None if it is not due again."""
        self._is_utc = is_utc
        self._cron: Cron | None = None
        self._every = self._at = 0
        if spec.kind == "cron":
            self._cron = read_cron(spec.expression, ENGINE)
            self.expression = self._cron.text
        elif spec.kind == "interval":
            self._every = int(read_interval(spec.expression) * SECOND)
        else:
            self._at = int(read_time(spec.expression).timestamp() * SECOND)

    def after(self, at: int) -> int | None:
        """Returns the first due time after `at`. Intervals count from 1970, so that neither a restart nor a second consumer moves them."""
        if self._cron is not None:
            return next_match(self._cron, at, is_utc=self._is_utc)
        if self._every:
            return (at // self._every + 1) * self._every
        return self._at if self._at > at else None

    def skip_past(self, at: int) -> None:
        self.next_at = self.after(at)

    def latest(self, due_at: int, at: int) -> int:
        """Returns the due time between `due_at` and `at` that is fired."""
        return at // self._every * self._every if self._every else due_at

    def make(self) -> Any:
        return self.task_class(tuple(self.args), dict(self.kwargs), priority=self.spec.priority)

    def has_same_timing(self, other: OverriddenEntry) -> bool:
        """Whether another entry is due at the same times."""
        return (self.spec.kind, self.expression) == (other.spec.kind, other.expression)


@dataclass(frozen=True, slots=True)
class State:
    """The overrides that apply. Replaced as a whole."""

    plan: dict[str, OverriddenEntry] = field(default_factory=dict)
    """Entries that z4j fires instead of Huey, also disabled ones."""
    hidden: frozenset[str] = frozenset()
    """Keys of the code's entries that Huey does not fire."""
    deleted: frozenset[str] = frozenset()
    off: frozenset[str] = frozenset()
    """Keys of the code's entries that are disabled and not otherwise changed."""


def state_of(state: HueyState, overrides: list[Override], before: State, at: int) -> tuple[State, dict[str, str]]:
    """Returns the state for the code's entries with these overrides, and key → reason of overrides that cannot be applied. Unchanged
    entries keep their next time."""
    coded = {task_name(task_class) for task_class in list(state.huey._registry._periodic_tasks)}
    resolved = resolve(overrides, coded, lambda override, spec: _planned(state, override, spec, before.plan.get(override.key)))
    for key, planned in resolved.changed.items():
        old = before.plan.get(key)
        is_going_on = old is not None and old.is_enabled and planned.is_enabled and planned.has_same_timing(old)
        planned.next_at = old.next_at if old is not None and is_going_on else planned.after(at)
    hidden = frozenset(coded & (resolved.deleted | resolved.off | set(resolved.changed)))
    return State(resolved.changed, hidden, resolved.deleted, resolved.off), resolved.failed


def task_name(task_class: Any) -> str:
    """Returns the name of a task class, like `Registry.task_to_string` (huey/registry.py)."""
    return f"{task_class.__module__}.{task_class.__name__}"


# -- what Huey supports---------------------------------------------------------------------------------------------
def _planned(state: HueyState, override: Override, spec: ScheduleSpec, before: OverriddenEntry | None) -> OverriddenEntry:
    huey = state.huey
    name = spec.task_name or ("" if override.is_new else override.key)
    task_class = huey._registry._registry.get(name)
    if task_class is None:
        raise Refused(f"this application has no task {name or 'without a name'}. No changes were made.")
    if spec.queue and spec.queue != huey.name:
        raise Refused(f"this consumer sends to {huey.name} only. No changes were made.")
    _check_priority(huey, spec.priority)
    own_zone = zone_of(huey)
    if spec.kind == "cron":
        check_only_zone(spec.timezone, own_zone, "Huey")
    least_s = max(1, int(state.lifecycle.consumer.scheduler_interval)) if state.lifecycle.consumer is not None else 1
    args, kwargs = merge_arguments(spec, before.args, before.kwargs) if before is not None else merge_arguments(spec)
    planned = OverriddenEntry(spec, task_class, args, kwargs, is_utc=huey.utc)
    if spec.kind == "interval" and float(spec.expression) < least_s:
        raise Refused(f"this consumer's scheduler checks every {least_s} s; that is the shortest interval. No changes were made.")
    planned.key = override.key
    planned.is_enabled = override.is_enabled and spec.is_enabled
    return planned


def zone_of(huey: Any) -> str:
    """Returns the time zone in which this object compares times."""
    return "UTC" if huey.utc else zone_of_host()


def _check_priority(huey: Any, priority: int | None) -> None:
    """Checks a priority, with the limits of the storages (huey/storage.py, `enqueue`)."""
    most = getattr(huey.storage, "MAX_PRIORITY", None)
    if priority and not getattr(huey.storage, "priority", True):
        raise Refused("this storage of Huey does not support priorities. No changes were made.")
    if priority is not None and most is not None and not 0 <= priority <= most:
        raise Refused(f"this storage has priorities from 0 to {most}. No changes were made.")
