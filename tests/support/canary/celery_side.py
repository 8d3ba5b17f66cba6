# SPDX-License-Identifier: AGPL-3.0-or-later
# mypy: disable-error-code="untyped-decorator"
"""Celery with a beat in its worker: `celery -A tests.support.canary.celery_side worker -B`; `python -m …` enqueues."""

from __future__ import annotations

import os
from typing import Any

import kombu.pools
from celery import Celery
from celery.schedules import crontab
from kombu import Producer

import z4j_agent
import z4j_celery
from tests.support.canary.host import KNOWN, SIGNATURE, documented, execute, log_everything

app = Celery("canary", broker=os.environ["BROKER_URL"])
app.conf.update(task_default_queue="canary", broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
CODE = KNOWN["native"]["celery_beat"]
app.conf.beat_schedule = {
    "nightly": {"task": "celery_login", "schedule": crontab(hour="2", minute="30"), "args": CODE["args"], "kwargs": CODE["kwargs"]}
}
log_everything("celery")
z4j_celery.install(app)


class UnreliableProducer(Producer):
    """Of a broker that cannot be reached while $BROKEN exists, in the words of its library."""

    def publish(self, *args: Any, **options: Any) -> Any:
        if os.path.exists(os.environ["BROKEN"]):
            raise OSError(KNOWN["broken"])
        return super().publish(*args, **options)


kombu.pools.ProducerPool.Producer = UnreliableProducer


@app.task(name="celery_login")
@documented
def login(user: str, password: str, link: str, bundle: Any = None, api_token: str = SIGNATURE["token"], dsn: str = SIGNATURE["dsn"]) -> Any:
    return execute("celery", user, password, link, bundle)


@app.task(name="celery_echo")
def echo(value: Any) -> Any:
    return value


if __name__ == "__main__":
    sent = KNOWN["produced"]["celery"]
    login.apply_async(sent["args"], sent["kwargs"], headers=KNOWN["headers"])
    for payload in KNOWN["ordinary"]:
        echo.delay(payload)
    agent = z4j_agent.current()
    assert agent is not None
    agent.flush(20.0)
