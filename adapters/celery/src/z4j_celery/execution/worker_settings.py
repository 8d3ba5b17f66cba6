# SPDX-License-Identifier: Apache-2.0
"""Settings of a Celery worker that it reports: its page shows them, and a finding reports workers of one queue that differ in them."""

from __future__ import annotations

from typing import Any


def settings_of(consumer: Any) -> dict[str, str]:
    """Returns settings by Celery's names. The multiplier of a consumer is that of the command line, if it was given there."""
    conf = consumer.app.conf
    multiplier = getattr(consumer, "prefetch_multiplier", None)
    return {
        "worker_prefetch_multiplier": str(conf.worker_prefetch_multiplier if multiplier is None else multiplier),
        "task_acks_late": "yes" if conf.task_acks_late else "no",
        "task_serializer": str(conf.task_serializer),
        "accept_content": ", ".join(sorted(str(each) for each in conf.accept_content or ())),
    }
