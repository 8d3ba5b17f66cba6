# SPDX-License-Identifier: AGPL-3.0-or-later
# mypy: disable-error-code="untyped-decorator"
"""taskiq: `taskiq worker …:broker`, `taskiq scheduler …:scheduler`; `python -m …` enqueues."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from taskiq import TaskiqScheduler
from taskiq.schedule_sources import LabelScheduleSource
from taskiq_redis import ListQueueBroker

import z4j_agent
import z4j_taskiq
from tests.support.canary.host import KNOWN, SIGNATURE, documented, execute, log_everything

# Without the socket timeout of redis-py, which would end an idle worker's wait for work.
broker = ListQueueBroker(os.environ["BROKER_URL"], queue_name="taskiq:canary", socket_timeout=None)
log_everything("taskiq")
z4j_taskiq.install(broker)
CODE = KNOWN["native"]["taskiq_scheduler"]


@broker.task("taskiq_login", schedule=[{"cron": "30 2 * * *", "schedule_id": "nightly", "args": CODE["args"], "kwargs": CODE["kwargs"]}])
@documented
async def taskiq_login(
    user: str, password: str, link: str, bundle: Any = None, api_token: str = SIGNATURE["token"], dsn: str = SIGNATURE["dsn"]
) -> Any:
    return execute("taskiq", user, password, link, bundle)


scheduler = TaskiqScheduler(broker, [LabelScheduleSource(broker)])


async def main() -> None:
    await broker.startup()
    sent = KNOWN["produced"]["taskiq"]
    sending = taskiq_login.kicker().with_labels(authorization=KNOWN["headers"]["authorization"])
    await sending.kiq(*sent["args"], **sent["kwargs"])
    agent = z4j_agent.current()
    assert agent is not None
    agent.flush(20.0)
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
