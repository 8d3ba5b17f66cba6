# SPDX-License-Identifier: Apache-2.0
"""The loop of RQ's cron sleeps as long as without us, and by the function the application has put in place of `time.sleep`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

import z4j_agent
import z4j_rq
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import Harness, free_port
from z4j_rq.schedulers.cron_overrides import is_usable

rqs = pytest.importorskip("rq.cron")
if not is_usable(rqs.CronJob):
    pytest.skip("this RQ has no cron expressions", allow_module_level=True)


class Broken(Exception):
    """Ends the loop."""


def clean() -> None:
    pass


@pytest.fixture(params=["with a server", "server unreachable"])
def cron(request: Any, tmp_path: Path) -> Iterator[Any]:
    harness, gateway = Harness(tmp_path, ""), Gateway()
    gateway.start()
    url = gateway.url if request.param == "with a server" else gateway.url.replace(f":{gateway.port}", f":{free_port()}")
    try:
        connection = Redis(port=harness.start_valkey())
        z4j_rq.install(url=url, spool=str(tmp_path / "spool"))
        assert z4j_agent.current() is not None
        scheduler = rqs.CronScheduler(connection=connection)
        scheduler.register(clean, "work", interval=3600)
        yield scheduler
    finally:
        z4j_agent.stop()
        harness.tear_down()
        gateway.stop()


def test_a_sleep_that_was_replaced_is_called_once_with_the_whole_time(cron: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        raise Broken

    monkeypatch.setattr(time, "sleep", sleep)
    began = time.monotonic()
    with pytest.raises(Broken):
        cron.start()
    assert slept == [60]  # RQ's longest
    assert time.monotonic() - began < 30


def test_a_loop_that_nobody_touched_waits_until_a_change(cron: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    def look() -> list[Any]:
        looks.append(time.monotonic())
        if len(looks) == 2:
            raise Broken
        return []

    monkeypatch.setattr(cron, "enqueue_jobs", look)
    monkeypatch.setattr(cron, "calculate_sleep_interval", lambda: 1.5)
    with pytest.raises(Broken):
        cron.start()
    assert 1.4 < looks[1] - looks[0] < 20
