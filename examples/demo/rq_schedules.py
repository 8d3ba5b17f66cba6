# SPDX-License-Identifier: AGPL-3.0-or-later
"""The demo's two schedulers of RQ: `rq cron rq_schedules` reads this file; `main()` adds a few entries and runs rq-scheduler."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

from redis import Redis
from rq import cron
from rq_shop import push_partner, render_invoice, scan_upload

import z4j_rq

z4j_rq.install()
cron.register(scan_upload, queue_name="documents", args=("/uploads/inbox.docx",), interval=45)
cron.register(render_invoice, queue_name="documents", args=(1, "modern"), cron="0 5 1 * *")


def main() -> None:
    from rq_scheduler import Scheduler
    from rq_scheduler.scripts import rqscheduler

    scheduler = Scheduler("partners", connection=Redis.from_url(os.environ["RQ_URL"]))
    now = datetime.now(UTC).replace(tzinfo=None)
    scheduler.schedule(now, push_partner, args=["southwind", 7], kwargs={"api_key": "k"}, interval=50, id="push-southwind")
    scheduler.cron("0 5 * * mon", push_partner, args=["northwind", 8], kwargs={"api_key": "k"}, id="weekly-northwind")
    sys.argv[1:] = ["--url", os.environ["RQ_URL"], "-i", "5"]
    rqscheduler.main()
