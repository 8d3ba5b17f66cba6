# SPDX-License-Identifier: Apache-2.0
"""A Celery application with a beat: entries in code, or in the store of $STORE (django, redbeat, sqlalchemy)."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from celery import Celery
from celery.schedules import crontab, solar
from celery.signals import beat_init

import z4j_celery

STORE = os.environ.get("STORE", "code")
app = Celery("beats", broker=os.environ["BROKER_URL"], backend=os.environ["BROKER_URL"])
app.conf.update(timezone=os.environ.get("ZONE", "Europe/Berlin"), task_default_queue="work", worker_hijack_root_logger=False)
if STORE == "code":
    app.conf.beat_schedule = {
        "every": {"task": "succeed", "schedule": timedelta(seconds=1), "args": (1,)},
        "nightly": {"task": "succeed", "schedule": crontab(hour="2", minute="30"), "kwargs": {"value": 2}},
        "sunrise": {"task": "succeed", "schedule": solar("sunrise", 41.9, 12.5)},
    }
elif STORE == "django":
    import django
    from django.conf import settings

    settings.configure(
        INSTALLED_APPS=["django_celery_beat"], USE_TZ=True, TIME_ZONE="UTC", DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"], "OPTIONS": {"timeout": 20}}},
        CELERY_TIMEZONE=app.conf.timezone,
    )  # fmt: skip
    django.setup()
    app.conf.beat_scheduler = "django_celery_beat.schedulers:DatabaseScheduler"
elif STORE == "redbeat":
    app.conf.update(beat_scheduler="redbeat.RedBeatScheduler", redbeat_redis_url=os.environ["BROKER_URL"], redbeat_lock_timeout=10)
    app.conf.beat_schedule = {"fixed": {"task": "succeed", "schedule": crontab(hour="5", minute="0")}}
else:
    app.conf.update(
        beat_scheduler="sqlalchemy_celery_beat.schedulers:DatabaseScheduler", beat_dburi=f"sqlite:///{os.environ['DATABASE']}",
        beat_max_loop_interval=1,
    )  # fmt: skip
z4j_celery.install(app)


if STORE == "code":

    @beat_init.connect(weak=False)
    def add_one_by_hand(sender: Any, **_: Any) -> None:
        """As applications do that read their entries from elsewhere: after the agent's own handler, and before the first tick."""
        sender.scheduler.add(name="by-hand", task="succeed", schedule=timedelta(seconds=2))


@app.task(name="succeed")
def succeed(value: int = 0) -> int:
    return value


@app.task(name="login")
def login(user: str, password: str) -> str:
    return user
