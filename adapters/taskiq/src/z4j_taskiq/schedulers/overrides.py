# SPDX-License-Identifier: Apache-2.0
"""taskiq's entries and overrides: keys, checks, and the code's entries with overrides. Without I/O.

taskiq gives an entry of a label a new random id at every start, unless the label has one (schedule_sources/label_based.py). So an entry
without an ID of its own is identified by its task and a digest of its content.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from taskiq.scheduler.scheduled_task import ScheduledTask

from z4j_agent.capture.originals import is_plain
from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.overrides import merge_arguments, resolve
from z4j_agent.contract.scheduler import Kind, Override, ScheduleSpec, digest_of, read_time, read_whole_interval
from z4j_agent.contract.scheduler import read_cron as read_expression
from z4j_agent.runtime.time_zones import find_zone
from z4j_taskiq.messages import RETRIES, is_rabbitmq, number, queue_of
from z4j_taskiq.queues import names_of
from z4j_taskiq.schedulers.timing import SECOND, read_cron, to_pycron, zone_of

HAS_INTERVALS = "interval" in ScheduledTask.model_fields
"""Older versions of taskiq have only cron and one-offs."""
_TIMING = tuple(name for name in ("cron", "cron_offset", "time", "interval") if name in ScheduledTask.model_fields)


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule of an entry in z4j's form."""

    kind: Kind
    expression: str
    timezone: str
    note: str = ""


def rule_of(task: Any) -> Rule:
    """Returns the rule of an entry; of kind `other`, with taskiq's own text, if no expression is equivalent."""
    if task.cron is not None:
        zone = zone_of(task.cron_offset)[1]
        read = read_cron(task.cron)
        if zone is not None and read.expression is not None:
            return Rule("cron", read.expression, zone)
        words = f"cron {task.cron}" + (f" {task.cron_offset}" if task.cron_offset else "")
        is_never = read.cron is None or zone_of(task.cron_offset)[0] is None or _next_cron(task, 0) is None
        return Rule("other", words[:500], "", "taskiq cannot parse this schedule and never runs it." if is_never else "")
    every = interval_of(task)
    if every is not None:
        return Rule("interval", str(every // SECOND), "")
    return Rule("once", datetime.fromtimestamp(time_of(task) / SECOND, UTC).isoformat(), "UTC")


def interval_of(task: Any) -> int | None:
    """Returns an interval in microseconds; taskiq has whole seconds, as a number or as a timedelta."""
    every = getattr(task, "interval", None)
    if every is None:
        return None
    return int(every.total_seconds() if isinstance(every, timedelta) else every) * SECOND


def is_once(task: Any) -> bool:
    return task.cron is None and interval_of(task) is None


def time_of(task: Any) -> int:
    """Returns the time of a one-off, in microseconds UTC; a naive time is UTC (cli/scheduler/run.py, to_tz_aware)."""
    at = task.time
    return int((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() * SECOND)


def next_of(task: Any, last_run: datetime | None, at: int) -> int | None:
    """When it is due next, in microseconds UTC: an interval counts from its last run in this process, and is due at once without one."""
    if task.cron is not None:
        return _next_cron(task, at)
    every = interval_of(task)
    if every is not None:
        return (at if last_run is None else int(last_run.timestamp()) * SECOND + every) // SECOND * SECOND
    return time_of(task)


def _next_cron(task: Any, at: int) -> int | None:
    zone = zone_of(task.cron_offset)[0]
    return None if zone is None else read_cron(task.cron).next_after(at, zone)


def is_retry(task: Any) -> bool:
    """Whether it is the next attempt of a failed task, which SmartRetryMiddleware adds to a schedule source: not a schedule."""
    return number(task.labels.get(RETRIES)) > 0


# -- keys --------------------------------------------------------------------------------------------------------------
def keys_of(broker: Any, tasks: Iterable[Any]) -> dict[str, Any]:
    """Key → entry of the code; the keys are the same after a restart."""
    given = {
        entry["schedule_id"]
        for known in broker.get_all_tasks().values()
        for entry in (known.labels or {}).get("schedule") or ()
        if isinstance(entry, dict) and "schedule_id" in entry
    }
    keyed: dict[str, Any] = {}
    for task in tasks:
        key = task.schedule_id if task.schedule_id in given else f"{task.task_name}#{_digest(task)}"
        count = 1
        while key in keyed:  # the same line twice
            count += 1
            key = f"{key.partition('*')[0]}*{count}"
        keyed[key] = task
    return keyed


def _digest(task: Any) -> str:
    values = [task.cron, str(task.cron_offset or ""), str(task.time or ""), interval_of(task), task.args, task.kwargs]
    return digest_of(json.loads(json.dumps(values, default=str)))[:10]


# -- requests------------------------------------------------------------------------------------------------
def task_of(broker: Any, spec: ScheduleSpec, schedule_id: str, old: Any = None) -> Any:
    """Returns the entry of a spec; fields that it leaves out stay as in the old one. Raises Refused if taskiq does not support it."""
    name = spec.task_name or (old.task_name if old is not None else "")
    known = broker.find_task(name)
    if known is None and (old is None or name != old.task_name):
        raise Refused(f"this application has no task {name[:200] or 'without a name'}. No changes were made.")
    labels = dict(old.labels) if old is not None else {key: value for key, value in known.labels.items() if key != "schedule"}
    _put_queue(broker, labels, spec.queue)
    if spec.priority is not None:
        if not is_rabbitmq(broker):
            raise Refused("this broker does not support priorities. No changes were made.")
        labels["priority"] = spec.priority
    timing = _timing(spec) if old is None or not _is_as(spec, old) else {name: getattr(old, name, None) for name in _TIMING}
    old_args, old_kwargs = (old.args, old.kwargs) if old is not None else ([], {})
    if (spec.args is not None and not is_plain(old_args)) or (spec.kwargs is not None and not is_plain(old_kwargs)):
        raise Refused("its arguments are objects that cannot be written as JSON")
    args, kwargs = merge_arguments(spec, old_args, old_kwargs)
    try:
        return ScheduledTask(task_name=name, labels=labels, args=args, kwargs=kwargs, schedule_id=schedule_id, **timing)
    except ValueError as error:  # pydantic's
        raise Refused(f"taskiq refused it: {' '.join(str(error).split())[:300]}") from None


def _is_as(spec: ScheduleSpec, old: Any) -> bool:
    rule = rule_of(old)
    return (spec.kind, spec.expression) == (rule.kind, rule.expression) and (
        spec.kind != "cron" or (spec.timezone or "UTC") == rule.timezone
    )


def _put_queue(broker: Any, labels: dict[str, Any], queue: str) -> None:
    if not queue or queue == queue_of(broker, labels):
        return
    known = names_of(broker)
    if queue not in known:
        raise Refused(f"this broker sends to {', '.join(known) or 'one queue only'}, and has no queue {queue[:60]}. No changes were made.")
    labels[getattr(broker, "_label_for_routing", "queue_name")] = queue


def _timing(spec: ScheduleSpec) -> dict[str, Any]:
    if spec.kind == "interval":
        if not HAS_INTERVALS:
            raise Refused("this version of taskiq does not support intervals. No changes were made.")
        return {"interval": read_whole_interval(spec.expression, "taskiq's")}
    if spec.kind == "once":
        return {"time": read_time(spec.expression)}
    expression = read_expression(spec.expression, "taskiq")
    zone = spec.timezone or "UTC"
    find_zone(zone)
    return {"cron": to_pycron(expression), "cron_offset": None if zone == "UTC" else zone}


# -- the code, as overrides change it --------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the code, or an additional one."""

    key: str
    task: Any
    is_enabled: bool
    name: str
    own_id: str
    """Its ID in its source; "" for an additional entry."""
    is_changed: bool = False
    """Whether an operator has defined it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All entries, also disabled ones. Replaced as a whole."""

    entries: dict[str, Entry] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    """Key of an override → why it cannot be applied."""


def plan_of(broker: Any, coded: list[Any], overrides: list[Override]) -> Plan:
    """Applies overrides. `coded` contains the entries of the code's sources."""
    entries = {
        key: Entry(key, task, is_enabled=True, name=_name(key, task), own_id=task.schedule_id)
        for key, task in keys_of(broker, coded).items()
    }
    resolved = resolve(overrides, entries, lambda override, spec: _changed(broker, entries.get(override.key), override, spec))
    for key in resolved.off:
        entries[key] = replace(entries[key], is_enabled=False)
    entries |= resolved.changed
    return Plan({key: entry for key, entry in entries.items() if key not in resolved.deleted}, resolved.failed)


def _changed(broker: Any, old: Entry | None, override: Override, spec: ScheduleSpec) -> Entry:
    key, is_enabled = override.key, override.is_enabled and spec.is_enabled
    if old is None:
        return Entry(key, task_of(broker, spec, key), is_enabled, spec.name or key, own_id="", is_changed=True)
    # A source removes its one-off by the ID when that was sent: the code's entry must outlive the change.
    id = f"z4j:{old.own_id}" if spec.kind == "once" else old.own_id
    return Entry(key, task_of(broker, spec, id, old.task), is_enabled, spec.name or old.name, old.own_id, is_changed=True)


def _name(key: str, task: Any) -> str:
    return str(task.task_name) if key.startswith(f"{task.task_name}#") else key
