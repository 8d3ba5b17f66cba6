# SPDX-License-Identifier: Apache-2.0
"""The entries of sqlalchemy-celery-beat: rows in a database, through the models of that package and beat's own sessions."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Final

from sqlalchemy_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, Period, PeriodicTask

from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.overrides import merge_arguments
from z4j_agent.contract.scheduler import ScheduleInfo, ScheduleSpec, read_interval, read_time
from z4j_agent.runtime.time_zones import find_zone
from z4j_celery.schedulers.beat_conversion import (
    REWRITTEN,
    check_row,
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
LONGEST: Final = 255
OWN_CLEANUP: Final = "celery.backend_cleanup"
"""Beat creates this entry itself (sqlalchemy_celery_beat/schedulers.py: `install_default_entries`)."""


class SqlalchemyStore:
    """A key is the row's name, which is unique there."""

    name: ClassVar[str] = "sqlalchemy"

    def __init__(self, app: Any, scheduler: Any) -> None:
        self._app = app
        self._make = scheduler.Session

    @contextmanager
    def _session(self) -> Iterator[Any]:
        """A session that is committed at the end, and rolled back after an exception."""
        session = self._make()
        try:
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise
        finally:
            session.close()

    def list_entries(self, last: OrderedDict[str, int]) -> list[ScheduleInfo]:
        with self._session() as session:
            rows = session.query(PeriodicTask).order_by(PeriodicTask.name).limit(MOST).all()
            return [
                readable(row.name, partial(self._info, row, last.get(row.name)), row.task, is_enabled=bool(row.enabled)) for row in rows
            ]

    def _listed(self, row: Any, fired_at: int | None) -> ScheduleInfo:
        return readable(row.name, partial(self._info, row, fired_at), row.task, is_enabled=bool(row.enabled))

    def _info(self, row: Any, fired_at: int | None) -> ScheduleInfo:
        kind, expression, its_zone = form_of(row.schedule, zone_name(self._app.timezone))
        read_json("headers", row.headers, dict)
        args, kwargs = shown(self._app, row.task, read_json("args", row.args, list), read_json("kwargs", row.kwargs, dict))
        ran_at = us(row.last_run_at) if row.total_run_count else None  # without a run it is the start of the entry
        last_at = max((at for at in (fired_at, ran_at) if at is not None), default=None)
        unsupported_edits = {"save": f"its rule, {expression[:120]}, is supported only by Celery"} if kind == "other" else {}
        if self._is_rewritten(row.name):
            unsupported_edits |= dict.fromkeys(("save", "delete"), REWRITTEN)
        next_at = self._next(row, fired_at)
        notes = ["Runs once and is then disabled."] if row.one_off and kind != "once" else []
        if kind == "once" and row.enabled and next_at is None:
            notes.append("Its time has passed.")
        return ScheduleInfo(
            key=row.name, name=row.name, kind=kind, expression=expression, timezone=its_zone, task_name=row.task, args=args, kwargs=kwargs,
            queue=row.queue or "", priority=row.priority, is_enabled=bool(row.enabled), next_at=next_at,
            last_at=last_at, unable=unsupported_edits, note=" ".join(notes),
        )  # fmt: skip

    def _next(self, row: Any, fired_at: int | None) -> int | None:
        """The next due time as `ModelEntry` computes it: from the last run, else from the time when it is read, and not before its
        start."""
        if not row.enabled or (row.one_off and row.total_run_count):
            return None
        if row.discriminator == "clockedschedule" and fired_at is not None and fired_at >= (us(row.schedule_model.clocked_time) or 0):
            return None  # it was sent; beat disables it when it reads its table again
        since_at = max(fired_at or 0, us(row.last_run_at) or 0)
        since = datetime.fromtimestamp(since_at / 1_000_000, UTC) if since_at else datetime.now(UTC)
        starts = us(row.start_time)
        if starts is None or (us(since) or 0) >= starts:
            return us(due_of(row.schedule, since))
        if row.discriminator == "crontabschedule":
            return us(due_of(row.schedule, datetime.fromtimestamp(starts / 1_000_000, UTC) - timedelta(seconds=1)))
        return starts

    def _is_rewritten(self, name: str) -> bool:
        return name == OWN_CLEANUP or name in self._app.conf.beat_schedule

    def _refuse_rewritten(self, key: str) -> None:
        if key and self._is_rewritten(key):
            raise Refused(REWRITTEN)

    def save(self, spec: ScheduleSpec) -> dict[str, Any]:
        check_row(spec, LONGEST)
        self._refuse_rewritten(spec.key)
        with self._session() as session:
            row = self._find(session, spec.key) if spec.key else PeriodicTask(name=spec.name, task=spec.task_name)
            if spec.key != spec.name and session.query(PeriodicTask).filter_by(name=spec.name).first() is not None:
                raise Refused(f"an entry {spec.name[:80]} already exists. No changes were made.")
            self._check_task(session, spec.task_name, row)
            rule = self._rule(session, spec)
            old = (read_json("args", row.args, list), read_json("kwargs", row.kwargs, dict))
            read_json("headers", row.headers, dict)
            args, kwargs = merge_arguments(spec, *old)
            was_clocked, is_once = row.discriminator == "clockedschedule", spec.kind == "once"
            is_other = (row.discriminator, row.schedule_id) != (rule.discriminator, rule.id)
            if spec.key and is_once:
                row = self._new_row(session, row)
            row.name, row.task, row.enabled = spec.name, spec.task_name, spec.is_enabled
            row.args, row.kwargs = json.dumps(args), json.dumps(kwargs)
            row.queue, row.priority = spec.queue or None, spec.priority
            row.one_off = is_once or (bool(row.one_off) and not was_clocked)
            row.schedule_model = rule
            # Without one, beat counts from each time when it reads its table (`ModelEntry`), and a long interval would never end.
            if row.last_run_at is None or (is_other and is_missed(rule.schedule, row.last_run_at)):
                row.last_run_at = datetime.now(UTC)
            session.add(row)
            return {"key": spec.name}

    @staticmethod
    def _new_row(session: Any, row: Any) -> Any:
        """A new row with the same columns: one-offs that ran are disabled by their number of runs, and beat writes its own number into the
        old row."""
        values = {column.key: getattr(row, column.key) for column in PeriodicTask.__table__.columns if column.key != "id"}
        session.delete(row)
        session.flush()
        return PeriodicTask(**{**values, "total_run_count": 0, "last_run_at": None})

    def _rule(self, session: Any, spec: ScheduleSpec) -> Any:
        """The row of its rule, existing or new: several entries may share one."""
        values: dict[str, Any]
        if spec.kind == "interval":
            seconds = read_interval(spec.expression)
            is_whole = seconds == int(seconds)
            model = IntervalSchedule
            values = {
                "every": int(seconds) if is_whole else int(seconds * 1_000_000),
                "period": Period.SECONDS if is_whole else Period.MICROSECONDS,
            }
        elif spec.kind == "once":
            model, values = ClockedSchedule, {"clocked_time": read_time(spec.expression)}
        else:
            own = zone_name(self._app.timezone)
            model, values = CrontabSchedule, {**fields_of(spec), "timezone": zone_name(find_zone(spec.timezone or own))}
        row = session.query(model).filter_by(**values).first()
        if row is None:
            row = model(**values)
            session.add(row)
            session.flush()  # the entry refers to it by its number
        return row

    def _check_task(self, session: Any, name: str, row: Any) -> None:
        own = [name for name in self._app.tasks if not name.startswith("celery.")]
        is_known = name in self._app.tasks or session.query(PeriodicTask).filter_by(task=name).first() is not None
        if not name or not (is_known or not own):
            raise Refused(f"this application has no task {name or 'without a name'}. No changes were made.")

    def delete(self, key: str) -> dict[str, Any]:
        self._refuse_rewritten(key)
        with self._session() as session:
            session.delete(self._find(session, key))
            return {}

    def switch(self, key: str, *, on: bool) -> dict[str, Any]:
        with self._session() as session:
            row = self._find(session, key)
            if on and row.discriminator == "clockedschedule":
                refuse_past(row.schedule_model.clocked_time, 0)  # it may have been sent
            if on and not row.enabled and (row.last_run_at is None or is_missed(row.schedule, row.last_run_at)):
                row.last_run_at = datetime.now(UTC)  # runs that were due while it was disabled are not caught up
            row.enabled = on
            return {}

    def entry(self, key: str) -> tuple[str, Any, Any, dict[str, Any]]:
        """Returns the entry's task with the options of `ModelEntry`, except the entry's end, which does not apply to this task."""
        with self._session() as session:
            row = self._find(session, key)
            options = {
                name: value for name in ("queue", "exchange", "routing_key", "priority") if (value := getattr(row, name)) is not None
            }
            if row.expire_seconds:
                options["expires"] = row.expire_seconds
            options["headers"] = {**read_json("headers", row.headers, dict), "periodic_task_name": row.name}
            return row.task, read_json("args", row.args, list), read_json("kwargs", row.kwargs, dict), options

    @staticmethod
    def _find(session: Any, key: str) -> Any:
        row = session.query(PeriodicTask).filter_by(name=key).first()
        if row is None:
            raise Refused("the scheduler no longer has this schedule. No changes were made.")
        return row
