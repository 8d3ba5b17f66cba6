# SPDX-License-Identifier: Apache-2.0
"""rq-scheduler and RQ's own cron pass the contract of schedules."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from z4j_agent.conformance import wait_for
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.scheduling import CHANGE_S, ScheduleContract, ScheduleHarness, now
from z4j_agent.wire.redaction import MASK
from z4j_rq.adapter import RqAdapter

APPS = Path(__file__).resolve().parents[1] / "apps"


class RqScheduleHarness(ScheduleHarness):
    adapter = RqAdapter
    zones = False
    seconds = True
    queue = "work"

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.broker_port = 0

    def environment(self) -> dict[str, str]:
        return {"TZ": "UTC"} | super().environment() | {"BROKER_URL": self.broker, "PYTHONPATH": str(APPS)}

    @property
    def broker(self) -> str:
        return f"redis://127.0.0.1:{self.broker_port}/0"

    def set_up(self) -> None:
        self.broker_port = self.start_valkey()


class SchedulerHarness(RqScheduleHarness):
    scheduler = "rq_scheduler"
    task = "schedules_app.succeed"
    pace = "1"

    def set_up(self) -> None:
        super().set_up()
        self.enter("enter")

    def enter(self, what: str) -> None:
        entered = self.start("enter", [sys.executable, APPS / "schedules_app.py", what], cwd=self.folder).wait(30)
        assert entered == 0, self.log("enter")

    def command(self) -> list[str | Path]:
        return [sys.executable, APPS / "schedules_app.py", self.pace]

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        count = self.log("scheduler").count("Registering birth")
        started = self.start("scheduler", self.command(), cwd=self.folder)
        wait_for(lambda: self.log("scheduler").count("Registering birth") > count, "the scheduler is up", seconds=30)
        return started


class CronHarness(RqScheduleHarness):
    scheduler = "rq_cron"
    is_code = True
    task = "schedules_app.succeed"
    kinds = ("cron", "interval")
    every_key = "schedules_app.every"
    nightly_key = "schedules_app.succeed"

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        count = self.starts()
        command = [sys.executable, "-m", "rq.cli", "cron", "cron_app", "--url", self.broker]
        started = self.start("scheduler", command, cwd=self.folder)
        wait_for(lambda: self.starts() > count, "the scheduler is up", seconds=30)
        return started

    def starts(self) -> int:
        return len(re.findall(r"registering birth|Starting cron scheduler", self.log("scheduler")))


class CommandHarness(SchedulerHarness):
    """The package's own command, which imports the application for the class of its jobs."""

    def command(self) -> list[str | Path]:
        options = ["--url", self.broker, "-i", self.pace, "-j", "schedules_app.Job"]
        return [sys.executable, "-m", "rq_scheduler.scripts.rqscheduler", *options]


class TestRqScheduler(ScheduleContract):
    harness_class = SchedulerHarness

    def test_its_tick_is_the_commands_own(self, gateway: Gateway, running: ScheduleHarness) -> None:
        latest = self.latest_list(gateway, running)
        assert (latest["tick_us"], latest["store"], latest["is_firing"]) == (1_000_000, "redis", True)

    def test_a_scheduler_that_breaks_tells_of_what(self, alone: SchedulerHarness, own_gateway: Gateway) -> None:
        """rq-scheduler ends with the exception, as it does without us."""
        alone.enter("break")
        assert alone.start_scheduler().wait(60) != 0
        fire = self.await_fire(own_gateway, "broken", 0)
        assert fire["outcome"] == "failed"
        assert "nowhere" in fire["error"]

    def test_an_application_lists_and_changes_without_firing(self, alone: SchedulerHarness, own_gateway: Gateway) -> None:
        alone.start("shop", [sys.executable, APPS / "schedules_app.py", "shop"], cwd=alone.folder)

        def lists() -> list[dict[str, Any]]:
            return [each for link in own_gateway.open_links() for each in link.schedules if each["scheduler"] == "rq_scheduler"]

        wait_for(lists, "its entries are reported", seconds=CHANGE_S)
        assert lists()[-1]["is_firing"] is False
        assert {entry["key"] for entry in lists()[-1]["entries"]} == {"every", "nightly", "yearly"}
        id = own_gateway.ask(own_gateway.open_links()[-1], "disable_schedule", "rq_scheduler", {"key": "yearly"})
        wait_for(lambda: [each for each in own_gateway.answers(id) if each[0] == "done"], "it is done", seconds=CHANGE_S)
        wait_for(lambda: [each for each in lists()[-1]["entries"] if not each["is_enabled"]], "it is listed as off", seconds=CHANGE_S)


class TestRqSchedulersOwnCommand(TestRqScheduler):
    harness_class = CommandHarness
    essentials: ClassVar[frozenset[str]] = frozenset(
        {"test_tells_its_fires_with_what_was_due_and_the_task", "test_off_and_on_again", "test_its_tick_is_the_commands_own"}
    )


class TestRqCron(ScheduleContract):
    harness_class = CronHarness

    def test_what_croniter_alone_can_say_is_shown_in_its_words(self, gateway: Gateway, running: ScheduleHarness) -> None:
        last, login = (self.listed(gateway, running, key) for key in ("schedules_app.succeed#2", "schedules_app.login"))
        assert (last["kind"], last["expression"], last["timezone"]) == ("other", "0 0 L * *", "UTC")
        assert json.loads(login["args"]) == ["eve", MASK]
        assert "hunter2" not in str(self.latest_list(gateway, running))

    def test_a_long_sleep_ends_with_a_change_and_with_a_signal(self, alone: ScheduleHarness, own_gateway: Gateway) -> None:
        process = alone.start_scheduler()
        self.await_fire(own_gateway, alone.every_key, 0)
        self.off(own_gateway, alone, alone.every_key)
        time.sleep(2)  # nothing is due for a minute at least
        since = now()
        self.on(own_gateway, alone, alone.every_key)
        fire = self.await_fire(own_gateway, alone.every_key, since)
        assert fire["at"] - since < 30_000_000, "it would sleep for a minute"
        self.off(own_gateway, alone, alone.every_key)
        time.sleep(2)
        process.terminate()
        assert process.wait(30) in (0, -signal.SIGTERM), "RQ 2.5 has no handler of its own"
