# SPDX-License-Identifier: Apache-2.0
"""Celery Beat under the contract of schedulers, in each of its stores, and what is its own."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from celery import Celery
from celery.schedules import crontab, schedule

from z4j_agent import cron
from z4j_agent.adapter import Refused
from z4j_agent.conformance import ScheduleContract, ScheduleHarness, wait_for
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.scheduling import CHANGE_S, now
from z4j_agent.schedules import ScheduleSpec
from z4j_celery.beat_forms import due_of, form_of, rule_of

HERE = Path(__file__).parent


class BeatHarness(ScheduleHarness):
    scheduler: ClassVar[str] = "celery_beat"
    zone: ClassVar[str] = "Europe/Berlin"
    is_code: ClassVar[bool] = True
    zones: ClassVar[bool] = False
    store: ClassVar[str] = "code"

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.port = 0

    def set_up(self) -> None:
        self.port = self.start_valkey()
        done = subprocess.run(
            [sys.executable, HERE / "beat_fill.py"], env=self.environment() | {"Z4J_URL": ""}, capture_output=True, text=True, check=False,
            timeout=60, cwd=self.folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def environment(self) -> dict[str, str]:
        more = {"BROKER_URL": f"redis://127.0.0.1:{self.port}/0", "STORE": self.store, "DATABASE": str(self.folder / "beat.db")}
        return super().environment() | more | {"PYTHONPATH": str(HERE)}

    def start_scheduler(self, name: str = "beat") -> subprocess.Popen[bytes]:
        before = self.log(name).count("beat: Starting...")
        words = ["-A", "beat_app", "beat", "--loglevel", "INFO", "--pidfile", ""]
        if self.store == "code":
            words += ["-s", str(self.folder / f"{name}-schedule")]
        process = self.start(name, [sys.executable, "-m", "celery", *words], cwd=self.folder)
        wait_for(lambda: self.log(name).count("beat: Starting...") > before, "beat is up", seconds=40)
        return process


class TestFile(ScheduleContract):
    harness_class = BeatHarness

    def test_what_no_form_can_say_is_shown_in_its_own_words(self, gateway: Gateway, running: BeatHarness) -> None:
        sun = self.listed(gateway, running, "sunrise")
        assert (sun["kind"], "sunrise" in sun["expression"], "save" in sun["unable"]) == ("other", True, True)
        assert sun["next_at"] is None or sun["next_at"] > now()

    def test_a_secret_is_shown_masked_and_kept(self, gateway: Gateway, running: BeatHarness) -> None:
        spec = self.spec(running, task_name="login", args=["eve", "hunter2"])
        override = {"key": "z4j:door", "is_new": True, "is_deleted": False, "is_enabled": True, "spec": {**spec, "key": "z4j:door"}}
        self.change(gateway, running, override)
        assert json.loads(self.listed(gateway, running, "z4j:door")["args"]) == ["eve", "•••"]
        self.change(gateway, running)

    def test_two_beats_each_tell_what_they_fire(self, alone: BeatHarness, own_gateway: Gateway) -> None:
        alone.start_scheduler()
        alone.start_scheduler("other")
        wait_for(lambda: len({of["run"] for of in own_gateway.fires("every")}) == 2, "both have fired", seconds=CHANGE_S)

    def test_embedded_in_a_worker_it_connects_by_itself(self, alone: BeatHarness, own_gateway: Gateway) -> None:
        words = ["-A", "beat_app", "worker", "-B", "--loglevel", "INFO", "-Q", "work", "-c", "1", "-s", str(alone.folder / "embedded")]
        alone.start("embedded", [sys.executable, "-m", "celery", *words], cwd=alone.folder)
        self.await_fire(own_gateway, "every", 0)
        roles = {link.hello["role"] for link in own_gateway.open_links()}
        assert roles == {"worker", "scheduler"}
        self.off(own_gateway, alone, "every")
        self.await_silence(own_gateway, "every")

    def test_without_the_agent_the_file_is_read_as_before(self, alone: BeatHarness, own_gateway: Gateway) -> None:
        """What operators added and changed leaves nothing in the schedule file that needs this package."""
        beat = alone.start_scheduler()
        wait_for(lambda: self.lists(own_gateway, alone), "it tells", seconds=CHANGE_S)
        soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        specs = [self.spec(alone, name="a"), self.spec(alone, name="b", kind="once", expression=soon)]
        self.change(own_gateway, alone, *({"key": f"z4j:{of['name']}", "is_new": True, "is_deleted": False, "is_enabled": True, "spec": of}
                                          for of in specs))  # fmt: skip
        self.await_fire(own_gateway, "z4j:a", 0)
        beat.terminate()
        beat.wait(30)
        alone.url = ""
        alone.start_scheduler()
        time.sleep(2.5)
        log = alone.log("beat").rpartition("beat: Starting...")[2]
        assert "Sending due task every" in log
        assert "z4j:a" not in log


class DjangoHarness(BeatHarness):
    store: ClassVar[str] = "django"
    is_code: ClassVar[bool] = False
    zones: ClassVar[bool] = True


class TestDjango(ScheduleContract):
    harness_class = DjangoHarness

    def test_any_process_with_django_lists_and_changes_it(self, gateway: Gateway, running: DjangoHarness) -> None:
        """A worker: it does not fire, and says so."""
        words = ["-A", "beat_app", "worker", "--loglevel", "INFO", "-Q", "work", "-c", "1"]
        worker = running.start("worker", [sys.executable, "-m", "celery", *words], cwd=running.folder)

        def told() -> list[Any]:
            return [of for link in gateway.open_links() for of in link.schedules if not of["is_firing"] and link.hello["role"] == "worker"]

        found = wait_for(told, "a worker lists the store", seconds=40)[-1]
        assert {"every", "nightly"} <= {of["key"] for of in found["entries"]}
        worker.terminate()
        worker.wait(30)

    def test_a_name_is_taken_once(self, gateway: Gateway, running: DjangoHarness) -> None:
        status, facts = self.ask(gateway, running, "save_schedule", **self.spec(running, name="nightly"))
        assert (status, "already" in facts["error"]) == ("refused", True)


class RedbeatHarness(DjangoHarness):
    store: ClassVar[str] = "redbeat"
    zones: ClassVar[bool] = False
    kinds: ClassVar[tuple[str, ...]] = ("cron", "interval")


ESSENTIALS: Sequence[str] = (
    "test_lists_its_entries_in_the_common_form",
    "test_tells_its_fires_with_what_was_due_and_the_task",
    "test_off_and_on_again",
    "test_an_entry_is_made_changed_and_deleted",
)
"""Of the stores that are used less, every time; the others are long."""


class TestRedbeat(ScheduleContract):
    harness_class = RedbeatHarness
    essentials: ClassVar[Sequence[str]] = (*ESSENTIALS, "test_what_stands_in_the_settings_is_shown_and_left_alone")

    def test_what_stands_in_the_settings_is_shown_and_left_alone(self, gateway: Gateway, running: RedbeatHarness) -> None:
        assert "every start" in self.listed(gateway, running, "fixed")["unable"]["save"]
        assert self.ask(gateway, running, "disable_schedule", key="fixed")[0] == "refused"
        assert self.ask(gateway, running, "delete_schedule", key="fixed")[0] == "refused"
        status, facts = self.ask(
            gateway, running, "save_schedule", **self.spec(running, kind="once", expression="2030-01-01T00:00:00+00:00")
        )
        assert (status, "no one-offs" in facts["error"]) == ("refused", True)


class SqlalchemyHarness(DjangoHarness):
    store: ClassVar[str] = "sqlalchemy"


class TestSqlalchemy(ScheduleContract):
    harness_class = SqlalchemyHarness
    essentials: ClassVar[Sequence[str]] = ESSENTIALS


# -- rules -----------------------------------------------------------------------------------------------------------------
def spec(kind: str, expression: str, zone: str = "UTC") -> ScheduleSpec:
    return ScheduleSpec("", "n", kind, expression, zone, "t", [], {}, "", None, True)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def app() -> Celery:
    made = Celery("rules", set_as_current=False)
    made.conf.update(timezone="UTC", enable_utc=True)
    return made


def field(draw: random.Random, low: int, high: int) -> str:
    first, second = sorted((draw.randint(low, high), draw.randint(low, high)))
    return draw.choice(
        [
            "*",
            "*",
            str(first),
            f"{first}-{second}",
            f"*/{draw.randint(1, high)}",
            f"{first}-{second}/{draw.randint(1, 9)}",
            f"{first},{second}",
        ]
    )


def test_expressions_mean_the_same_there(app: Celery) -> None:
    """Against a plain search through the minutes; day and weekday are both needed."""
    draw = random.Random(20)
    start = datetime(2026, 11, 23, 5, 17, tzinfo=UTC)
    weekdays: Sequence[str] = cron.WEEKDAYS
    for _ in range(200):
        days = draw.choice(["*", draw.choice(weekdays), ",".join(draw.sample(weekdays, 3)), f"{draw.randint(0, 3)}-{draw.randint(4, 7)}"])
        text = f"{field(draw, 0, 59)} {field(draw, 0, 23)} {field(draw, 1, 28)} {field(draw, 1, 12)} {days}"
        found = cron.parse(text)
        rule = rule_of(spec("cron", text), app)
        again = cron.parse(form_of(rule, "UTC")[1])
        assert (again.minutes, again.hours, again.days, again.months, again.weekdays) == (
            found.minutes, found.hours, found.days, found.months, found.weekdays
        ), text  # fmt: skip
        due = due_of(rule, start)
        assert due is not None
        want = start.replace(second=0) + timedelta(minutes=1)
        while not (want.month in found.months and want.day in found.days and want.weekday() in found.weekdays):
            want = want.replace(hour=0, minute=0) + timedelta(days=1)
        while not (want.hour in found.hours and want.minute in found.minutes and want.day in found.days
                   and want.weekday() in found.weekdays and want.month in found.months):  # fmt: skip
            want += timedelta(minutes=1)
        assert due == want, (text, due, want)


def test_rules_are_told_in_the_common_form(app: Celery) -> None:
    assert form_of(crontab(hour={1, 2}, day_of_week="0,sat", app=app), "UTC")[:2] == ("cron", "* 1,2 * * sat,sun")
    assert form_of(schedule(90.0, app=app), "UTC") == ("interval", "90", "")
    assert form_of(schedule(0.5, app=app), "UTC")[1] == "0.5"


@pytest.mark.parametrize(
    ("kind", "expression", "word"),
    [("interval", "0", "longer than nothing"), ("interval", "often", "no number"), ("cron", "0 0 0 * * *", "nearest is 0 0 \\*"),
     ("cron", "* * *", "five fields")],
)  # fmt: skip
def test_what_is_refused(app: Celery, kind: str, expression: str, word: str) -> None:
    with pytest.raises(Refused, match=word):
        rule_of(spec(kind, expression), app)
