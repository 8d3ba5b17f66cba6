# SPDX-License-Identifier: Apache-2.0
"""The entries of celery-redbeat: a hash for each and a sorted set of due times, in Redis, through redbeat's own classes.

Entries of `beat_schedule` are written again whenever beat starts (redbeat 2.4, schedulers.py: `setup_schedule`), so a change would be lost;
they are listed, and can only be run.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar, Final

from redbeat.schedulers import RedBeatSchedulerEntry, ensure_conf, get_redis

from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.overrides import merge_arguments
from z4j_agent.contract.scheduler import ScheduleInfo, ScheduleSpec
from z4j_celery.schedulers.beat_conversion import (
    check_row,
    check_zone,
    due_of,
    form_of,
    is_missed,
    readable,
    rule_of,
    shown,
    us,
    with_queue_and_priority,
    zone_name,
)

MOST: Final = 2_000
LONGEST: Final = 255
STATIC: Final = "it is in beat_schedule, and redbeat writes it again at every start"


class RedbeatStore:
    """A key is the entry's name."""

    name: ClassVar[str] = "redbeat"

    def __init__(self, app: Any) -> None:
        self._app = app
        ensure_conf(app)

    def list_entries(self, last: OrderedDict[str, int]) -> list[ScheduleInfo]:
        conf, redis = self._app.redbeat_conf, get_redis(self._app)
        static = set(redis.smembers(conf.statics_key))
        prefix = len(conf.key_prefix)
        entries = []
        for key in redis.zrange(conf.schedule_key, 0, MOST - 1):
            name = key[prefix:]
            entries.append(readable(name, partial(self._read, name, name in static, last.get(name))))
        return entries

    def _read(self, name: str, is_static: bool, fired_at: int | None) -> ScheduleInfo:
        return self._info(self._find(name), is_static, fired_at)

    def _info(self, entry: Any, is_static: bool, fired_at: int | None) -> ScheduleInfo:
        kind, expression, zone = form_of(entry.schedule, zone_name(self._app.timezone))
        args, kwargs = shown(self._app, entry.task, entry.args or [], entry.kwargs or {})
        unsupported_edits = dict.fromkeys(("save", "delete", "enable", "disable"), STATIC) if is_static else {}
        if kind == "other":
            unsupported_edits["save"] = f"its rule, {expression[:120]}, is supported only by redbeat"
        ran_at = us(entry.last_run_at) if entry.total_run_count else None  # without a run it is the start of the entry
        last_at = max((at for at in (fired_at, ran_at) if at is not None), default=None)
        next_at = us(due_of(entry.schedule, entry.last_run_at) if entry.last_run_at is not None else datetime.now(UTC))
        return ScheduleInfo(
            key=entry.name, name=entry.name, kind=kind, expression=expression, timezone=zone, task_name=entry.task, args=args,
            kwargs=kwargs, queue=str((entry.options or {}).get("queue") or ""), priority=(entry.options or {}).get("priority"),
            is_enabled=bool(entry.enabled), next_at=next_at if entry.enabled else None, last_at=last_at, unable=unsupported_edits,
        )  # fmt: skip

    def save(self, spec: ScheduleSpec) -> dict[str, Any]:
        if spec.kind == "once":
            raise Refused("redbeat does not support one-offs; z4j's own scheduler does. No changes were made.")
        check_row(spec, LONGEST)
        check_zone(spec, zone_name(self._app.timezone))
        rule = rule_of(spec, self._app)
        before = self._find(spec.key) if spec.key else None
        if before is not None:
            self._refuse_static(before.name)
        if spec.key != spec.name and self._load(spec.name) is not None:
            raise Refused(f"an entry {spec.name[:80]} already exists. No changes were made.")
        self._check_task(spec.task_name, before)
        args, kwargs = merge_arguments(spec, before.args, before.kwargs) if before is not None else merge_arguments(spec)
        options = with_queue_and_priority(before.options if before is not None else None, spec)
        entry = RedBeatSchedulerEntry(
            spec.name, spec.task_name, rule, args=args, kwargs=kwargs, enabled=spec.is_enabled, options=options, app=self._app
        )
        since = before.last_run_at if before is not None else None
        is_fresh = since is None or is_missed(rule, since)  # it would be due at once
        entry.last_run_at = entry._default_now() if is_fresh else since
        entry.save()  # leaves `meta`, which contains its runs, unchanged if it exists
        if before is not None and is_fresh:
            entry.reschedule(entry.last_run_at)
        if before is not None and before.name != spec.name:
            before.delete()
        return {"key": spec.name}

    def _check_task(self, name: str, before: Any) -> None:
        own = [name for name in self._app.tasks if not name.startswith("celery.")]
        if not name or (own and name not in self._app.tasks and (before is None or before.task != name)):
            raise Refused(f"this application has no task {name or 'without a name'}. No changes were made.")

    def delete(self, key: str) -> dict[str, Any]:
        self._refuse_static(key)
        self._find(key).delete()
        return {}

    def switch(self, key: str, *, on: bool) -> dict[str, Any]:
        self._refuse_static(key)
        entry = self._find(key)
        was_on, entry.enabled = entry.enabled, on
        entry.save()
        if on and not was_on and (entry.last_run_at is None or is_missed(entry.schedule, entry.last_run_at)):
            entry.reschedule()  # from now: runs that were due while it was disabled are not caught up
        return {}

    def entry(self, key: str) -> tuple[str, Any, Any, dict[str, Any]]:
        entry = self._find(key)
        return entry.task, list(entry.args or []), dict(entry.kwargs or {}), dict(entry.options or {})

    def _refuse_static(self, name: str) -> None:
        if get_redis(self._app).sismember(self._app.redbeat_conf.statics_key, name):
            raise Refused(STATIC)

    def _load(self, name: str) -> Any:
        try:
            return RedBeatSchedulerEntry.from_key(RedBeatSchedulerEntry.generate_key(self._app, name), app=self._app)
        except KeyError:
            return None

    def _find(self, name: str) -> Any:
        entry = self._load(name)
        if entry is None:
            raise Refused("the scheduler no longer has this schedule. No changes were made.")
        return entry
