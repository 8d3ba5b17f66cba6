# SPDX-License-Identifier: AGPL-3.0-or-later
"""The entries of the demo's Celery Beat: `celery -A celery_beat beat`. They are in code; operators' changes are overrides."""

from __future__ import annotations

from celery.schedules import crontab
from celery_shop import app

app.conf.beat_schedule = {
    "thumbnails every minute": {"task": "thumbs.make", "schedule": 60.0, "args": ("summer/0001.jpg",)},
    "reindex at night": {"task": "search.reindex", "schedule": crontab(hour="2", minute="30"), "args": ("products",)},
    "reset mails on weekdays": {
        "task": "users.reset_mail", "schedule": crontab(hour="5", minute="0", day_of_week="mon-fri"), "args": (1, "a-token"),
    },
}  # fmt: skip
