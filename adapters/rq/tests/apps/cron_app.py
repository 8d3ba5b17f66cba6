# SPDX-License-Identifier: Apache-2.0
"""The configuration of RQ's own cron for the schedules' contract: `rq cron cron_app`."""

from __future__ import annotations

import inspect

from rq import cron
from schedules_app import every, login, succeed

import z4j_rq

z4j_rq.install()
TIMEOUT = "job_timeout" if "job_timeout" in inspect.signature(cron.register).parameters else "timeout"

cron.register(every, queue_name="work", interval=1)
cron.register(succeed, queue_name="work", cron="30 2 * * *")
cron.register(succeed, queue_name="work", cron="0 0 L * *", args=(3,))
cron.register(login, queue_name="work", cron="0 0 13 * fri", args=("eve", "hunter2"), result_ttl=66, **{TIMEOUT: 77})
