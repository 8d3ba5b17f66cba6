# SPDX-License-Identifier: Apache-2.0
"""The entries of django-celery-beat: rows of the application's own database, changed through its ORM.

Always by `save()` and `delete()`: a `queryset.update()` is not noticed by beat (facts, §6). The agent's thread has a connection of its
own, closed after each use, so that none is held for a database that goes away.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import connections
from django_celery_beat import models

import z4j_agent
from z4j_agent.adapter import Refused
from z4j_agent.edits import keep_masked
from z4j_agent.hooks import parameter_names
from z4j_agent.schedules import ScheduleInfo, ScheduleSpec, show_arguments
from z4j_celery.beat_forms import due_of, fields_of, form_of, seconds_of, time_of, us, zone, zone_name


@contextmanager
def _database() -> Iterator[None]:
    """This thread's connections, closed at the end; those of other threads are not touched."""
    try:
        yield
    finally:
        connections.close_all()


class DjangoStore:
    """`PeriodicTask` and the tables of its rules. A key is the row's name, which is unique there."""

    name: ClassVar[str] = "django"

    def __init__(self, app: Any) -> None:
        self._app = app

    def told(self, last: OrderedDict[str, int]) -> list[ScheduleInfo]:
        with _database():
            rows = list(models.PeriodicTask.objects.select_related("interval", "crontab", "solar", "clocked").order_by("name")[:2_000])
            return [self._told(row, last.get(row.name)) for row in rows]

    def _told(self, row: Any, fired_at: int | None) -> ScheduleInfo:
        rule = row.schedule
        kind, expression, its_zone = form_of(rule, zone_name(self._app.timezone))
        agent, task = z4j_agent.current(), self._app.tasks.get(row.task)
        names = parameter_names(task.run) if task is not None else ()
        given, named = _json(row.args, []), _json(row.kwargs, {})
        args, kwargs = show_arguments(given, named, agent.settings.redact if agent is not None else (), names)
        last_at = max((at for at in (fired_at, us(row.last_run_at)) if at is not None), default=None)
        since = datetime.fromtimestamp(last_at / 1_000_000, UTC) if last_at is not None else row.date_changed or datetime.now(UTC)
        next_at = us(due_of(rule, since)) if row.enabled else None
        if kind == "once" and row.one_off and row.total_run_count:
            next_at = None
        told = {"save": f"its rule, {expression[:120]}, is Celery's alone"} if kind == "other" else {}
        note = f"Ends {row.expires.isoformat(timespec='minutes')}." if row.expires else ""
        return ScheduleInfo(
            key=row.name, name=row.name, kind=kind, expression=expression, timezone=its_zone, task_name=row.task, args=args, kwargs=kwargs,
            queue=row.queue or "", priority=row.priority, is_enabled=bool(row.enabled), next_at=next_at, last_at=last_at, unable=told,
            note=note,
        )  # fmt: skip

    def save(self, spec: ScheduleSpec) -> dict[str, Any]:
        with _database():
            row = self._find(spec.key) if spec.key else models.PeriodicTask()
            if spec.key != spec.name and models.PeriodicTask.objects.filter(name=spec.name).exists():
                raise Refused(f"there is an entry {spec.name[:80]} already")
            self._check_task(spec.task_name, row)
            rule = self._rule(spec)
            old = (_json(row.args, []), _json(row.kwargs, {}))
            args, kwargs = keep_masked(old[0] if spec.args is None else spec.args, old[1] if spec.kwargs is None else spec.kwargs, *old)
            row.name, row.task, row.enabled = spec.name, spec.task_name, spec.is_enabled
            row.args, row.kwargs = json.dumps(args), json.dumps(kwargs)
            row.queue, row.priority = spec.queue or None, spec.priority
            row.interval = row.crontab = row.solar = row.clocked = None
            for field, made in rule.items():
                setattr(row, field, made)
            row.one_off = "clocked" in rule
            try:
                row.save()
            except ValidationError as error:
                raise Refused("; ".join(error.messages)[:300]) from None
            return {"key": row.name}

    def _rule(self, spec: ScheduleSpec) -> dict[str, Any]:
        """The row of its rule, found or made: several entries may share one."""
        if spec.kind == "interval":
            seconds = seconds_of(spec)
            if seconds != int(seconds):
                period, every = models.MICROSECONDS, int(seconds * 1_000_000)
            else:
                period, every = models.SECONDS, int(seconds)
            return {"interval": models.IntervalSchedule.objects.get_or_create(every=every, period=period)[0]}
        if spec.kind == "once":
            return {"clocked": models.ClockedSchedule.objects.get_or_create(clocked_time=time_of(spec))[0]}
        values = {**fields_of(spec), "timezone": zone(spec.timezone or zone_name(self._app.timezone))}
        found = models.CrontabSchedule.objects.filter(**values).first()  # not get_or_create: two equal rows are possible there
        return {"crontab": found or models.CrontabSchedule.objects.create(**values)}

    def _check_task(self, name: str, row: Any) -> None:
        own = [of for of in self._app.tasks if not of.startswith("celery.")]
        is_known = name in self._app.tasks or name == row.task or models.PeriodicTask.objects.filter(task=name).exists()
        if not name or (not is_known and own) or not (is_known or own):
            raise Refused(f"this application does not know {name or 'a task without a name'}")

    def delete(self, key: str) -> dict[str, Any]:
        with _database():
            self._find(key).delete()
            return {}

    def switch(self, key: str, *, on: bool) -> dict[str, Any]:
        with _database():
            row = self._find(key)
            row.enabled = on
            if on:
                row.last_run_at = datetime.now(UTC)  # what was due while it was off is not made up for
            row.save()
            return {}

    def entry(self, key: str) -> tuple[str, list[Any], dict[str, Any], dict[str, Any]]:
        with _database():
            row = self._find(key)
            options = {name: getattr(row, name) for name in ("queue", "exchange", "routing_key", "priority")}
            return row.task, _json(row.args, []), _json(row.kwargs, {}), options

    def _find(self, key: str) -> Any:
        row = models.PeriodicTask.objects.filter(name=key).first()
        if row is None:
            raise Refused("there is no such schedule here")
        return row


def _json(text: str | None, otherwise: Any) -> Any:
    try:
        return json.loads(text) if text else otherwise
    except ValueError:  # beat itself takes such a row out of service; it is listed all the same
        return otherwise
