# SPDX-License-Identifier: Apache-2.0
"""The two entries of the contract in a store: `beat_fill.py`, with $STORE as for beat_app."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from beat_app import STORE, app
from celery.schedules import crontab, schedule

BROKEN = {"args": "[42, 2", "kwargs": '{"a": 1', "headers": "[1]"}
"""Column → text that is no JSON, or JSON of another kind: a row is made for each."""
LONG_AGO = datetime.now(UTC) - timedelta(days=2)
"""When `stale` ran last, which is off: every hour of two days it was due."""


def fill_django() -> None:
    from django.core.management import call_command
    from django_celery_beat.models import SECONDS, CrontabSchedule, IntervalSchedule, PeriodicTask

    call_command("migrate", verbosity=0)
    second = IntervalSchedule.objects.create(every=1, period=SECONDS)
    night = CrontabSchedule.objects.create(minute="30", hour="2", timezone=ZoneInfo("Europe/Berlin"))
    PeriodicTask.objects.create(name="every", task="succeed", interval=second, args="[1]")
    PeriodicTask.objects.create(name="nightly", task="succeed", crontab=night, kwargs='{"value": 2}')
    hour = CrontabSchedule.objects.create(minute="0", timezone=ZoneInfo("UTC"))
    PeriodicTask.objects.create(name="stale", task="succeed", crontab=hour, enabled=False)
    PeriodicTask.objects.filter(name="stale").update(last_run_at=LONG_AGO, total_run_count=3)
    for column, text in BROKEN.items():
        PeriodicTask.objects.create(name=f"broken {column}", task="succeed", crontab=hour, enabled=False)
        PeriodicTask.objects.filter(name=f"broken {column}").update(**{column: text})
    PeriodicTask.objects.bulk_create([PeriodicTask(name="without a rule", task="succeed", enabled=False)])


def fill_redbeat() -> None:
    from redbeat import RedBeatSchedulerEntry

    RedBeatSchedulerEntry("every", "succeed", schedule(timedelta(seconds=1)), args=[1], app=app).save()
    stale = RedBeatSchedulerEntry("stale", "succeed", crontab(minute="0"), enabled=False, app=app)
    stale.last_run_at = LONG_AGO
    stale.save()
    RedBeatSchedulerEntry("nightly", "succeed", crontab(hour="2", minute="30"), kwargs={"value": 2}, app=app).save()


def fill_sqlalchemy() -> None:
    from sqlalchemy_celery_beat.models import CrontabSchedule, IntervalSchedule, Period, PeriodicTask
    from sqlalchemy_celery_beat.session import SessionManager

    manager = SessionManager()
    engine, session_of = manager.create_session(app.conf.beat_dburi)
    manager.prepare_models(engine)
    with session_of() as session:
        second = IntervalSchedule(every=1, period=Period.SECONDS)
        night = CrontabSchedule(minute="30", hour="2", timezone="Europe/Berlin")
        session.add_all([second, night])
        session.flush()
        session.add(PeriodicTask(name="every", task="succeed", schedule_model=second, args="[1]"))
        session.add(PeriodicTask(name="nightly", task="succeed", schedule_model=night, kwargs='{"value": 2}'))
        hour = CrontabSchedule(minute="0", timezone="UTC")
        session.add(hour)
        session.flush()
        session.add(PeriodicTask(name="stale", task="succeed", schedule_model=hour, enabled=False, last_run_at=LONG_AGO, total_run_count=3))
        for column, text in BROKEN.items():
            session.add(PeriodicTask(name=f"broken {column}", task="succeed", schedule_model=hour, enabled=False, **{column: text}))
        session.commit()


{"django": fill_django, "redbeat": fill_redbeat, "sqlalchemy": fill_sqlalchemy, "code": lambda: None}[STORE]()
