# SPDX-License-Identifier: Apache-2.0
"""The entries of sqlalchemy-celery-beat: rows beside the application's own, through the models of that package and beat's own sessions."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from sqlalchemy_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, Period, PeriodicTask

import z4j_agent
from z4j_agent.adapter import Refused
from z4j_agent.edits import keep_masked
from z4j_agent.hooks import parameter_names
from z4j_agent.schedules import ScheduleInfo, ScheduleSpec, show_arguments
from z4j_celery.beat_forms import due_of, fields_of, form_of, seconds_of, time_of, us, zone, zone_name

MOST: Final = 2_000


class SqlalchemyStore:
    """A key is the row's name, which is unique there."""

    name: ClassVar[str] = "sqlalchemy"

    def __init__(self, app: Any, scheduler: Any) -> None:
        self._app = app
        self._make = scheduler.Session

    @contextmanager
    def _session(self) -> Iterator[Any]:
        """Committed at the end, undone where anything was raised."""
        session = self._make()
        try:
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise
        finally:
            session.close()

    def told(self, last: OrderedDict[str, int]) -> list[ScheduleInfo]:
        with self._session() as session:
            rows = session.query(PeriodicTask).order_by(PeriodicTask.name).limit(MOST).all()
            return [self._told(row, last.get(row.name)) for row in rows]

    def _told(self, row: Any, fired_at: int | None) -> ScheduleInfo:
        kind, expression, its_zone = form_of(row.schedule, zone_name(self._app.timezone))
        agent, task = z4j_agent.current(), self._app.tasks.get(row.task)
        names = parameter_names(task.run) if task is not None else ()
        secret = agent.settings.redact if agent is not None else ()
        args, kwargs = show_arguments(_json(row.args, []), _json(row.kwargs, {}), secret, names)
        last_at = max((at for at in (fired_at, us(row.last_run_at)) if at is not None), default=None)
        since = datetime.fromtimestamp(last_at / 1_000_000, UTC) if last_at is not None else datetime.now(UTC)
        next_at = us(due_of(row.schedule, since)) if row.enabled else None
        if kind == "once" and row.total_run_count:
            next_at = None
        unable = {"save": f"its rule, {expression[:120]}, is Celery's alone"} if kind == "other" else {}
        return ScheduleInfo(
            key=row.name, name=row.name, kind=kind, expression=expression, timezone=its_zone, task_name=row.task, args=args, kwargs=kwargs,
            queue=row.queue or "", priority=row.priority, is_enabled=bool(row.enabled), next_at=next_at, last_at=last_at, unable=unable,
        )  # fmt: skip

    def save(self, spec: ScheduleSpec) -> dict[str, Any]:
        with self._session() as session:
            row = self._find(session, spec.key) if spec.key else PeriodicTask(name=spec.name, task=spec.task_name)
            if spec.key != spec.name and session.query(PeriodicTask).filter_by(name=spec.name).first() is not None:
                raise Refused(f"there is an entry {spec.name[:80]} already")
            self._check_task(session, spec.task_name, row)
            rule = self._rule(session, spec)
            old = (_json(row.args, []), _json(row.kwargs, {}))
            args, kwargs = keep_masked(old[0] if spec.args is None else spec.args, old[1] if spec.kwargs is None else spec.kwargs, *old)
            row.name, row.task, row.enabled = spec.name, spec.task_name, spec.is_enabled
            row.args, row.kwargs = json.dumps(args), json.dumps(kwargs)
            row.queue, row.priority = spec.queue or None, spec.priority
            row.one_off = spec.kind == "once"
            row.schedule_model = rule
            session.add(row)
            return {"key": spec.name}

    def _rule(self, session: Any, spec: ScheduleSpec) -> Any:
        """The row of its rule, found or made: several entries may share one."""
        values: dict[str, Any]
        if spec.kind == "interval":
            seconds = seconds_of(spec)
            is_whole = seconds == int(seconds)
            model = IntervalSchedule
            values = {
                "every": int(seconds) if is_whole else int(seconds * 1_000_000),
                "period": Period.SECONDS if is_whole else Period.MICROSECONDS,
            }
        elif spec.kind == "once":
            model, values = ClockedSchedule, {"clocked_time": time_of(spec)}
        else:
            own = zone_name(self._app.timezone)
            model, values = CrontabSchedule, {**fields_of(spec), "timezone": zone_name(zone(spec.timezone or own))}
        found = session.query(model).filter_by(**values).first()
        if found is None:
            found = model(**values)
            session.add(found)
            session.flush()  # the entry names it by its number
        return found

    def _check_task(self, session: Any, name: str, row: Any) -> None:
        own = [of for of in self._app.tasks if not of.startswith("celery.")]
        is_known = name in self._app.tasks or session.query(PeriodicTask).filter_by(task=name).first() is not None
        if not name or not (is_known or not own):
            raise Refused(f"this application does not know {name or 'a task without a name'}")

    def delete(self, key: str) -> dict[str, Any]:
        with self._session() as session:
            session.delete(self._find(session, key))
            return {}

    def switch(self, key: str, *, on: bool) -> dict[str, Any]:
        with self._session() as session:
            row = self._find(session, key)
            row.enabled = on
            if on:
                row.last_run_at = datetime.now(UTC)  # what was due while it was off is not made up for
            return {}

    def entry(self, key: str) -> tuple[str, list[Any], dict[str, Any], dict[str, Any]]:
        with self._session() as session:
            row = self._find(session, key)
            options = {name: getattr(row, name) for name in ("queue", "exchange", "routing_key", "priority")}
            return row.task, _json(row.args, []), _json(row.kwargs, {}), options

    @staticmethod
    def _find(session: Any, key: str) -> Any:
        row = session.query(PeriodicTask).filter_by(name=key).first()
        if row is None:
            raise Refused("there is no such schedule here")
        return row


def _json(text: str | None, otherwise: Any) -> Any:
    try:
        return json.loads(text) if text else otherwise
    except ValueError:  # beat itself takes such a row out of service; it is listed all the same
        return otherwise
