# SPDX-License-Identifier: Apache-2.0
"""Huey's periodic tasks pass the contract of schedules, in a thread and in a forked scheduler."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import pytest

from z4j_agent.conformance import wait_for
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.scheduling import CHANGE_S, ScheduleContract, ScheduleHarness, new_override, now
from z4j_agent.wire.redaction import MASK
from z4j_huey.adapter import HueyAdapter
from z4j_huey.schedulers.timing import MINUTE

APPS = Path(__file__).resolve().parents[1] / "apps"


class PeriodicHarness(ScheduleHarness):
    adapter = HueyAdapter
    scheduler = "huey_periodic"
    is_code = True
    zones = False
    task = "schedules_app.succeed"
    every_key = "schedules_app.every"
    nightly_key = "schedules_app.succeed"
    workers: ClassVar[str] = "thread"
    options: ClassVar[tuple[str, ...]] = ()

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.at = 0

    def environment(self) -> dict[str, str]:
        ours = {"HUEY_AT": str(self.at), "HUEY_WORKERS": self.workers, "PYTHONPATH": str(APPS)}
        return super().environment() | ours

    def set_up(self) -> None:
        self.at = self.start_valkey()

    def run(self, code: str) -> None:
        """In another process of the application."""
        ended = self.start("other", [sys.executable, "-c", f"from schedules_app import *; {code}"], cwd=self.folder).wait(30)
        assert ended == 0, self.log("other")

    def start_scheduler(self, name: str = "scheduler") -> subprocess.Popen[bytes]:
        count = self.log(name).count("commands are available")
        options = ["-k", self.workers, "-w", "1", "-d", "0.02", "-m", "0.05", *self.options]
        started = self.start(name, [sys.executable, "-m", "huey.bin.huey_consumer", "schedules_app.huey", *options], cwd=self.folder)
        wait_for(lambda: self.log(name).count("commands are available") > count, "the consumer is ready", seconds=30)
        return started


class TestThreads(ScheduleContract):
    harness_class = PeriodicHarness

    def test_a_function_of_the_application_is_not_asked_ahead(self, gateway: Gateway, running: ScheduleHarness) -> None:
        entry = self.listed(gateway, running, "schedules_app.opaque")
        assert (entry["kind"], entry["expression"], entry["next_at"]) == ("other", "schedules_app.counting", None)
        assert entry["note"]
        every = self.listed(gateway, running, running.every_key)
        assert every["kind"] == "other"
        assert every["next_at"] % 60_000_000 == 0, "one that looks at nothing but the time may be asked"

    def test_what_the_application_revoked_is_off(self, gateway: Gateway, running: PeriodicHarness) -> None:
        running.run("huey.revoke_all(opaque.task_class)")
        wait_for(lambda: (self.entry(gateway, running, "schedules_app.opaque") or {}).get("is_enabled") is False, "it is off")
        entry = self.listed(gateway, running, "schedules_app.opaque")
        assert {"enable", "fire"} <= entry["unable"].keys()
        running.run("huey.restore_all(opaque.task_class)")
        wait_for(lambda: (self.entry(gateway, running, "schedules_app.opaque") or {}).get("is_enabled") is True, "it is on")

    def test_arguments_and_a_priority_reach_the_task(self, gateway: Gateway, running: ScheduleHarness) -> None:
        since = now()
        changes = {"task_name": "schedules_app.login", "args": ["eve", "hunter2"], "priority": 5}
        key = self.make(gateway, running, expression="2", **changes)
        entry = self.listed(gateway, running, key)
        assert "hunter2" not in entry["args"]
        assert (entry["priority"], entry["timezone"], entry["is_code"]) == (5, "", False)
        fire = self.await_fire(gateway, key, since)
        assert fire["due_at"] % 2_000_000 == 0, "intervals count from 1970"
        done = wait_for(
            lambda: [record for record in gateway.records(fire["task_id"]) if record.kind == "succeeded"], "it ran with its arguments"
        )
        assert done[0].rest["result"] == '"eve"'
        [enqueued] = [record for record in gateway.records(fire["task_id"]) if record.kind == "enqueued"]
        assert enqueued.meta["priority"] == 5
        self.change(gateway, running, new_override(key, self.spec(running, **{**changes, "args": ["eve", MASK]})))
        assert self.await_fire(gateway, key, now())["outcome"] == "sent", "what is masked stays"
        self.change(gateway, running)

    def test_refuses_what_only_huey_cannot_hold(self, gateway: Gateway, running: ScheduleHarness) -> None:
        whys = {}
        for changes in (
            {"kind": "cron", "expression": "*/10 * * * * *"},
            {"kind": "interval", "expression": "0.5"},
            {"kind": "interval", "expression": "-3"},
            {"kind": "once", "expression": "2030-01-01T00:00:00"},
            {"kind": "once", "expression": "tomorrow"},
            {"queue": "other"},
        ):
            key = f"z4j:{len(whys)}"
            whys[key] = self.change(gateway, running, new_override(key, self.spec(running, **changes)))["failed"][key]
        assert "the nearest is * * * * *" in whys["z4j:0"]
        gone = {"key": "schedules_app.gone", "is_new": False, "is_deleted": False, "is_enabled": False, "spec": None}
        assert "schedules_app.gone" in self.change(gateway, running, gone)["failed"]
        self.change(gateway, running)

    def test_a_time_that_has_passed_is_over(self, gateway: Gateway, running: ScheduleHarness) -> None:
        since = now()
        key = self.make(gateway, running, kind="once", expression="2026-01-01T00:00:00+00:00")
        entry = self.listed(gateway, running, key)
        assert (entry["next_at"], bool(entry["note"])) == (None, True)
        time.sleep(2)
        assert not self.is_fired(gateway, key, since)
        self.change(gateway, running)

    def test_a_consumer_without_periodic_tasks_tells_nothing(self, alone: PeriodicHarness, own_gateway: Gateway) -> None:
        alone.options = ("-n",)
        alone.start_scheduler()
        wait_for(lambda: [each for each in own_gateway.open_links() if each.hello["role"] == "worker"], "it is connected")
        time.sleep(2)
        assert [each for link in own_gateway.links for each in link.schedules] == []
        assert own_gateway.fires() == []

    def test_what_could_not_be_sent_is_told_so(self, alone: PeriodicHarness, own_gateway: Gateway) -> None:
        alone.start_scheduler()
        self.await_fire(own_gateway, alone.every_key, 0)
        os.kill(alone.broker_pid(), signal.SIGKILL)
        failed = wait_for(
            lambda: [fire for fire in own_gateway.fires(alone.every_key) if fire["outcome"] == "failed"], "a failed fire is reported"
        )
        assert failed[0]["task_id"] == ""
        assert "Connection" in failed[0]["error"]

    def test_local_time_is_the_zone_of_its_host(self, alone: PeriodicHarness, own_gateway: Gateway) -> None:
        alone.variables = {"TZ": "Asia/Kolkata", "HUEY_LOCAL": "1"}
        alone.start_scheduler()
        nightly = self.listed(own_gateway, alone, alone.nightly_key)
        assert (nightly["expression"], nightly["timezone"]) == ("30 2 * * *", "Asia/Kolkata")
        assert nightly["next_at"] % 86_400_000_000 == 21 * 3_600_000_000
        spec = self.spec(alone, kind="cron", expression="30 2 * * *", timezone="UTC")
        assert "Asia/Kolkata" in self.change(own_gateway, alone, new_override("z4j:utc", spec))["failed"]["z4j:utc"]

    @pytest.mark.long
    def test_at_huey_s_own_pace(self, alone: PeriodicHarness, own_gateway: Gateway) -> None:
        """A fire is due at its minute, whenever in it Huey looks; what we add comes when the minute begins."""
        alone.variables = {"HUEY_SLOW": "1"}
        alone.start_scheduler()
        first = self.await_fire(own_gateway, alone.every_key, 0)
        assert first["due_at"] % MINUTE == 0
        assert 0 <= first["at"] - first["due_at"] < MINUTE
        assert self.latest_list(own_gateway, alone)["tick_us"] == MINUTE
        key = self.make(own_gateway, alone, kind="cron", expression="* * * * *")
        added = wait_for(lambda: own_gateway.fires(key), "it fires when the minute begins", seconds=75)[0]
        assert added["due_at"] % MINUTE == 0
        assert 0 <= added["at"] - added["due_at"] < 2_500_000
        wait_for(lambda: len(own_gateway.fires(alone.every_key)) == 2, "Huey's own pass comes once a minute", seconds=75)
        assert [fire["due_at"] - first["due_at"] for fire in own_gateway.fires(alone.every_key)] == [0, MINUTE]


class ProcessHarness(PeriodicHarness):
    """The scheduler is a forked child, which connects by itself."""

    workers = "process"
    options = ("-c", "1")


class TestProcesses(ScheduleContract):
    """The scheduler is what differs from TestThreads: a process of its own."""

    harness_class = ProcessHarness
    essentials: ClassVar[frozenset[str]] = frozenset(
        {
            "test_the_scheduler_is_a_process_of_its_own_and_says_goodbye", "test_a_killed_scheduler_comes_back_with_the_changes",
            "test_off_and_on_again", "test_tells_its_fires_with_what_was_due_and_the_task",
        }
    )  # fmt: skip

    def test_the_scheduler_is_a_process_of_its_own_and_says_goodbye(self, alone: ScheduleHarness, own_gateway: Gateway) -> None:
        consumer = alone.start_scheduler()
        link = wait_for(lambda: self.lists(own_gateway, alone), "the scheduler reports its entries", seconds=CHANGE_S)[0][0]
        assert link.hello["role"] == "scheduler"
        assert link.hello["pid"] != consumer.pid
        others = wait_for(lambda: [other for other in own_gateway.open_links() if other is not link], "the consumer is connected, too")
        assert [other.hello["role"] for other in others] == ["worker"]
        assert [other.schedules for other in others] == [[]], "only who fires lists"
        consumer.send_signal(signal.SIGINT)
        consumer.wait(60)
        assert link.goodbye is not None

    def test_a_killed_scheduler_comes_back_with_the_changes(self, alone: ScheduleHarness, own_gateway: Gateway) -> None:
        alone.start_scheduler()
        link = wait_for(lambda: self.lists(own_gateway, alone), "the scheduler reports its entries", seconds=CHANGE_S)[0][0]
        self.off(own_gateway, alone, alone.every_key)
        wait_for(lambda: (self.entry(own_gateway, alone, alone.every_key) or {}).get("is_enabled") is False, "it is off")
        since = now()
        os.kill(link.hello["pid"], signal.SIGKILL)
        fresh = wait_for(
            lambda: [each for each in self.lists(own_gateway, alone) if each[0].hello["boot"] != link.hello["boot"]], "another one reports"
        )  # fmt: skip
        assert fresh[0][0].hello["role"] == "scheduler"
        assert (self.entry(own_gateway, alone, alone.every_key) or {}).get("is_enabled") is False
        time.sleep(2)
        assert [each for each in own_gateway.fires(alone.every_key) if each["at"] > since + 500_000] == []
        self.on(own_gateway, alone, alone.every_key)
        assert self.await_fire(own_gateway, alone.every_key, since)["run"].startswith(fresh[0][0].hello["boot"])


class GreenletHarness(PeriodicHarness):
    workers = "greenlet"


@pytest.mark.long
class TestGreenlets(ScheduleContract):
    harness_class = GreenletHarness
