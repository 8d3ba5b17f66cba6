# SPDX-License-Identifier: Apache-2.0
"""What a schedule of the server's making may run: only what the application knows, and nothing new where running is denied."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from z4j_agent.capture.originals import prove_name
from z4j_agent.commands.permissions import check_spec, is_known, is_permitted, queue_of
from z4j_agent.contract.adapter import Adapter, Refused
from z4j_agent.contract.scheduler import ScheduleInfo, Scheduler, ScheduleSpec
from z4j_agent.settings import Settings

Make = Callable[..., Settings]
SPEC = ScheduleSpec("k", "nightly", "interval", "60", "", "shop.report", None, None, "", None, True)
ENTRY = ScheduleInfo("k", "nightly", "interval", "30", "", "shop.report")


class Shop(Adapter):
    engine: ClassVar[str] = "fake"

    def knows_task(self, name: str) -> bool:
        return name in ("shop.report", "shop.mail")

    def knows_queue(self, queue: str) -> bool:
        return queue == "work"


class Clock(Scheduler):
    scheduler: ClassVar[str] = "clock"
    engine: ClassVar[str] = "fake"

    def knows_task(self, name: str) -> bool:
        return name == "clock:tick"


def check(settings: Settings, spec: ScheduleSpec, before: ScheduleInfo | None = ENTRY, **more: Any) -> str:
    """ "" when it is permitted, else the check that refused it."""
    try:
        check_spec(settings, Clock(), Shop(), spec, before, more.get("proofs"), more.get("queue_proof"))
    except Refused as error:
        return error.check if str(error) else "without a sentence"
    return ""


def test_a_schedule_names_what_the_application_knows(make_settings: Make) -> None:
    settings = make_settings()
    assert settings.seal_key is not None
    for name, refused in (("shop.mail", ""), ("clock:tick", ""), ("os.system", "task.unknown"), ("", "task.unknown")):
        spec = dataclasses.replace(SPEC, task_name=name)
        assert check(settings, spec, None) == refused
        assert check(settings, spec) == refused
    proofs = {"fake": prove_name(settings.seal_key, "fake", "far.away")}
    assert check(settings, dataclasses.replace(SPEC, task_name="far.away"), proofs=proofs) == ""
    assert check(settings, dataclasses.replace(SPEC, task_name="os.system"), proofs=proofs) == "task.unknown"


def test_a_schedule_sends_to_the_application_s_queues(make_settings: Make) -> None:
    settings = make_settings()
    assert settings.seal_key is not None
    for queue, refused in (("work", ""), ("", ""), ("celery.pidbox", "queue.unknown")):
        assert check(settings, dataclasses.replace(SPEC, queue=queue)) == refused
    proof = prove_name(settings.seal_key, queue_of("fake"), "bulk")
    assert check(settings, dataclasses.replace(SPEC, queue="bulk"), queue_proof=proof) == ""


def test_where_running_is_denied_a_schedule_may_change_its_times_alone(make_settings: Make) -> None:
    settings = make_settings(denied=("run_task",))
    assert check(settings, SPEC) == ""
    assert check(settings, dataclasses.replace(SPEC, expression="5", is_enabled=False)) == ""
    assert check(settings, SPEC, None) == "owner.denied"
    for change in ({"task_name": "shop.mail"}, {"args": [1]}, {"kwargs": {"a": 1}}):
        assert check(settings, dataclasses.replace(SPEC, **change)) == "owner.denied"


@pytest.mark.parametrize(("allow", "permitted"), [("read", False), ("operate", True), ("all", True)])
def test_levels(make_settings: Make, allow: str, permitted: bool) -> None:
    settings = make_settings(allow=allow)
    assert is_permitted(settings, "apply_overrides") is permitted
    assert is_permitted(settings, "purge_queue") is (allow == "all")
    assert is_permitted(settings, "lookup_task")
    assert not is_permitted(settings, "format_disk")


def test_only_queues_that_are_destinations_are_proved() -> None:
    shop = Shop()
    assert [is_known(shop, "queues", queue) for queue in ("work", "work.delayed")] == [True, False]
    assert [is_known(shop, "tasks", name) for name in ("shop.mail", "os.system")] == [True, False]
