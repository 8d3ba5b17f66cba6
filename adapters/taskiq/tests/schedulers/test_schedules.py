# SPDX-License-Identifier: Apache-2.0
"""taskiq's scheduler passes the contract of schedules, with entries in labels and in a Redis list."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

from z4j_agent.conformance import Gateway, wait_for
from z4j_agent.conformance.scheduling import CHANGE_S, ScheduleContract, ScheduleHarness, now
from z4j_agent.wire.redaction import MASK
from z4j_taskiq.adapter import TaskiqAdapter

APPS = Path(__file__).resolve().parents[1] / "apps"


class LabelsHarness(ScheduleHarness):
    adapter = TaskiqAdapter
    scheduler = "taskiq_scheduler"
    zone = "Europe/Berlin"
    is_code = True
    sources: ClassVar[str] = "labels"

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.broker_url = ""

    def environment(self) -> dict[str, str]:
        ours = {"BROKER_URL": self.broker_url, "SOURCES": self.sources, "PYTHONPATH": str(APPS)}
        return super().environment() | ours

    def set_up(self) -> None:
        self.broker_url = f"redis://127.0.0.1:{self.start_valkey()}/0"

    def run(self, what: str) -> str:
        """In another process of the application, through taskiq's own API. Returns what it says."""
        before = len(self.log("other"))
        ended = self.start("other", [sys.executable, APPS / "schedules_app.py", what], cwd=APPS).wait(30)
        assert ended == 0, self.log("other")
        return self.log("other")[before:]

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        count = self.log("scheduler").count("Startup completed")
        taskiq = [sys.executable, "-m", "taskiq", "scheduler", "schedules_app:scheduler", "--update-interval", "1"]
        started = self.start("scheduler", taskiq, cwd=APPS)
        wait_for(lambda: self.log("scheduler").count("Startup completed") > count, "the scheduler runs", seconds=30)
        return started


class TestLabels(ScheduleContract):
    harness_class = LabelsHarness


class RedisHarness(LabelsHarness):
    is_code = False
    sources = "redis"

    def set_up(self) -> None:
        super().set_up()
        self.run("seed")


class TestRedis(ScheduleContract):
    harness_class = RedisHarness


class BothHarness(LabelsHarness):
    sources = "both"

    def set_up(self) -> None:
        super().set_up()
        self.variables = {"MORE": "1"}
        self.run("ahead")


class Own(ScheduleContract):
    """Reading and asking of the contract, without its tests."""

    harness_class = BothHarness


for inherited in [name for name in vars(ScheduleContract) if name.startswith("test_")]:
    setattr(Own, inherited, None)


class TestItsOwn(Own):
    """What only taskiq has; labels and Redis in one scheduler."""

    NAME: ClassVar[str] = "taskiq_scheduler"

    def test_what_labels_say_is_read_as_pycron_reads_it(self, gateway: Gateway, running: ScheduleHarness) -> None:
        more = [entry for entry in self.latest_list(gateway, running)["entries"] if entry["task_name"] == "more"]
        forms = {(entry["kind"], entry["expression"], entry["timezone"]) for entry in more}
        assert forms == {
            ("cron", "0 12 * * mon", "UTC"),
            ("other", "cron 0 12 */10 * 5", ""),  # day AND weekday, for one of them holds a star
            ("cron", "0 12 13 * fri", "Etc/GMT-2"),  # day OR weekday
            ("other", "cron 0 12 * jan *", ""),
            ("other", "cron 0 12 * * * *", ""),
            ("interval", "5400", ""),
            ("once", "2035-01-01T00:00:00+00:00", "UTC"),
        }
        assert len({entry["key"] for entry in more}) == len(more)
        for entry in more:
            is_never = entry["expression"].startswith("cron 0 12 * ")
            assert (entry["next_at"] is None, "never" in entry["note"]) == (is_never, is_never), entry
            assert (entry["priority"], entry["is_code"], "save" in entry["unable"]) == (3, True, entry["kind"] == "other")
        either = next(entry for entry in more if entry["timezone"] == "Etc/GMT-2")
        due = datetime.fromtimestamp(either["next_at"] / 1e6, UTC)
        assert (due.hour, due.minute, due.day == 13 or due.weekday() == 4) == (10, 0, True)
        opaque = next(entry for entry in more if "*/10" in entry["expression"])
        due = datetime.fromtimestamp(opaque["next_at"] / 1e6, UTC)
        assert (due.weekday(), due.day in (1, 11, 21, 31)) == (4, True)

    def test_labels_without_an_id_have_the_same_key_after_a_restart(self, alone: BothHarness, own_gateway: Gateway) -> None:
        def keys() -> set[str]:
            return {entry["key"] for entry in self.latest_list(own_gateway, alone)["entries"] if entry["is_code"]}

        process = alone.start_scheduler()
        before = keys()
        assert "every" in before
        assert any(key.startswith("more#") for key in before)
        process.terminate()
        process.wait(60)
        wait_for(lambda: not self.lists(own_gateway, alone), "it is gone")
        alone.start_scheduler()
        assert keys() == before

    def test_one_offs_ahead_are_listed_and_retries_are_not(self, gateway: Gateway, running: BothHarness) -> None:
        ahead = self.listed(gateway, running, "ahead")
        assert (ahead["kind"], ahead["expression"], ahead["is_code"]) == ("once", "2035-01-01T12:00:00+00:00", False)
        assert self.entry(gateway, running, "retry") is None

    def test_each_entry_is_changed_where_it_lies(self, gateway: Gateway, running: BothHarness) -> None:
        latest = self.latest_list(gateway, running)
        assert (latest["store"], latest["can_create"], latest["timezone"]) == ("redis", True, "UTC")
        for action in ("disable_schedule", "delete_schedule"):
            status, facts = self.ask(gateway, running, action, key="nightly")
            assert (status, "override" in facts["error"]) == ("refused", True)
        since = now()
        key = str(self.done(gateway, running, "save_schedule", **self.spec(running, name="stored"))["key"])
        assert key == "stored", "an id can be chosen in taskiq, a name cannot"
        assert self.listed(gateway, running, key)["is_code"] is False
        self.await_fire(gateway, key, since)
        assert key in running.run("shown")
        self.change(gateway, running, {"key": "every", "is_new": False, "is_deleted": False, "is_enabled": False, "spec": None})
        wait_for(lambda: not self.listed(gateway, running, "every")["is_enabled"], "it is off", seconds=CHANGE_S)
        assert self.listed(gateway, running, key)["is_enabled"] is True
        self.done(gateway, running, "disable_schedule", key=key)
        wait_for(lambda: not self.listed(gateway, running, key)["is_enabled"], "it is off", seconds=CHANGE_S)
        assert key not in running.run("shown"), "taskiq knows it no more"
        renamed = self.spec(running, key=key, name="other")
        assert self.ask(gateway, running, "save_schedule", **renamed)[0] == "refused"
        changed = self.spec(running, key=key, name=key, expression="7200", is_enabled=False)
        self.done(gateway, running, "save_schedule", **{**changed, "args": None, "kwargs": None})
        wait_for(lambda: self.listed(gateway, running, key)["expression"] == "7200", "it is changed while it is off", seconds=CHANGE_S)
        assert self.listed(gateway, running, key)["is_enabled"] is False
        self.done(gateway, running, "enable_schedule", key=key)
        wait_for(lambda: self.listed(gateway, running, key)["is_enabled"], "it is on", seconds=CHANGE_S)
        assert key in running.run("shown")
        self.done(gateway, running, "delete_schedule", key=key)
        wait_for(lambda: self.entry(gateway, running, key) is None, "it is gone", seconds=CHANGE_S)
        self.change(gateway, running)

    def test_what_its_source_cancels_is_told_as_skipped(self, gateway: Gateway, running: ScheduleHarness) -> None:
        fire = self.await_fire(gateway, "held", 0)
        assert (fire["outcome"], fire["task_id"]) == ("skipped", "")

    def test_secret_arguments_are_masked_and_kept(self, gateway: Gateway, running: BothHarness) -> None:
        spec = self.spec(running, name="login", task_name="login", args=["eve", "hunter2"], kind="interval", expression="1")
        key = str(self.done(gateway, running, "save_schedule", **spec)["key"])
        assert json.loads(self.listed(gateway, running, key)["args"]) == ["eve", MASK]
        self.done(gateway, running, "save_schedule", **{**spec, "key": key, "args": ["mallory", MASK]})
        since = now()
        wait_for(lambda: "mallory" in self.listed(gateway, running, key)["args"], "it is changed", seconds=CHANGE_S)
        fire = self.await_fire(gateway, key, since)
        payloads = wait_for(
            lambda: [record for record in gateway.records(fire["task_id"]) if record.kind == "payload"], "its arguments are told"
        )
        assert "mallory" in payloads[0].rest["args"]
        assert "hunter2" not in payloads[0].rest["args"]
        self.done(gateway, running, "delete_schedule", key=key)

    def test_refuses_what_only_taskiq_cannot_hold(self, gateway: Gateway, running: ScheduleHarness) -> None:
        whys = []
        for changes in (
            {"kind": "cron", "expression": "*/10 * * * * *"},
            {"kind": "interval", "expression": "0.5"},
            {"kind": "interval", "expression": "-3"},
            {"kind": "interval", "expression": "soon"},
            {"kind": "once", "expression": "2030-01-01T00:00:00"},
            {"kind": "once", "expression": "2020-01-01T00:00:00+00:00"},
            {"kind": "once", "expression": "tomorrow"},
            {"queue": "other"},
            {"priority": 3},
        ):
            status, facts = self.ask(gateway, running, "save_schedule", **self.spec(running, **changes))
            assert (status, bool(facts["error"])) == ("refused", True), changes
            whys.append(facts["error"])
        assert "the nearest is * * * * *" in whys[0]
        assert "the nearest is 1" in whys[1]

    def test_what_could_not_be_sent_is_told_so(self, alone: BothHarness, own_gateway: Gateway) -> None:
        alone.sources, alone.variables = "labels", {}  # type: ignore[misc]
        alone.start_scheduler()
        link = wait_for(lambda: self.lists(own_gateway, alone), "it reports its entries", seconds=CHANGE_S)[-1][0]
        assert link.hello["role"] == "scheduler"
        assert link.hello["worker"] == f"taskiq-scheduler@{link.hello['host']}"
        able = {action for name, action, *_ in link.hello["capabilities"] if name == "taskiq_scheduler"}
        assert able == {"apply_overrides", "fire_schedule"}, "there is no store"
        self.await_fire(own_gateway, "every", 0)
        os.kill(alone.broker_pid(), signal.SIGKILL)
        failed = wait_for(lambda: [fire for fire in own_gateway.fires("every") if fire["outcome"] == "failed"], "a failed fire is reported")
        assert failed[0]["task_id"] == ""
        assert "Error" in failed[0]["error"]

    def test_a_changed_one_off_is_not_sent_again(self, alone: BothHarness, own_gateway: Gateway) -> None:
        """taskiq forgets at its end what it has sent; the code's own entry is there again when the change is taken back."""
        alone.sources = "labels"  # type: ignore[misc]
        process = alone.start_scheduler()
        self.listed(own_gateway, alone, "new-year")
        at = (datetime.now(UTC) + timedelta(seconds=5)).isoformat(timespec="seconds")
        spec = self.spec(alone, key="new-year", task_name="more", kind="once", expression=at, args=None, kwargs=None)
        override = {"key": "new-year", "is_new": False, "is_deleted": False, "is_enabled": True, "spec": spec}
        self.change(own_gateway, alone, override)
        self.await_fire(own_gateway, "new-year", 0)
        wait_for(lambda: self.listed(own_gateway, alone, "new-year")["note"] == "Its time has passed.", "it is over", seconds=CHANGE_S)
        process.terminate()
        process.wait(60)
        wait_for(lambda: not self.lists(own_gateway, alone), "it is gone")
        since = now()
        alone.start_scheduler()
        assert self.listed(own_gateway, alone, "new-year")["next_at"] is None
        time.sleep(3)
        assert not self.is_fired(own_gateway, "new-year", since)
        self.change(own_gateway, alone)
        wait_for(lambda: self.listed(own_gateway, alone, "new-year")["expression"].startswith("2035"), "it is code again", seconds=CHANGE_S)

    def test_only_the_process_that_fires_says_what_it_can(self, alone: BothHarness, own_gateway: Gateway) -> None:
        """A worker is asked before others, and could do nothing here. A scheduler that sends as it starts still connects as one."""
        alone.variables = {"SENDS": "1"}
        alone.start("worker", [sys.executable, "-m", "taskiq", "worker", "schedules_app:broker", "--workers", "1"], cwd=APPS)
        alone.start_scheduler()
        wait_for(lambda: self.lists(own_gateway, alone), "it reports its entries", seconds=CHANGE_S)
        links = wait_for(lambda: len(open_links := own_gateway.open_links()) > 1 and open_links, "both are connected", seconds=CHANGE_S)
        able = {link.hello["role"]: {action for name, action, *_ in link.hello["capabilities"] if name == self.NAME} for link in links}
        assert able == {"worker": set(), "scheduler": {
            "apply_overrides", "fire_schedule", "save_schedule", "delete_schedule", "enable_schedule", "disable_schedule",
        }}  # fmt: skip
        assert [link.schedules for link in links if link.hello["role"] == "worker"] == [[]]


HOOKED = """
import asyncio, z4j_taskiq
from taskiq import InMemoryBroker, TaskiqScheduler
from taskiq.cli.scheduler.run import SchedulerLoop
from taskiq.schedule_sources import LabelScheduleSource
broker, other = InMemoryBroker(), InMemoryBroker()
own = SchedulerLoop.__init__
z4j_taskiq.install(broker)

async def main():
    def hooked():
        return sorted(set(vars(source)) & {"get_schedules"} | set(vars(scheduler)) & {"on_ready"} | set(vars(loop)) & {"run"})
    source = LabelScheduleSource(other)
    scheduler = TaskiqScheduler(other, [source])
    loop = SchedulerLoop(scheduler)
    print("of a broker that is not ours:", hooked())
    source = LabelScheduleSource(broker)
    scheduler = TaskiqScheduler(broker, [source])
    loop = SchedulerLoop(scheduler)
    print("of ours:", hooked())
    z4j_taskiq.uninstall(broker)
    print("after uninstall:", hooked(), SchedulerLoop.__init__ is own)

asyncio.run(main())
"""


def test_nothing_stays_behind(tmp_path: Path) -> None:
    """Without a connection string there is nothing, and after `uninstall` there is nothing any more."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("Z4J_")}
    ours = {"Z4J_URL": Gateway().url, "Z4J_SPOOL": str(tmp_path / "spool")}
    more: dict[str, str]
    for more, expected in (({}, "[]"), (ours, "['get_schedules', 'on_ready', 'run']")):
        done = subprocess.run(
            [sys.executable, "-c", HOOKED], env=variables | more, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )  # fmt: skip
        assert done.stdout.splitlines() == [
            "of a broker that is not ours: []", f"of ours: {expected}", "after uninstall: [] True",
        ], done.stderr  # fmt: skip
