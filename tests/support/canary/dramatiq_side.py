# SPDX-License-Identifier: AGPL-3.0-or-later
"""Dramatiq: `dramatiq tests.support.canary.dramatiq_side`; `python -m …` enqueues."""

from __future__ import annotations

import os
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

import z4j_agent
import z4j_dramatiq
from tests.support.canary.host import KNOWN, SIGNATURE, documented, execute, log_everything

broker = RedisBroker(url=os.environ["BROKER_URL"])
log_everything("dramatiq")
z4j_dramatiq.install(broker)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="canary", max_retries=0)
@documented
def dramatiq_login(
    user: str, password: str, link: str, bundle: Any = None, api_token: str = SIGNATURE["token"], dsn: str = SIGNATURE["dsn"]
) -> Any:
    return execute("dramatiq", user, password, link, bundle)


if __name__ == "__main__":
    sent = KNOWN["produced"]["dramatiq"]
    dramatiq_login.send_with_options(args=tuple(sent["args"]), kwargs=sent["kwargs"], authorization=KNOWN["headers"]["authorization"])
    agent = z4j_agent.current()
    assert agent is not None
    agent.flush(20.0)
