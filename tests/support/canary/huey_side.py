# SPDX-License-Identifier: AGPL-3.0-or-later
# mypy: disable-error-code="untyped-decorator"
"""Huey: `huey_consumer tests.support.canary.huey_side.huey`; `python -m tests.support.canary.huey_produce` enqueues."""

from __future__ import annotations

import os
from typing import Any

from huey import RedisHuey, crontab

import z4j_huey
from tests.support.canary.host import SIGNATURE, documented, execute, log_everything

huey = RedisHuey("canary", url=os.environ["BROKER_URL"])
log_everything("huey")
z4j_huey.install(huey)


@huey.task()
@documented
def huey_login(
    user: str, password: str, link: str, bundle: Any = None, api_token: str = SIGNATURE["token"], dsn: str = SIGNATURE["dsn"]
) -> Any:
    return execute("huey", user, password, link, bundle)


@huey.periodic_task(crontab(minute="30", hour="2"))
@documented
def huey_nightly(user: str = "nobody", password: str = SIGNATURE["token"], link: str = "", bundle: Any = None) -> Any:
    return execute("huey", user, password, link, bundle)
