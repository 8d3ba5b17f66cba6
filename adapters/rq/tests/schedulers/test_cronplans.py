# SPDX-License-Identifier: Apache-2.0
"""The entries of RQ's cron under overrides, with RQ's own objects and no process: what changes, what stays, what goes back."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis

from z4j_agent.contract.scheduler import Override, ScheduleSpec
from z4j_agent.wire.redaction import MASK
from z4j_rq.schedulers.cron_overrides import Plan, due_of, is_usable, last_of, zone_of_cron
from z4j_rq.schedulers.rqcron import RqCron
from z4j_rq.state import RqState

rqs = pytest.importorskip("rq.cron")
CronJob, CronScheduler = rqs.CronJob, rqs.CronScheduler
if not is_usable(CronJob):
    pytest.skip("this RQ has no cron expressions", allow_module_level=True)
STATE = RqState()
TIMEOUT = "job_timeout" if "job_timeout" in inspect.signature(CronJob).parameters else "timeout"


def login(user: str, password: str) -> str:
    return user


def clean() -> None:
    pass


LOGIN, CLEAN = f"{login.__module__}.login", f"{login.__module__}.clean"


def spec(**changes: Any) -> ScheduleSpec:
    fields: dict[str, Any] = {
        "key": "", "name": "", "kind": "interval", "expression": "60", "timezone": "", "task_name": "", "args": None, "kwargs": None,
        "queue": "", "priority": None, "is_enabled": True,
    }  # fmt: skip
    return ScheduleSpec(**{**fields, **changes})


def override(key: str, made: ScheduleSpec | None = None, **changes: Any) -> Override:
    return Override(**{"key": key, "is_new": False, "is_deleted": False, "is_enabled": True, "spec": made, **changes})


@pytest.fixture
def cron() -> Any:
    scheduler = CronScheduler(connection=Redis())  # nothing here asks it
    scheduler.register(login, "work", args=("eve", "hunter2"), cron="0 9 * * *", result_ttl=66, **{TIMEOUT: 77})
    scheduler.register(clean, "work", interval=3600)
    scheduler.register(clean, "slow", interval=60)
    return scheduler


@pytest.fixture
def plan(cron: Any) -> Plan:
    plan_of_cron = Plan()
    plan_of_cron.meet(cron)
    return plan_of_cron


def keys(plan: Plan) -> list[str]:
    return [entry.key for entry in plan.entries]


def test_keys_are_names_and_the_second_of_a_name_is_told_apart(plan: Plan, cron: Any) -> None:
    assert keys(plan) == [LOGIN, CLEAN, f"{CLEAN}#2"]
    plan.meet(cron)
    assert len(plan.entries) == 3
    cron.register(clean, "late", interval=5)
    plan.meet(cron)
    assert keys(plan)[-1] == f"{CLEAN}#3"


def test_without_overrides_the_very_objects_of_the_code_fire(plan: Plan, cron: Any) -> None:
    jobs = list(cron._cron_jobs)
    times = [due_of(job) for job in jobs]
    assert plan.change([], STATE) == {}
    assert all(a is b for a, b in zip(plan.jobs(), jobs, strict=True))
    plan.change([override(LOGIN, spec(expression="5")), override(CLEAN, is_deleted=True)], STATE)
    assert len(plan.jobs()) == 2
    plan.change([], STATE)
    assert all(a is b for a, b in zip(plan.jobs(), jobs, strict=True))
    assert [due_of(job) for job in jobs] == times


def test_a_changed_entry_keeps_the_secret_and_what_else_the_code_says(plan: Plan) -> None:
    made = spec(kind="cron", expression="15 4 * * mon-fri", timezone=zone_of_cron(), args=["adam", MASK])
    assert plan.change([override(LOGIN, made)], STATE) == {}
    job = plan.entries[0].job
    assert (job.args, job.cron, job.queue_name) == (("adam", "hunter2"), "15 4 * * mon-fri", "work")
    assert (job.job_options[TIMEOUT], job.job_options["result_ttl"]) == (77, 66)
    assert plan.entries[0].coded.args == ("eve", "hunter2"), "the code's own is not touched"
    plan.change([override(LOGIN, made)], STATE)
    assert plan.entries[0].job is job, "the same list again changes nothing, not even the next time"


def test_an_entry_beside_the_code(plan: Plan) -> None:
    made = spec(task_name=LOGIN, args=["eve", "x"], name="hello", queue="fast")
    assert plan.change([override("z4j:hello", made, is_new=True)], STATE) == {}
    entry = plan.entries[-1]
    assert (entry.key, entry.name, entry.job.queue_name, entry.job.func, entry.coded) == ("z4j:hello", "hello", "fast", login, None)


@pytest.mark.parametrize(
    ("key", "changes", "why"),
    [
        ("new", {"task_name": "nobody.knows"}, "no function nobody.knows"),
        ("new", {"task_name": ""}, "no function"),
        ("new", {"task_name": LOGIN, "kind": "once", "expression": "2031-01-01T00:00:00+00:00"}, "does not support one-offs"),
        ("new", {"task_name": LOGIN, "expression": "0.5"}, "the nearest is 1"),
        ("new", {"task_name": LOGIN, "args": [MASK]}, "masked"),
        (LOGIN, {"kind": "cron", "expression": "61 * * * *"}, "0 to 59"),
        (LOGIN, {"kind": "cron", "expression": "0 0 * * *", "timezone": "Asia/Kathmandu"}, "one time zone for all"),
        (LOGIN, {"priority": 3}, "does not support priorities"),
    ],
)
def test_what_cannot_be_held_is_told_and_the_code_stays(plan: Plan, key: str, changes: dict[str, Any], why: str) -> None:
    before = plan.jobs()
    failed = plan.change([override(key, spec(**changes), is_new=key == "new")], STATE)
    assert why in failed[key]
    assert plan.jobs() == before


def test_an_override_of_what_the_code_no_longer_has(plan: Plan) -> None:
    assert "no longer contains this entry" in plan.change([override("gone", spec())], STATE)["gone"]


def test_what_was_due_while_it_was_off_is_not_made_up_for(plan: Plan, cron: Any) -> None:
    daily, hourly = cron._cron_jobs[0], cron._cron_jobs[1]
    ran = datetime.now(UTC) - timedelta(days=3)
    set_time = "set_enqueue_time" if hasattr(daily, "set_enqueue_time") else "set_run_time"
    for job in (daily, hourly):
        getattr(job, set_time)(ran)
    plan.change([override(LOGIN, is_enabled=False), override(CLEAN, is_enabled=False)], STATE)
    assert len(plan.jobs()) == 1
    plan.change([], STATE)
    now = datetime.now(UTC).timestamp() * 1_000_000
    assert (due_of(daily) or 0) > now
    assert abs((due_of(hourly) or 0) - now) < 2_000_000, "an interval longer than its own is over: it is due at once"
    assert last_of(daily) == last_of(hourly) == int(ran.timestamp() * 1_000_000)


def test_the_hooks_are_put_in_and_taken_out(cron: Any) -> None:
    original = (CronScheduler.start, CronJob.enqueue)
    ours = RqCron(STATE)
    ours.install()
    assert (CronScheduler.start.__wrapped__, CronJob.enqueue.__wrapped__) == original
    ours.uninstall()
    assert (CronScheduler.start, CronJob.enqueue) == original
    assert ours.is_here() is False
