# SPDX-License-Identifier: Apache-2.0
"""The entries of django-celery-beat: rows of the application's own database, changed through its ORM.

Always by `save()` and `delete()`: beat does not notice a `queryset.update()`. The agent's thread has a connection of its own, closed after
each use, so that no connection is left to a database that stops.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import OperationalError, connections, transaction
from django_celery_beat import models

from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.overrides import merge_arguments
from z4j_agent.contract.scheduler import ScheduleInfo, ScheduleSpec, read_interval, read_time
from z4j_agent.runtime.time_zones import find_zone
from z4j_celery.schedulers.beat_conversion import (
    REWRITTEN,
    check_row,
    check_zone,
    due_of,
    fields_of,
    form_of,
    is_missed,
    read_json,
    readable,
    refuse_past,
    shown,
    us,
    zone_name,
)

MOST: Final = 2_000
LONGEST: Final = 200
PAUSES_S: Final = (0.05, 0.1, 0.2, 0.4)
OWN_CLEANUP: Final = "celery.backend_cleanup"
"""Beat creates this entry itself (django_celery_beat/schedulers.py: `install_default_entries`)."""


@contextmanager
def _database() -> Iterator[None]:
    """This thread's connections, closed at the end; those of other threads are not touched."""
    try:
        yield
    finally:
        connections.close_all()


def _change(act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Runs a function in one transaction, and again if the database refused it in favour of another: SQLite refuses at once to write after
    it has read while beat writes ("database is locked", whatever its timeout), others end one of two that wait for each other."""
    with _database():
        for pause_s in PAUSES_S:
            try:
                with transaction.atomic():
                    return act()
            except OperationalError:
                time.sleep(pause_s)
        with transaction.atomic():
            return act()


class DjangoStore:
    """`PeriodicTask` and the tables of its rules. A key is the row's name, which is unique there."""

    name: ClassVar[str] = "django"

    def __init__(self, app: Any) -> None:
        self._app = app

    def list_entries(self, last: OrderedDict[str, int]) -> list[ScheduleInfo]:
        with _database():
            rows = list(models.PeriodicTask.objects.select_related("interval", "crontab", "solar", "clocked").order_by("name")[:MOST])
            return [
                readable(row.name, partial(self._info, row, last.get(row.name)), row.task, is_enabled=bool(row.enabled)) for row in rows
            ]

    def _listed(self, row: Any, fired_at: int | None) -> ScheduleInfo:
        return readable(row.name, partial(self._info, row, fired_at), row.task, is_enabled=bool(row.enabled))

    def _info(self, row: Any, fired_at: int | None) -> ScheduleInfo:
        rule = row.schedule
        kind, expression, its_zone = form_of(rule, zone_name(self._app.timezone))
        read_json("headers", row.headers, dict)
        args, kwargs = shown(self._app, row.task, read_json("args", row.args, list), read_json("kwargs", row.kwargs, dict))
        last_at = max((at for at in (fired_at, us(row.last_run_at)) if at is not None), default=None)
        unsupported_edits = {"save": f"its rule, {expression[:120]}, is supported only by Celery"} if kind == "other" else {}
        if self._is_rewritten(row.name):
            unsupported_edits |= dict.fromkeys(("save", "delete"), REWRITTEN)
        notes = [f"Ends {row.expires.isoformat(timespec='minutes')}."] if row.expires else []
        if row.one_off and kind != "once":
            notes.append("Runs once and is then disabled.")
        next_at = self._next(row, rule, last_at)
        if kind == "once" and row.enabled and next_at is None:
            notes.append("Its time has passed.")
        return ScheduleInfo(
            key=row.name, name=row.name, kind=kind, expression=expression, timezone=its_zone, task_name=row.task, args=args, kwargs=kwargs,
            queue=row.queue or "", priority=row.priority, is_enabled=bool(row.enabled), next_at=next_at,
            last_at=last_at, unable=unsupported_edits, note=" ".join(notes),
        )  # fmt: skip

    def _next(self, row: Any, rule: Any, last_at: int | None) -> int | None:
        """The next due time as `ModelEntry` computes it: from the last run, else from the last change of the row, and not before its
        start."""
        if not row.enabled or (row.one_off and row.total_run_count):
            return None
        if row.clocked is not None and last_at is not None and last_at >= (us(row.clocked.clocked_time) or 0):
            return None  # it was sent; beat disables it when it reads its table again
        since = datetime.fromtimestamp(last_at / 1_000_000, UTC) if last_at is not None else row.date_changed or datetime.now(UTC)
        starts = us(row.start_time)
        if starts is None or (us(since) or 0) >= starts:
            return us(due_of(rule, since))
        return us(due_of(rule, row.start_time - timedelta(seconds=1))) if row.crontab else starts

    def _is_rewritten(self, name: str) -> bool:
        return name == OWN_CLEANUP or name in self._app.conf.beat_schedule

    def save(self, spec: ScheduleSpec) -> dict[str, Any]:
        check_row(spec, LONGEST)
        return _change(lambda: self._save(spec))

    def _save(self, spec: ScheduleSpec) -> dict[str, Any]:
        row = self._find(spec.key) if spec.key else models.PeriodicTask()
        self._refuse_rewritten(spec.key)
        if spec.key != spec.name and models.PeriodicTask.objects.filter(name=spec.name).exists():
            raise Refused(f"an entry {spec.name[:80]} already exists. No changes were made.")
        self._check_task(spec.task_name, row)
        rule = self._rule(spec)
        old = (read_json("args", row.args, list), read_json("kwargs", row.kwargs, dict))
        read_json("headers", row.headers, dict)
        args, kwargs = merge_arguments(spec, *old)
        row.name, row.task, row.enabled = spec.name, spec.task_name, spec.is_enabled
        row.args, row.kwargs = json.dumps(args), json.dumps(kwargs)
        row.queue, row.priority = spec.queue or None, spec.priority
        row.one_off = "clocked" in rule or (row.one_off and row.clocked is None)
        self._put_rule(row, rule)
        try:
            row.save()
        except ValidationError as error:
            raise Refused("; ".join(error.messages)[:300]) from None
        return {"key": row.name}

    def _put_rule(self, row: Any, rule: dict[str, Any]) -> None:
        is_changed = any(getattr(row, field) != made for field, made in rule.items())
        row.interval = row.crontab = row.solar = row.clocked = None
        for field, made in rule.items():
            setattr(row, field, made)
        if row.pk is None:
            return
        if row.clocked is not None:
            # A new row: one-offs that ran are disabled by their number of runs, and beat writes its own number into the old one.
            models.PeriodicTask.objects.filter(pk=row.pk).delete()
            row.pk, row.last_run_at, row.total_run_count = None, None, 0
            row._state.adding = True
        elif is_changed and row.last_run_at is not None and is_missed(row.schedule, row.last_run_at):
            row.last_run_at = self._from_now(row)

    def _from_now(self, row: Any) -> datetime | None:
        """The value of `last_run_at` with which no missed run is caught up. None is counted from the change of the row; with a start it
        would be due at once."""
        if row.start_time is None:
            return None
        is_aware = getattr(settings, "DJANGO_CELERY_BEAT_TZ_AWARE", True)
        return datetime.now(self._app.timezone) if is_aware else datetime.now(UTC).replace(tzinfo=None)

    def _refuse_rewritten(self, key: str) -> None:
        if key and self._is_rewritten(key):
            raise Refused(REWRITTEN)

    def _rule(self, spec: ScheduleSpec) -> dict[str, Any]:
        """The row of its rule, existing or new: several entries may share one."""
        if spec.kind == "interval":
            seconds = read_interval(spec.expression)
            if seconds != int(seconds):
                period, every = models.MICROSECONDS, int(seconds * 1_000_000)
            else:
                period, every = models.SECONDS, int(seconds)
            # Not get_or_create, here and below: two equal rows are possible there.
            row = models.IntervalSchedule.objects.filter(every=every, period=period).first()
            return {"interval": row or models.IntervalSchedule.objects.create(every=every, period=period)}
        if spec.kind == "once":
            at = read_time(spec.expression)
            at = at if settings.USE_TZ else at.replace(tzinfo=None)  # `clocked` reads a naive time as UTC
            row = models.ClockedSchedule.objects.filter(clocked_time=at).first()
            return {"clocked": row or models.ClockedSchedule.objects.create(clocked_time=at)}
        own = zone_name(self._app.timezone)
        if not getattr(settings, "DJANGO_CELERY_BEAT_TZ_AWARE", True):
            check_zone(spec, own)  # the row's own zone is not used then (django_celery_beat/models.py: `CrontabSchedule.schedule`)
        values = {**fields_of(spec), "timezone": find_zone(spec.timezone or own)}
        row = models.CrontabSchedule.objects.filter(**values).first()
        return {"crontab": row or models.CrontabSchedule.objects.create(**values)}

    def _check_task(self, name: str, row: Any) -> None:
        own = [name for name in self._app.tasks if not name.startswith("celery.")]
        is_known = name in self._app.tasks or name == row.task or models.PeriodicTask.objects.filter(task=name).exists()
        if not name or (not is_known and own) or not (is_known or own):
            raise Refused(f"this application has no task {name}. No changes were made." if name else "a schedule requires a task")

    def delete(self, key: str) -> dict[str, Any]:
        self._refuse_rewritten(key)

        def act() -> dict[str, Any]:
            self._find(key).delete()
            return {}

        return _change(act)

    def switch(self, key: str, *, on: bool) -> dict[str, Any]:
        def act() -> dict[str, Any]:
            row = self._find(key)
            if on and row.clocked is not None:
                refuse_past(row.clocked.clocked_time, 0)  # it may have been sent
            if on and not row.enabled:
                row.last_run_at = self._from_now(row)  # runs that were due while it was disabled are not caught up
            row.enabled = on
            row.save()
            return {}

        return _change(act)

    def entry(self, key: str) -> tuple[str, Any, Any, dict[str, Any]]:
        """Returns the entry's task with the options of `ModelEntry`, except the entry's end, which does not apply to this task."""
        with _database():
            row = self._find(key)
            options = {
                name: value for name in ("queue", "exchange", "routing_key", "priority") if (value := getattr(row, name)) is not None
            }
            if row.expire_seconds:
                options["expires"] = row.expire_seconds
            options["headers"] = {**read_json("headers", row.headers, dict), "periodic_task_name": row.name}
            return row.task, read_json("args", row.args, list), read_json("kwargs", row.kwargs, dict), options

    def _find(self, key: str) -> Any:
        row = models.PeriodicTask.objects.filter(name=key).first()
        if row is None:
            raise Refused("the scheduler no longer has this schedule. No changes were made.")
        return row
