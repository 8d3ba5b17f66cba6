# SPDX-License-Identifier: AGPL-3.0-or-later
"""RQ: `python -m … worker` runs tasks in its own process, `python -m … scheduler` is rq-scheduler, `python -m …` enqueues."""

from __future__ import annotations

import os
import sys
from typing import Any

from redis import Redis
from rq import Queue, SimpleWorker

import z4j_agent
import z4j_rq
from tests.support.canary.host import KNOWN, SIGNATURE, documented, execute, log_everything

MODULE = "tests.support.canary.rq_side"
connection = Redis.from_url(os.environ["BROKER_URL"])


@documented
def rq_login(
    user: str, password: str, link: str, bundle: Any = None, api_token: str = SIGNATURE["token"], dsn: str = SIGNATURE["dsn"]
) -> Any:
    return execute("rq", user, password, link, bundle)


def main(word: str) -> None:
    log_everything("rq")
    z4j_rq.install(functions=[f"{MODULE}.rq_login"])
    if word == "worker":
        SimpleWorker([Queue("canary", connection=connection)], connection=connection).work(logging_level="CRITICAL")
    elif word == "scheduler":
        from rq_scheduler import Scheduler

        entry = KNOWN["native"]["rq_scheduler"]
        scheduler = Scheduler("canary", connection=connection)
        scheduler.cron("30 2 * * *", f"{MODULE}.rq_login", args=entry["args"], kwargs=entry["kwargs"], id="nightly")
        scheduler.run()
    else:
        sent = KNOWN["produced"]["rq"]
        said = KNOWN["headers"]["authorization"]
        Queue("canary", connection=connection).enqueue(
            f"{MODULE}.rq_login", args=sent["args"], kwargs=sent["kwargs"], description=f"sign in with {said}", meta={"authorization": said}
        )
        agent = z4j_agent.current()
        assert agent is not None
        agent.flush(20.0)


if __name__ == "__main__":
    from tests.support.canary.rq_side import main as run  # jobs name their function by its module

    run(sys.argv[1] if len(sys.argv) > 1 else "")
