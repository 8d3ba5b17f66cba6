# SPDX-License-Identifier: Apache-2.0
"""Celery Beat under the contract of schedulers, in each of its stores, and what is its own."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.schedules import crontab, schedule
from django_celery_beat.tzcrontab import TzAwareCrontab

from z4j_agent.conformance import ScheduleContract, ScheduleHarness, wait_for
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import PATIENCE_S
from z4j_agent.conformance.scheduling import CHANGE_S, new_override, now
from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.scheduler import ScheduleSpec
from z4j_agent.wire import cron
from z4j_celery.schedulers.beat_conversion import due_of, fields_of, form_of, rule_of

APPS = Path(__file__).resolve().parents[1] / "apps"


def in_s(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


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
            [sys.executable, APPS / "beat_fill.py"], env=self.environment() | {"Z4J_URL": ""}, capture_output=True, text=True, check=False,
            timeout=60, cwd=self.folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def environment(self) -> dict[str, str]:
        more = {"BROKER_URL": f"redis://127.0.0.1:{self.port}/0", "STORE": self.store, "DATABASE": str(self.folder / "beat.db")}
        return super().environment() | more | {"PYTHONPATH": str(APPS)}

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
        wait_for(lambda: len({fire["run"] for fire in own_gateway.fires("every")}) == 2, "both have fired", seconds=CHANGE_S)

    def test_embedded_in_a_worker_it_connects_by_itself(self, alone: BeatHarness, own_gateway: Gateway) -> None:
        words = ["-A", "beat_app", "worker", "-B", "--loglevel", "INFO", "-Q", "work", "-c", "1", "-s", str(alone.folder / "embedded")]
        alone.start("embedded", [sys.executable, "-m", "celery", *words], cwd=alone.folder)
        self.await_fire(own_gateway, "every", 0)
        time.sleep(2)
        task_ids = [fire["task_id"] for fire in own_gateway.fires("every")]
        assert len(task_ids) == len(set(task_ids)), "a fire is reported once, although beat announces its start twice"
        roles = {link.hello["role"] for link in own_gateway.open_links()}
        assert roles == {"worker", "scheduler"}
        self.off(own_gateway, alone, "every")
        self.await_silence(own_gateway, "every")

    def test_what_the_application_adds_itself_stays(self, gateway: Gateway, running: BeatHarness) -> None:
        self.listed(gateway, running, "by-hand")
        self.off(gateway, running, "nightly")
        wait_for(lambda: (self.entry(gateway, running, "nightly") or {}).get("is_enabled") is False, "it is off", seconds=CHANGE_S)
        self.await_fire(gateway, "by-hand", now())
        self.on(gateway, running, "nightly")
        self.await_fire(gateway, "by-hand", now())
        assert self.listed(gateway, running, "by-hand")["is_code"]

    @pytest.mark.long
    def test_a_one_off_is_sent_once_over_restarts_and_again_when_it_is_given_another_time(
        self, alone: BeatHarness, own_gateway: Gateway
    ) -> None:  # fmt: skip
        beat = alone.start_scheduler()
        wait_for(lambda: self.lists(own_gateway, alone), "it reports them", seconds=CHANGE_S)
        key = self.make(own_gateway, alone, kind="once", expression=in_s(3))
        self.await_fire(own_gateway, key, 0)
        beat.terminate()
        beat.wait(30)
        alone.start_scheduler()
        wait_for(lambda: self.lists(own_gateway, alone), "it reports them again", seconds=CHANGE_S)
        assert self.listed(own_gateway, alone, key)["note"] == "Its time has passed."
        time.sleep(2)
        assert len(own_gateway.fires(key)) == 1
        since = now()
        self.change(own_gateway, alone, new_override(key, self.spec(alone, name="later", kind="once", expression=in_s(3))))
        self.await_fire(own_gateway, key, since)
        assert self.listed(own_gateway, alone, key)["name"] == "later"

    def test_without_the_agent_the_file_is_read_as_before(self, alone: BeatHarness, own_gateway: Gateway) -> None:
        """What operators added and changed leaves nothing in the schedule file that needs this package."""
        beat = alone.start_scheduler()
        wait_for(lambda: self.lists(own_gateway, alone), "it reports them", seconds=CHANGE_S)
        soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        specs = [self.spec(alone, name="a"), self.spec(alone, name="b", kind="once", expression=soon)]
        new = {"is_new": True, "is_deleted": False, "is_enabled": True}
        self.change(own_gateway, alone, *({"key": f"z4j:{fields['name']}", **new, "spec": fields} for fields in specs))
        self.await_fire(own_gateway, "z4j:a", 0)
        beat.terminate()
        beat.wait(30)
        alone.url = ""
        alone.start_scheduler()
        time.sleep(2.5)
        log = alone.log("beat").rpartition("beat: Starting...")[2]
        assert "Sending due task every" in log
        assert "z4j:a" not in log


ESSENTIALS: Sequence[str] = (
    "test_lists_its_entries_in_the_common_form",
    "test_tells_its_fires_with_what_was_due_and_the_task",
    "test_off_and_on_again",
    "test_an_entry_is_made_changed_and_deleted",
)
"""Of the stores that are used less, every time; the others are long."""


class InStore(ScheduleContract):
    """What holds of each store that other processes reach. Its name keeps pytest from running it by itself."""

    def test_what_was_due_while_it_was_off_is_not_made_up_for(self, gateway: Gateway, running: BeatHarness) -> None:
        since = now()
        self.done(gateway, running, "enable_schedule", key="stale")
        wait_for(lambda: (self.entry(gateway, running, "stale") or {}).get("is_enabled"), "it is on", seconds=CHANGE_S)
        time.sleep(7)
        assert [fire for fire in gateway.fires("stale") if fire["at"] > since] == []
        assert self.listed(gateway, running, "stale")["next_at"] > now()
        self.done(gateway, running, "disable_schedule", key="stale")

    @pytest.mark.long
    def test_an_interval_that_ran_becomes_a_one_off(self, gateway: Gateway, running: BeatHarness) -> None:
        if "once" not in running.kinds:
            pytest.skip("it has no one-offs")
        key = self.make(gateway, running)
        self.await_fire(gateway, key, now())
        at = in_s(9)  # beat notices a change of its store within 5 s
        entry = self.listed(gateway, running, key)
        self.done(
            gateway, running, "save_schedule", **self.spec(running, key=key, name=entry["name"], kind="once", expression=at, args=None)
        )
        since = int(datetime.fromisoformat(at).timestamp() * 1_000_000)
        fire = self.await_fire(gateway, key, since - 500_000)
        assert abs(fire["due_at"] - since) < 1_100_000
        wait_for(lambda: (self.entry(gateway, running, key) or {}).get("next_at") is None, "it is reported as past", seconds=CHANGE_S)
        assert len([fire for fire in gateway.fires(key) if fire["at"] > since - 500_000]) == 1
        assert "passed" in self.ask(gateway, running, "enable_schedule", key=key)[1]["error"]
        self.done(gateway, running, "delete_schedule", key=key)

    def test_what_beat_makes_itself_is_left_alone(self, gateway: Gateway, running: BeatHarness) -> None:
        if running.store == "redbeat":
            pytest.skip("its backend expires results by itself; see what stands in the settings")
        assert "every start" in self.listed(gateway, running, "celery.backend_cleanup")["unable"]["save"]
        assert self.ask(gateway, running, "delete_schedule", key="celery.backend_cleanup")[0] == "refused"


class InTable(InStore):
    """What holds of stores in a database, whose columns hold JSON as text."""

    @pytest.mark.parametrize("column", ["args", "kwargs", "headers"])
    def test_a_row_of_broken_json_is_neither_sent_nor_saved(self, gateway: Gateway, running: BeatHarness, column: str) -> None:
        key, since = f"broken {column}", now()
        row = self.listed(gateway, running, key)
        assert f"Its {column} cannot be read" in row["note"]
        assert {"save", "fire"} <= row["unable"].keys()
        assert row["args"] in ("", "[]")
        id = str(uuid.uuid4())
        status, facts = self.ask(gateway, running, "fire_schedule", key=key, new_id=id)
        assert (status, "cannot be read" in facts["error"]) == ("refused", True)
        status, facts = self.ask(gateway, running, "save_schedule", **self.spec(running, key=key, name=key, args=None))
        assert (status, "cannot be read" in facts["error"]) == ("refused", True)
        assert gateway.records(id) == []
        assert [fire for fire in gateway.fires(key) if fire["at"] > since] == []
        assert self.listed(gateway, running, key)["note"] == row["note"]


class DjangoHarness(BeatHarness):
    store: ClassVar[str] = "django"
    is_code: ClassVar[bool] = False
    zones: ClassVar[bool] = True


class TestDjango(InTable):
    essentials: ClassVar[Sequence[str]] = (
        *ESSENTIALS, "test_a_row_of_broken_json_is_neither_sent_nor_saved", "test_a_row_that_cannot_be_read_does_not_hide_the_others",
        "test_any_process_with_django_lists_and_changes_it", "test_a_name_is_taken_once", "test_a_change_outlives_the_scheduler",
    )  # fmt: skip
    harness_class = DjangoHarness

    def test_a_row_that_cannot_be_read_does_not_hide_the_others(self, gateway: Gateway, running: DjangoHarness) -> None:
        broken = self.listed(gateway, running, "without a rule")
        assert (broken["kind"], "cannot be read" in broken["note"]) == ("other", True)
        self.listed(gateway, running, "nightly")

    def test_any_process_with_django_lists_and_changes_it(self, gateway: Gateway, running: DjangoHarness) -> None:
        """A worker: it does not fire, and says so."""
        words = ["-A", "beat_app", "worker", "--loglevel", "INFO", "-Q", "work", "-c", "1"]
        worker = running.start("worker", [sys.executable, "-m", "celery", *words], cwd=running.folder)

        def lists() -> list[Any]:
            return [
                listed
                for link in gateway.open_links()
                for listed in link.schedules
                if not listed["is_firing"] and link.hello["role"] == "worker"
            ]

        latest = wait_for(lists, "a worker lists the store", seconds=40)[-1]
        assert {"every", "nightly"} <= {listed["key"] for listed in latest["entries"]}
        worker.terminate()
        worker.wait(PATIENCE_S)

    def test_a_name_is_taken_once(self, gateway: Gateway, running: DjangoHarness) -> None:
        status, facts = self.ask(gateway, running, "save_schedule", **self.spec(running, name="nightly"))
        assert (status, "already" in facts["error"]) == ("refused", True)


class RedbeatHarness(DjangoHarness):
    store: ClassVar[str] = "redbeat"
    zones: ClassVar[bool] = False
    kinds: ClassVar[tuple[str, ...]] = ("cron", "interval")


class TestRedbeat(InStore):
    harness_class = RedbeatHarness
    essentials: ClassVar[Sequence[str]] = (*ESSENTIALS, "test_what_stands_in_the_settings_is_shown_and_left_alone")

    def test_what_stands_in_the_settings_is_shown_and_left_alone(self, gateway: Gateway, running: RedbeatHarness) -> None:
        assert "every start" in self.listed(gateway, running, "fixed")["unable"]["save"]
        assert self.ask(gateway, running, "disable_schedule", key="fixed")[0] == "refused"
        assert self.ask(gateway, running, "delete_schedule", key="fixed")[0] == "refused"
        status, facts = self.ask(
            gateway, running, "save_schedule", **self.spec(running, kind="once", expression="2030-01-01T00:00:00+00:00")
        )
        assert (status, "does not support one-offs" in facts["error"]) == ("refused", True)


class SqlalchemyHarness(DjangoHarness):
    store: ClassVar[str] = "sqlalchemy"


class TestSqlalchemy(InTable):
    harness_class = SqlalchemyHarness
    essentials: ClassVar[Sequence[str]] = (*ESSENTIALS, "test_a_row_of_broken_json_is_neither_sent_nor_saved")


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


def expressions(count: int, hours: str = "") -> Iterator[str]:
    """Random ones that some day matches, always the same."""
    draw = random.Random(20)
    weekdays: Sequence[str] = cron.WEEKDAYS
    while count:
        days = draw.choice(["*", draw.choice(weekdays), ",".join(draw.sample(weekdays, 3)), f"{draw.randint(0, 3)}-{draw.randint(4, 7)}"])
        months = draw.choice([field(draw, 1, 12), "jan-mar,dec", "*"])
        text = f"{field(draw, 0, 59)} {hours or field(draw, 0, 23)} {field(draw, 1, 31)} {months} {days}"
        try:
            expression = cron.parse(text)
        except cron.BadCron:
            continue
        if min(expression.days) <= 28:  # else some years have no such day
            count -= 1
            yield text


def search(expression: cron.Cron, start: datetime) -> datetime:
    """The next minute after `start` that matches, on the clocks of its zone; day and weekday are both needed."""
    zone = start.tzinfo
    want = (start.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)).astimezone(zone)

    def is_day(at: datetime) -> bool:
        return at.month in expression.months and at.day in expression.days and at.weekday() in expression.weekdays

    while not (is_day(want) and want.hour in expression.hours and want.minute in expression.minutes):
        if is_day(want):
            want = (want.astimezone(UTC) + timedelta(minutes=1)).astimezone(zone)
        else:
            want = (want + timedelta(days=1)).replace(hour=0, minute=0)
    return want


def test_expressions_mean_the_same_there(app: Celery) -> None:
    """What Celery is handed, what it computes from it, and what is told of it, against a plain search through the minutes."""
    start = datetime(2026, 11, 23, 5, 17, tzinfo=UTC)
    for text in expressions(200):
        expression = cron.parse(text)
        rule = rule_of(spec("cron", text), app)
        again = cron.parse(form_of(rule, "UTC")[1])
        assert (again.minutes, again.hours, again.days, again.months, again.weekdays) == (
            expression.minutes, expression.hours, expression.days, expression.months, expression.weekdays
        ), text  # fmt: skip
        want = search(expression, start)
        rule.nowfun = lambda: start
        assert due_of(rule, start) == want, text
        assert start + rule.remaining_estimate(start) == want, text


def test_expressions_in_a_zone_of_their_own(app: Celery) -> None:
    """As the stores with zones evaluate them, over a whole year; between 4 and 23 o'clock, where no clock is ever changed here."""
    draw = random.Random(21)
    for text in expressions(60, "4-23/3"):
        zone = ZoneInfo(draw.choice(("Europe/Berlin", "Asia/Kolkata", "America/New_York", "Pacific/Auckland")))
        start = datetime.fromtimestamp(draw.randint(1_790_000_000, 1_820_000_000), zone)
        rule = TzAwareCrontab(**fields_of(spec("cron", text)), tz=zone, app=app)
        rule.nowfun = lambda start=start: start  # Celery 5.5 goes on within an hour only on the day of the last run
        want = search(cron.parse(text), start)
        assert due_of(rule, start.astimezone(UTC)) == want, (text, zone, start)
        assert form_of(rule, "UTC")[2] == zone.key


def test_rules_are_told_in_the_common_form(app: Celery) -> None:
    assert form_of(crontab(hour={1, 2}, day_of_week="0,sat", app=app), "UTC")[:2] == ("cron", "* 1,2 * * sat,sun")
    assert form_of(schedule(90.0, app=app), "UTC") == ("interval", "90", "")
    assert form_of(schedule(0.5, app=app), "UTC")[1] == "0.5"


@pytest.mark.parametrize(
    ("kind", "expression", "word"),
    [("interval", "0", "longer than zero"), ("interval", "often", "not a number"), ("cron", "0 0 0 * * *", "nearest is 0 0 \\*"),
     ("cron", "* * *", "five fields"), ("cron", "0 0 31 2 mon", "cannot compute"), ("cron", "0 0 31 4,6 fri", "cannot compute"),
     ("interval", "inf", "longer than zero"), ("interval", "nan", "longer than zero")],
)  # fmt: skip
def test_what_is_refused(app: Celery, kind: str, expression: str, word: str) -> None:
    with pytest.raises(Refused, match=word):
        rule_of(spec(kind, expression), app)
