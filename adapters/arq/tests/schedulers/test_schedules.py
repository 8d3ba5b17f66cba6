# SPDX-License-Identifier: Apache-2.0
"""arq's cron jobs pass the contract of schedules."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

from z4j_agent.conformance import wait_for
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.scheduling import CHANGE_S, ScheduleContract, ScheduleHarness, new_override, now
from z4j_agent.wire.redaction import MASK
from z4j_arq.adapter import ArqAdapter

APPS = Path(__file__).resolve().parents[1] / "apps"


class CronHarness(ScheduleHarness):
    adapter = ArqAdapter
    scheduler = "arq_cron"
    is_code = True
    zones = False
    seconds = True
    kinds: ClassVar[tuple[str, ...]] = ("cron",)
    task = "cron:succeed"
    every_key = "every"
    nightly_key = "succeed"

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.port = 0

    def environment(self) -> dict[str, str]:
        return super().environment() | {"BROKER_URL": f"redis://127.0.0.1:{self.port}/0", "PYTHONPATH": str(APPS)}

    def set_up(self) -> None:
        self.port = self.start_valkey()

    def start_scheduler(self, name: str = "scheduler", settings: str = "WorkerSettings") -> subprocess.Popen[bytes]:
        count = self.log(name).count("redis_version=")
        worker = self.start(name, [sys.executable, "-m", "arq", f"schedules_app.{settings}"], cwd=self.folder)
        wait_for(lambda: self.log(name).count("redis_version=") > count, "the worker is ready", seconds=30)
        return worker


class TestArq(ScheduleContract):
    harness_class = CronHarness

    def test_arguments_reach_the_function_and_secrets_are_masked(self, gateway: Gateway, running: CronHarness) -> None:
        since = now()
        changes = {"task_name": "login", "args": ["eve"], "kwargs": {"password": "hunter2"}}
        key = self.make(gateway, running, **changes)
        entry = self.listed(gateway, running, key)
        assert "hunter2" not in entry["kwargs"]
        assert (entry["task_name"], entry["queue"], entry["is_code"]) == ("login", "work", False)
        fire = self.await_fire(gateway, key, since)
        done = wait_for(
            lambda: [record for record in gateway.records(fire["task_id"]) if record.kind == "succeeded"], "it ran with its arguments"
        )
        assert (done[0].name, done[0].rest["result"]) == ("login", '"eve"')
        assert done[0].rest["started_at"] >= fire["due_at"] - 2_000, "arq sends it ahead, and runs it at its time"
        self.change(gateway, running, new_override(key, self.spec(running, **{**changes, "kwargs": {"password": MASK}})))
        assert self.await_fire(gateway, key, now())["outcome"] == "sent", "what is masked stays"
        self.change(gateway, running)

    def test_an_entry_of_code_gets_arguments(self, gateway: Gateway, running: CronHarness) -> None:
        since = now()
        spec = self.spec(running, key=running.nightly_key, expression="*/2 * * * * *", args=["by night"], kwargs={})
        self.change(gateway, running, {**new_override(running.nightly_key, spec), "is_new": False})
        fire = self.await_fire(gateway, running.nightly_key, since)
        done = wait_for(lambda: [record for record in gateway.records(fire["task_id"]) if record.kind == "succeeded"], "it ran")
        assert (done[0].name, done[0].rest["result"]) == ("cron:succeed", '"by night"')
        self.change(gateway, running)

    def test_refuses_what_only_arq_cannot_hold(self, gateway: Gateway, running: CronHarness) -> None:
        whys = {}
        for changes in (
            {"kind": "interval", "expression": "14"},
            {"kind": "interval", "expression": "100000"},
            {"kind": "interval", "expression": "0"},
            {"kind": "once", "expression": "2030-01-01T00:00:00+00:00"},
            {"expression": "0 0 30 2 mon"},
            {"priority": 3},
            {"queue": "other"},
            {"kwargs": {"_job_id": "mine"}},
        ):
            key = f"z4j:{len(whys)}"
            whys[key] = self.change(gateway, running, new_override(key, self.spec(running, **changes)))["failed"][key]
        assert "*/15 * * * * *" in whys["z4j:0"]
        assert "0 0 * * *" in whys["z4j:1"]
        gone = {"key": "gone", "is_new": False, "is_deleted": False, "is_enabled": False, "spec": None}
        assert "gone" in self.change(gateway, running, gone)["failed"]
        self.change(gateway, running)

    def test_what_was_off_makes_up_for_nothing(self, gateway: Gateway, running: CronHarness) -> None:
        self.off(gateway, running, running.every_key)
        time.sleep(6)
        since = now()
        self.on(gateway, running, running.every_key)
        self.await_fire(gateway, running.every_key, since)
        assert [fire for fire in gateway.fires(running.every_key) if since - 4_000_000 < fire["due_at"] < since] == []

    def test_two_workers_fire_once_and_both_obey(self, alone: CronHarness, own_gateway: Gateway) -> None:
        alone.start_scheduler("one")
        alone.start_scheduler("other")
        wait_for(lambda: len(self.lists(own_gateway, alone)) == 2, "both report their entries")
        wait_for(lambda: len(own_gateway.fires("every")) >= 4, "it fires")
        due = [fire["due_at"] for fire in own_gateway.fires("every")]
        assert len(due) == len(set(due))
        self.off(own_gateway, alone, "every")
        wait_for(
            lambda: [
                entry["is_enabled"]
                for _, listed in self.lists(own_gateway, alone)
                for entry in listed["entries"]
                if entry["key"] == "every"
            ]
            == [False, False],
            "the other finds it in their folder", seconds=CHANGE_S,
        )  # fmt: skip
        self.await_silence(own_gateway, "every")

    def test_a_fire_that_was_sent_ahead_is_told_by_a_worker_that_ends(self, alone: CronHarness, own_gateway: Gateway) -> None:
        worker = alone.start_scheduler()
        first = self.await_fire(own_gateway, "every", 0)
        wait_for(lambda: now() > first["due_at"] + 1_400_000, "arq has sent the next one")
        worker.send_signal(signal.SIGTERM)
        worker.wait(60)
        sent = {record.task_id for record in own_gateway.records() if record.kind == "enqueued"}
        assert len(sent) >= 2
        assert {fire["task_id"] for fire in own_gateway.fires("every")} == sent

    def test_one_function_at_two_times_is_two_schedules(self, alone: CronHarness, own_gateway: Gateway) -> None:
        alone.start_scheduler(settings="TwiceSettings")
        assert self.listed(own_gateway, alone, "every (2)")["task_name"] == "cron:every"
        first, second = self.await_fire(own_gateway, "every", 0), self.await_fire(own_gateway, "every (2)", 0)
        assert [fire["due_at"] // 1_000_000 % 4 for fire in (first, second)] == [0, 2]
        self.off(own_gateway, alone, "every (2)")
        time.sleep(1.5)
        since = now()
        time.sleep(5)
        assert not self.is_fired(own_gateway, "every (2)", since)
        assert self.is_fired(own_gateway, "every", since)

    def test_what_could_not_be_sent_is_told_so(self, alone: CronHarness, own_gateway: Gateway) -> None:
        alone.start_scheduler(settings="BrokenSettings")
        failed = wait_for(lambda: own_gateway.fires("every"), "the fire is reported")[0]
        assert (failed["outcome"], failed["task_id"]) == ("failed", "")
        assert "Serializ" in failed["error"]

    def test_a_worker_without_a_zone_is_warned_of(self, alone: CronHarness, own_gateway: Gateway) -> None:
        alone.variables = {"TZ": "Europe/Berlin"}
        alone.start_scheduler(settings="LocalSettings")
        fire = self.await_fire(own_gateway, "started", 0)
        assert abs(fire["at"] - fire["due_at"]) < 60_000_000, "a wrong zone is an hour"
        latest = self.latest_list(own_gateway, alone)
        assert latest["timezone"] in ("UTC+01:00", "UTC+02:00")
        assert len(latest["notes"]) == 1
        entries = {entry["key"]: entry for entry in latest["entries"]}
        assert (entries["started"]["expression"], bool(entries["started"]["note"])) == ("* 4 * * *", True)
        assert entries["succeed"]["expression"] == "5 * * * * sun"

    def test_what_runs_at_the_start_is_off_before_it_could(self, alone: CronHarness, own_gateway: Gateway) -> None:
        worker = alone.start_scheduler(settings="LocalSettings")
        self.await_fire(own_gateway, "started", 0)
        self.off(own_gateway, alone, "started")
        since = now()
        worker.terminate()
        worker.wait(60)
        alone.start_scheduler(settings="LocalSettings")
        wait_for(lambda: self.lists(own_gateway, alone), "it reports them again", seconds=CHANGE_S)
        time.sleep(1)
        assert not self.is_fired(own_gateway, "started", since)
