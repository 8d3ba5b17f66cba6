# SPDX-License-Identifier: Apache-2.0
"""rq-scheduler's entries in a real Redis, as z4j reads and changes them beside the package itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import rq_scheduler
from redis import Redis
from rq.job import Job, JobStatus

from z4j_agent.conformance.harness import Harness, free_port
from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.scheduler import ScheduleInfo, ScheduleSpec
from z4j_agent.runtime.time_zones import zone_of_host
from z4j_agent.wire.redaction import MASK
from z4j_rq.schedulers.rqscheduler import RqScheduler
from z4j_rq.state import RqState

ZSET = rq_scheduler.Scheduler.scheduled_jobs_key
LOCK = rq_scheduler.Scheduler.scheduler_lock_key
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def login(user: str, password: str) -> str:
    return user


LOGIN = f"{login.__module__}.login"


def spec(**changes: Any) -> ScheduleSpec:
    fields: dict[str, Any] = {
        "key": "", "name": "", "kind": "interval", "expression": "60", "timezone": "", "task_name": LOGIN, "args": None,
        "kwargs": None, "queue": "", "priority": None, "is_enabled": True,
    }  # fmt: skip
    return ScheduleSpec(**{**fields, **changes})


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    harness = Harness(tmp_path_factory.mktemp("entries"), "")
    yield harness.start_valkey()
    harness.tear_down()


@pytest.fixture
def redis(port: int) -> Iterator[Redis]:
    connection = Redis(port=port)
    connection.flushall()
    yield connection
    connection.close()


@pytest.fixture
def ours() -> Iterator[RqScheduler]:
    scheduler = RqScheduler(RqState())
    scheduler.install()
    yield scheduler
    scheduler.uninstall()


@pytest.fixture
def theirs(ours: RqScheduler, redis: Redis) -> rq_scheduler.Scheduler:
    return rq_scheduler.Scheduler("work", connection=redis)


def listed(ours: RqScheduler) -> dict[str, ScheduleInfo]:
    return {entry.key: entry for entry in ours.list_schedules()}


# -- what is read ------------------------------------------------------------------------------------------------------
def test_every_kind_in_the_common_form(ours: RqScheduler, theirs: rq_scheduler.Scheduler, redis: Redis) -> None:
    at = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
    theirs.schedule(at, login, args=["eve", "hunter2"], interval=90, repeat=3, id="three", queue_name="slow")
    theirs.cron("0 9 * * 1-5", login, kwargs={"user": "eve", "password": "hunter2"}, id="weekdays", description="Says good morning")
    theirs.cron("0 9 L * *", login, id="last")
    theirs.enqueue_at(at, login, "eve", "hunter2")
    entries = listed(ours)
    three = entries["three"]
    assert (three.kind, three.expression, three.timezone, three.queue) == ("interval", "90", "", "slow")
    assert three.next_at == int(at.timestamp()) * 1_000_000
    assert json.loads(three.args) == ["eve", MASK], "masked by the name of the parameter"
    assert three.note == "Runs 3 more times."
    weekdays = entries["weekdays"]
    assert (weekdays.kind, weekdays.expression, weekdays.timezone) == ("cron", "0 9 * * mon-fri", zone_of_host())
    assert weekdays.name == "Says good morning"
    assert json.loads(weekdays.kwargs)["password"] == MASK
    assert (entries["last"].kind, entries["last"].expression) == ("other", "0 9 L * *")
    once = next(entry for entry in entries.values() if entry.kind == "once")
    assert (datetime.fromisoformat(once.expression), once.name) == (at, LOGIN)
    assert not any("hunter2" in str(entry) for entry in entries.values())


def test_what_this_process_has_not_loaded_is_shown_without_its_arguments(ours: RqScheduler, theirs: rq_scheduler.Scheduler) -> None:
    theirs.schedule(datetime.now(UTC), "elsewhere.login", args=["eve", "hunter2"], interval=90, id="far")
    assert listed(ours)["far"].args == '"…"'


def test_an_entry_without_its_hash_is_not_listed_and_not_deleted(ours: RqScheduler, theirs: rq_scheduler.Scheduler, redis: Redis) -> None:
    redis.zadd(ZSET, {"ghost": time.time()})
    assert "ghost" not in listed(ours)
    assert redis.zscore(ZSET, "ghost") is not None, "reading changes nothing of the application's"


# -- what is changed ---------------------------------------------------------------------------------------------------
def test_off_is_out_of_the_sorted_set_and_outlives_every_time_to_live(
    ours: RqScheduler, theirs: rq_scheduler.Scheduler, redis: Redis
) -> None:
    due = datetime.now(UTC) + timedelta(hours=1)
    job = theirs.schedule(due, login, args=["eve", "x"], interval=3600, id="hourly")
    ours.disable_schedule("hourly")
    assert redis.zscore(ZSET, "hourly") is None
    redis.expire(job.key, 60)  # what a worker does at the end of a run of it
    assert listed(ours)["hourly"].is_enabled is False
    assert listed(ours)["hourly"].next_at is None
    assert redis.ttl(job.key) == -1
    ours.disable_schedule("hourly")
    ours.enable_schedule("hourly")
    assert redis.zscore(ZSET, "hourly") == int(due.timestamp()), "its time is kept"
    assert listed(ours)["hourly"].is_enabled is True


def test_on_again_later_is_due_by_its_expression(ours: RqScheduler, theirs: rq_scheduler.Scheduler, redis: Redis) -> None:
    past = datetime.now(UTC) - timedelta(hours=1)
    theirs.cron("30 2 * * *", login, id="nightly")
    theirs.schedule(past, login, interval=3600, id="hourly")
    theirs.enqueue_at(past, login, job_id="gone")
    redis.zadd(ZSET, {"nightly": past.timestamp()})
    for key in ("nightly", "hourly", "gone"):
        ours.disable_schedule(key)
    ours.enable_schedule("nightly")
    ours.enable_schedule("hourly")
    assert redis.zscore(ZSET, "nightly") > time.time(), "what was due while it was off is not made up for"
    assert abs(redis.zscore(ZSET, "hourly") - time.time()) < 3
    with pytest.raises(Refused, match="passed"):
        ours.enable_schedule("gone")


def test_the_application_may_enter_it_again_while_it_is_off(ours: RqScheduler, theirs: rq_scheduler.Scheduler) -> None:
    theirs.schedule(datetime.now(UTC), login, interval=60, id="minutely")
    ours.disable_schedule("minutely")
    theirs.schedule(datetime.now(UTC), login, interval=60, id="minutely")
    assert listed(ours)["minutely"].is_enabled is True
    assert len(ours.list_schedules()) == 1


def test_an_edit_keeps_the_id_the_secrets_and_what_else_the_application_said(
    ours: RqScheduler, theirs: rq_scheduler.Scheduler, redis: Redis
) -> None:
    theirs.cron("0 9 * * *", login, args=["eve", "hunter2"], id="daily", meta={"tenant": 7}, timeout=77, queue_name="slow", repeat=5)
    redis.hset(Job.key_for("daily"), "status", JobStatus.FINISHED.value)
    ours.save_schedule(spec(key="daily", kind="cron", expression="15 10 * * mon", args=["adam", MASK], kwargs={}))
    job = Job.fetch("daily", connection=redis)
    assert tuple(job.args) == ("adam", "hunter2")
    assert (job.timeout, job.origin, job.result_ttl) == (77, "slow", -1)
    assert job.meta["tenant"] == 7
    assert (job.meta["cron_string"], job.meta["repeat"]) == ("15 10 * * mon", 5)
    assert "adam" in job.description
    due = redis.zscore(ZSET, "daily")
    ours.save_schedule(spec(key="daily", kind="cron", expression="15 10 * * mon", queue="fast"))
    assert redis.zscore(ZSET, "daily") == due, "what keeps its expression keeps its time"
    ours.save_schedule(spec(key="daily", kind="interval", expression="120"))
    job = Job.fetch("daily", connection=redis)
    assert job.meta["interval"] == 120
    assert "cron_string" not in job.meta
    assert "repeat" not in job.meta
    assert tuple(job.args) == ("adam", "hunter2")


def test_a_run_that_ends_would_undo_an_edit(ours: RqScheduler, theirs: rq_scheduler.Scheduler, redis: Redis) -> None:
    theirs.schedule(datetime.now(UTC), login, interval=60, id="busy")
    redis.hset(Job.key_for("busy"), "status", JobStatus.STARTED.value)
    with pytest.raises(Refused, match="its task is running"):
        ours.save_schedule(spec(key="busy", expression="30"))


def test_a_change_waits_for_the_end_of_a_pass(ours: RqScheduler, theirs: rq_scheduler.Scheduler, redis: Redis) -> None:
    theirs.schedule(datetime.now(UTC), login, interval=60, id="minutely")
    redis.set(LOCK, "1", px=400)
    begun = time.monotonic()
    ours.disable_schedule("minutely")
    assert time.monotonic() - begun > 0.3
    redis.set(LOCK, "1")
    with pytest.raises(Refused, match="middle of a pass"):
        ours.enable_schedule("minutely")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"kind": "cron", "expression": "61 * * * *"}, "0 to 59"),
        ({"kind": "cron", "expression": "0 0 30 2 fri"}, "requires both"),
        ({"kind": "cron", "expression": "0 0 * * *", "timezone": "Mars/Olympus"}, "unknown time zone Mars/Olympus"),
        ({"kind": "cron", "expression": "0 0 * * *", "timezone": "Asia/Kathmandu"}, "one time zone for all"),
        ({"kind": "once", "expression": "2020-01-01T00:00:00+00:00"}, "passed"),
        ({"kind": "interval", "expression": "0"}, "longer than zero"),
        ({"kind": "interval", "expression": "0.4"}, "the nearest is 1"),
        ({"priority": 3}, "does not support priorities"),
        ({"task_name": ""}, "requires a task"),
        ({"args": [MASK]}, "masked"),
        ({"key": "nobody"}, "no longer has this schedule"),
    ],
)
def test_refusals(ours: RqScheduler, theirs: rq_scheduler.Scheduler, redis: Redis, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(Refused, match=why):
        ours.save_schedule(spec(**changes))
    assert redis.zcard(ZSET) == 0


def test_a_run_now_is_a_task_of_its_own(ours: RqScheduler, theirs: rq_scheduler.Scheduler, redis: Redis) -> None:
    theirs.cron("0 9 * * *", login, args=["eve", "hunter2"], id="daily", meta={"tenant": 7}, timeout=77)
    due = redis.zscore(ZSET, "daily")
    facts = ours.fire_schedule("daily")
    job = Job.fetch(facts["task_id"], connection=redis)
    assert job.id != "daily"
    assert (tuple(job.args), job.timeout, job.meta) == (("eve", "hunter2"), 77, {"tenant": 7})
    assert [job.decode() for job in redis.lrange("rq:queue:work", 0, -1)] == [facts["task_id"]]
    assert redis.zscore(ZSET, "daily") == due
    assert Job.fetch("daily", connection=redis).enqueued_at is None


def test_deleted_is_gone_unless_a_worker_still_needs_it(ours: RqScheduler, theirs: rq_scheduler.Scheduler, redis: Redis) -> None:
    for id in ("fresh", "fired"):
        theirs.schedule(datetime.now(UTC), login, interval=60, id=id)
    theirs.enqueue_job(Job.fetch("fired", connection=redis))
    for id in ("fresh", "fired"):
        ours.delete_schedule(id)
    assert listed(ours) == {}
    assert not redis.exists(Job.key_for("fresh"))
    assert redis.exists(Job.key_for("fired")), "it waits in its queue"


# -- which process ---------------------------------------------------------------------------------------------------------
def test_one_that_was_made_before_is_known_by_what_it_does(redis: Redis) -> None:
    early = rq_scheduler.Scheduler("work", connection=redis)
    ours = RqScheduler(RqState())
    ours.install()
    try:
        assert ours.is_here() is False
        early.schedule(datetime.now(UTC), login, interval=60, id="minutely")
        assert ours.is_here() is True
        assert ours.is_firing() is False
        assert ours.tick_s() == 60
        del early
        assert ours.is_here() is False, "it is not kept alive for us"
    finally:
        ours.uninstall()


def test_it_is_hooked_when_the_host_imports_it_and_not_before(tmp_path: Path) -> None:
    environment = {**os.environ, "Z4J_URL": f"z4j+ws://z4a_{'x' * 43}@127.0.0.1:{free_port()}", "Z4J_SPOOL": str(tmp_path / "spool")}
    code = """
import sys, z4j_rq
z4j_rq.install()
waiting = lambda: [finder for finder in sys.meta_path if type(finder).__module__ == "z4j_rq.job_hooks.import_hooks"]
assert waiting()
assert "rq_scheduler" not in sys.modules and "crontab" not in sys.modules
from rq_scheduler import Scheduler
assert not waiting()
names = ("__init__", "_create_job", "run", "enqueue_job")
assert all(hasattr(getattr(Scheduler, name), "__wrapped__") for name in names)
module = sys.modules["rq_scheduler.scheduler"]
assert type(module.__loader__).__name__ == type(module.__spec__.loader).__name__ == "SourceFileLoader"
z4j_rq.uninstall()
assert not any(hasattr(getattr(Scheduler, name), "__wrapped__") for name in names)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, env=environment)
    code = """
import sys, z4j_rq
z4j_rq.install()
z4j_rq.uninstall()
assert not [finder for finder in sys.meta_path if type(finder).__module__ == "z4j_rq.job_hooks.import_hooks"]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, env=environment)
