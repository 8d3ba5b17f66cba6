# SPDX-License-Identifier: Apache-2.0
"""The doctor sees the traps an app has fallen into, and none in one that has not."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery

from z4j_celery import doctor

GOOD = {"task_time_limit": 60, "accept_content": ["json"]}


def findings_text(broker: str = "redis://127.0.0.1:1/0", **settings: Any) -> str:
    app = Celery("patient", broker=broker, backend="redis://127.0.0.1:1/1", set_as_current=False)
    app.conf.update({**GOOD, **settings})
    return " ".join(each.what for each in doctor.findings([app], None) if each.level != "ok")


def test_a_healthy_app_has_none() -> None:
    assert findings_text() == ""


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"accept_content": ["json", "pickle"]}, "pickle"),
        ({"task_always_eager": True}, "task_always_eager"),
        ({"task_time_limit": None}, "No time limit"),
        ({"task_acks_late": True}, "reject_on_worker_lost"),
        ({"task_acks_late": True, "task_reject_on_worker_lost": True, "task_time_limit": 7200}, "can run twice at once"),
        ({"task_default_priority": 5}, "0 is the highest priority"),
        ({"worker_enable_remote_control": False}, "only the worker that receives"),
        ({"broker": "memory://"}, "only the worker that receives"),
    ],
)
def test_each_trap_is_named(settings: dict[str, Any], word: str) -> None:
    assert word in findings_text(**settings)


def test_a_longer_visibility_timeout_is_enough() -> None:
    settings = {"task_acks_late": True, "task_reject_on_worker_lost": True, "task_time_limit": 7200}
    assert findings_text(**settings, broker_transport_options={"visibility_timeout": 9000}) == ""
