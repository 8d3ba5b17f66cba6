# SPDX-License-Identifier: Apache-2.0
"""APScheduler's jobs pass the contract of schedules, in a database and, as far as that can, in memory."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

from z4j_agent.conformance import Gateway, wait_for
from z4j_agent.conformance.scheduling import CHANGE_S, ScheduleContract, ScheduleHarness, now
from z4j_agent.wire.redaction import MASK

HERE = Path(__file__).resolve().parent


class StoreHarness(ScheduleHarness):
    """A process of its own, with a database file that outlives it."""

    scheduler = "apscheduler"
    zone = "America/New_York"
    task = "schedules_app:succeed"
    seconds = True
    kind: ClassVar[str] = "background"
    store: ClassVar[str] = "sqlalchemy"

    def environment(self) -> dict[str, str]:
        ours = {"APS_KIND": self.kind, "APS_STORE": self.store, "APS_FILE": str(self.folder / "jobs.db"), "PYTHONPATH": str(HERE)}
        return super().environment() | ours | {"APS_OUT": str(self.folder / "out")} | self.variables

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        count = self.log("scheduler").count("the scheduler runs")
        started = self.start("scheduler", [sys.executable, HERE / "schedules_app.py"], cwd=self.folder)
        wait_for(lambda: self.log("scheduler").count("the scheduler runs") > count, "the scheduler runs", seconds=30)
        return started


class TestDatabase(ScheduleContract):
    harness_class = StoreHarness


class AsyncHarness(StoreHarness):
    """Everything is asked from another thread than the loop's."""

    kind = "asyncio"


class TestAsync(ScheduleContract):
    harness_class = AsyncHarness


class MoreHarness(StoreHarness):
    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.variables = {"APS_MORE": "1", "APS_TWO": "1"}


class Own(ScheduleContract):
    """Reading and asking of the contract, without its tests."""

    harness_class = MoreHarness


for inherited in [name for name in vars(ScheduleContract) if name.startswith("test_")]:
    setattr(Own, inherited, None)


class TestItsOwn(Own):
    """What only APScheduler has."""

    def test_every_kind_of_trigger_is_told(self, gateway: Gateway, running: ScheduleHarness) -> None:
        def form_of(key: str) -> tuple[str, str, str]:
            entry = self.listed(gateway, running, key)
            return entry["kind"], entry["expression"], entry["timezone"]

        assert form_of("numbered") == ("cron", "0 */6 * * mon,sun", "UTC"), "number 0 is Monday"
        assert form_of("quick") == ("cron", "*/20 * * * * *", "UTC")
        assert form_of("once") == ("once", "2035-01-01T00:00:00+01:00", "Europe/Berlin")
        assert form_of("in-time") == ("interval", "129600", "")
        assert form_of("jittery") == ("cron", "0 4 * * *", "UTC")
        assert self.listed(gateway, running, "jittery")["note"] == "Up to 30 s later, at random; not after 2040-01-01 00:00:00+00:00."
        for key in ("either", "last-day", "yearly"):
            entry = self.listed(gateway, running, key)
            assert (entry["kind"], entry["is_enabled"]) == ("other", True)
            assert entry["next_at"] is not None
            assert "save" in entry["unable"]
        assert form_of("either")[1].startswith("or[cron[")
        assert form_of("last-day")[1] == "cron[day='last', hour='1']"
        quick = self.listed(gateway, running, "quick")
        assert (quick["is_enabled"], quick["next_at"]) == (False, None), "added as paused"

    def test_of_a_function_without_a_reference_its_place_is_told(self, gateway: Gateway, running: ScheduleHarness) -> None:
        assert self.listed(gateway, running, "memory/lambda")["task_name"] == "schedules_app:fill.<locals>.<lambda>"
        bound = self.listed(gateway, running, "memory/bound")
        assert bound["task_name"] == "schedules_app:Clinic.open"
        assert "lost" in bound["note"]
        for key in ("memory/lambda", "memory/bound"):
            self.done(gateway, running, "fire_schedule", key=key)
        wait_for(lambda: "the clinic is open" in running.log("scheduler"), "a bound method runs")

    def test_a_function_that_raises_is_a_failed_fire(self, gateway: Gateway, running: ScheduleHarness) -> None:
        failed = wait_for(lambda: [fire for fire in gateway.fires("failing") if fire["outcome"] == "failed"], "it is reported")[0]
        assert failed["error"].startswith("ValueError: no such door")
        assert "hunter2" not in failed["error"]
        time.sleep(1)
        for due_at in {fire["due_at"] for fire in gateway.fires("failing")[:-2]}:
            outcomes = [fire["outcome"] for fire in gateway.fires("failing") if fire["due_at"] == due_at]
            assert outcomes[0] == "sent", outcomes
            assert outcomes[-1] == "failed", outcomes

    def test_what_was_skipped_and_missed_is_told_so(self, gateway: Gateway, running: ScheduleHarness) -> None:
        skipped = wait_for(lambda: [fire for fire in gateway.fires("busy") if fire["outcome"] == "skipped"], "one is skipped")[0]
        assert [fire for fire in gateway.fires("busy") if fire["due_at"] == skipped["due_at"] and fire["outcome"] == "sent"] == []
        missed = wait_for(lambda: [fire for fire in gateway.fires("late") if fire["outcome"] == "missed"], "one is missed")[0]
        outcomes = [fire["outcome"] for fire in gateway.fires("late") if fire["due_at"] == missed["due_at"]]
        assert outcomes[-1] == "missed", "its function was not run"

    def test_secret_arguments_are_masked_and_kept(self, gateway: Gateway, running: MoreHarness) -> None:
        entry = self.listed(gateway, running, "login")
        assert json.loads(entry["args"]) == ["eve", MASK]
        spec = self.spec(running, key="login", name="login", kind="interval", expression="86400", timezone="", task_name=entry["task_name"])
        self.done(gateway, running, "save_schedule", **{**spec, "args": ["mallory", MASK], "kwargs": None})
        wait_for(lambda: "mallory" in self.listed(gateway, running, "login")["args"], "it is changed", seconds=CHANGE_S)
        assert self.listed(gateway, running, "login")["next_at"] == entry["next_at"], "only the arguments were changed"
        facts = self.done(gateway, running, "fire_schedule", key="login")
        assert facts["task_id"]
        wait_for((running.folder / "out").exists, "it runs with the secret")
        assert (running.folder / "out").read_text() == "mallory hunter2\n"
        assert gateway.fires("login") == [], "made by hand, it is no fire"
        assert not [entry for entry in self.latest_list(gateway, running)["entries"] if facts["task_id"] in entry["key"]]

    def test_only_known_functions_may_be_named(self, gateway: Gateway, running: ScheduleHarness) -> None:
        for name in ("os:system", "builtins:print", "schedules_app:say_ready", "schedules_app:make", "antigravity:fly", ""):
            status, facts = self.ask(gateway, running, "save_schedule", **self.spec(running, task_name=name))
            assert (status, bool(facts["error"])) == ("refused", True), name
        for name, args in (("schedules_app:succeed_async", [7]), ("schedules_app:fail", ["x"]), ("schedules_app:login", ["a", "b"])):
            spec = self.spec(running, task_name=name, args=args, kind="interval", expression="86400")
            key = self.done(gateway, running, "save_schedule", **spec)["key"]
            assert self.listed(gateway, running, key)["task_name"] == name
            self.done(gateway, running, "delete_schedule", key=key)

    def test_refuses_what_only_apscheduler_cannot_hold(self, gateway: Gateway, running: ScheduleHarness) -> None:
        for changes in (
            {"kind": "interval", "expression": "0"},
            {"kind": "interval", "expression": "nan"},
            {"kind": "interval", "expression": "a while"},
            {"kind": "once", "expression": "2030-01-01T00:00:00"},
            {"kind": "once", "expression": "2020-01-01T00:00:00+00:00"},
            {"kind": "cron", "expression": "0 0 31 2 mon"},
            {"queue": "nowhere"},
            {"priority": 3},
            {"args": [1, 2, 3]},
            {"kwargs": {"unheard": 1}},
        ):
            status, facts = self.ask(gateway, running, "save_schedule", **self.spec(running, **changes))
            assert (status, bool(facts["error"])) == ("refused", True), changes
        spec = self.spec(running, key="either", kind="cron", expression="0 0 * * *", args=None, kwargs=None)
        assert self.ask(gateway, running, "save_schedule", **spec)[0] == "refused"

    def test_a_change_keeps_what_it_does_not_name(self, gateway: Gateway, running: ScheduleHarness) -> None:
        before = self.listed(gateway, running, "jittery")
        spec = self.spec(running, key="jittery", name="renamed", kind="cron", expression="5 4 * * *", timezone="UTC", queue="narrow")
        self.done(gateway, running, "save_schedule", **{**spec, "args": None, "kwargs": None, "task_name": before["task_name"]})
        wait_for(lambda: self.listed(gateway, running, "jittery")["expression"] == "5 4 * * *", "it is changed", seconds=CHANGE_S)
        after = self.listed(gateway, running, "jittery")
        assert after["note"] == before["note"], "jitter and end stay"
        assert (after["name"], after["queue"], after["key"]) == ("renamed", "narrow", "jittery")
        spec |= {"is_enabled": False, "expression": "6 4 * * *"}
        self.done(gateway, running, "save_schedule", **{**spec, "args": None, "kwargs": None})
        wait_for(lambda: not self.listed(gateway, running, "jittery")["is_enabled"], "it is off", seconds=CHANGE_S)

    def test_two_schedulers_of_a_process_are_kept_apart(self, gateway: Gateway, running: ScheduleHarness) -> None:
        here, there = (self.listed(gateway, running, key) for key in ("nightly", "reports/nightly"))
        assert (here["timezone"], there["timezone"]) == (running.zone, "Asia/Kolkata")
        self.done(gateway, running, "disable_schedule", key="reports/nightly")
        wait_for(lambda: not self.listed(gateway, running, "reports/nightly")["is_enabled"], "it is off", seconds=CHANGE_S)
        assert self.listed(gateway, running, "nightly")["is_enabled"] is True
        self.done(gateway, running, "enable_schedule", key="reports/nightly")

    def test_what_it_is(self, gateway: Gateway, running: ScheduleHarness) -> None:
        latest = self.latest_list(gateway, running)
        assert (latest["store"], latest["timezone"], latest["can_create"], latest["notes"]) == ("memory, sqlalchemy", "UTC", True, [])
        link = self.lists(gateway, running)[-1][0]
        assert link.hello["role"] == "scheduler"
        assert link.hello["worker"] == f"apscheduler@{link.hello['host']}"


class TestEdges(Own):
    """Each with a process of its own."""

    def test_a_stored_job_without_its_function_is_not_deleted_by_listing(self, alone: MoreHarness, own_gateway: Gateway) -> None:
        """APScheduler deletes what it cannot restore whenever it is asked for all jobs."""
        alone.variables = {}
        process = alone.start_scheduler()
        self.listed(own_gateway, alone, "nightly")
        process.terminate()
        process.wait(60)
        rows = sqlite3.connect(alone.folder / "jobs.db")
        with rows:
            [(state,)] = rows.execute("SELECT job_state FROM apscheduler_jobs WHERE id = 'nightly'")
            gone = state.replace(b"schedules_app:succeed", b"schedules_app:removed")
            assert gone != state
            rows.execute("UPDATE apscheduler_jobs SET job_state = ?, id = 'gone' WHERE id = 'nightly'", (gone,))
        alone.start_scheduler()
        listed = wait_for(lambda: [each for _, each in self.lists(own_gateway, alone) if each["notes"]], "it is noticed", seconds=CHANGE_S)[
            -1
        ]
        assert listed["notes"][0].startswith("1 stored jobs cannot be loaded")
        time.sleep(6)
        assert rows.execute("SELECT count(*) FROM apscheduler_jobs WHERE id = 'gone'").fetchone() == (1,)
        rows.close()

    def test_a_store_in_memory_is_changed_until_it_ends(self, alone: MoreHarness, own_gateway: Gateway) -> None:
        alone.variables = {"APS_STORE": "memory"}
        process = alone.start_scheduler()
        assert "lost" in self.listed(own_gateway, alone, "nightly")["note"]
        assert self.latest_list(own_gateway, alone)["store"] == "memory"
        since = now()
        key = self.make(own_gateway, alone)
        assert self.await_fire(own_gateway, key, since)["outcome"] == "sent"
        self.done(own_gateway, alone, "save_schedule", **self.spec(alone, key="nightly", kind="cron", expression="1 1 * * *"))
        wait_for(lambda: self.listed(own_gateway, alone, "nightly")["expression"] == "1 1 * * *", "it is changed", seconds=CHANGE_S)
        process.terminate()
        process.wait(60)
        wait_for(lambda: not self.lists(own_gateway, alone), "it is gone")
        alone.start_scheduler()
        assert self.listed(own_gateway, alone, "nightly")["expression"] == "30 2 * * *"
        assert self.entry(own_gateway, alone, key) is None

    def test_a_blocking_scheduler_is_changed_from_the_agents_thread(self, alone: MoreHarness, own_gateway: Gateway) -> None:
        alone.variables = {"APS_KIND": "blocking"}
        process = alone.start_scheduler()
        self.listed(own_gateway, alone, "nightly")
        since = now()
        key = self.make(own_gateway, alone)
        self.await_fire(own_gateway, key, since)
        link = self.lists(own_gateway, alone)[-1][0]
        process.terminate()
        process.wait(60)
        wait_for(lambda: not link.is_open, "it ends")
        assert link.goodbye is not None

    def test_a_paused_scheduler_says_so_and_a_fork_of_it_is_none(self, alone: MoreHarness, own_gateway: Gateway) -> None:
        alone.variables = {"APS_FORKS": "1"}
        process = alone.start_scheduler()
        self.listed(own_gateway, alone, "nightly")
        assert "child of the fork: False False producer" in alone.log("scheduler")
        process.send_signal(signal.SIGUSR1)
        lists = wait_for(
            lambda: [each for link in own_gateway.open_links() for each in link.schedules if not each["is_firing"]],
            "it is reported",
            seconds=CHANGE_S,
        )
        assert "paused its scheduler" in lists[-1]["notes"][0]
        link = own_gateway.open_links()[-1]
        id = own_gateway.ask(link, "fire_schedule", "apscheduler", {"key": "nightly"})
        ends = wait_for(lambda: [each for each in own_gateway.answers(id) if each[0] != "accepted"], "it is answered")
        assert ends[0][0] == "refused"


def run(folder: Path, code: str, **more: str) -> str:
    """Its output and log, of a process without a server."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("Z4J_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables | more, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


MAKE = """
import logging, z4j_apscheduler
logging.basicConfig()
from apscheduler.schedulers.background import BackgroundScheduler
scheduler = BackgroundScheduler(timezone="UTC")
"""


def test_without_a_connection_string_nothing_is_hooked(tmp_path: Path) -> None:
    printed = run(tmp_path, MAKE + "z4j_apscheduler.install(scheduler); print(scheduler._listeners)")
    assert printed == "[]\n"


def test_it_is_gone_after_uninstall(tmp_path: Path) -> None:
    more = {"Z4J_URL": Gateway().url, "Z4J_SPOOL": str(tmp_path / "spool")}
    code = """
z4j_apscheduler.install(scheduler)
other = BackgroundScheduler(timezone="UTC")
z4j_apscheduler.install(other)
print(len(scheduler._listeners), len(other._listeners))
z4j_apscheduler.uninstall(other)
print(len(scheduler._listeners), len(other._listeners))
z4j_apscheduler.uninstall()
print(len(scheduler._listeners), len(other._listeners))
z4j_apscheduler.install(scheduler)
scheduler.start()
from z4j_agent import current, stop
print(len(scheduler._listeners), len(current().schedulers), current().role)
stop()
print(len(scheduler._listeners))
"""
    assert run(tmp_path, MAKE + code, **more).splitlines() == ["1 1", "1 0", "0 0", "1 1 scheduler", "0"]


def test_version_4_is_refused_with_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "apscheduler-4.0.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: APScheduler\nVersion: 4.0.0\n")
    more = {"Z4J_URL": Gateway().url, "Z4J_SPOOL": str(tmp_path / "spool"), "PYTHONPATH": str(tmp_path), "Z4J_LOG": "logging"}
    printed = run(tmp_path, MAKE + "z4j_apscheduler.install(scheduler); print(scheduler._listeners)", **more).splitlines()
    assert [line for line in printed if "z4j" in line] == [
        "ERROR:z4j_agent:z4j is disabled: APScheduler 4.0.0 is not supported; only 3.x is supported"
    ]
    assert "[]" in printed
