# SPDX-License-Identifier: AGPL-3.0-or-later
"""APScheduler with its jobs in memory: `python -m …`."""

from __future__ import annotations

from typing import Any

from apscheduler.schedulers.blocking import BlockingScheduler

import z4j_apscheduler
from tests.support.canary.host import KNOWN, documented, execute, log_everything


@documented
def aps_login(user: str, password: str, link: str, bundle: Any = None) -> Any:
    return execute("apscheduler", user, password, link, bundle)


def main() -> None:
    log_everything("apscheduler")
    scheduler = BlockingScheduler(timezone="UTC")
    z4j_apscheduler.install(scheduler, functions=[aps_login])
    job = KNOWN["native"]["apscheduler"]
    scheduler.add_job(aps_login, "cron", hour=2, minute=30, id="nightly", args=job["args"], kwargs=job["kwargs"])
    scheduler.start()


if __name__ == "__main__":
    from tests.support.canary.apscheduler_side import main as run  # jobs name their function by its module

    run()
