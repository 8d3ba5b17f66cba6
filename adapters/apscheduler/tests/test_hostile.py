# SPDX-License-Identifier: Apache-2.0
"""A server that was taken over gets nothing run through APScheduler that the application neither offered nor runs already."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from test_schedules import MoreHarness

from z4j_agent.capture.originals import prove_name
from z4j_agent.conformance import Gateway, wait_for
from z4j_agent.conformance.hostile_server import FUNCTIONS, KEY, SETTLED_S
from z4j_agent.conformance.scheduling import CHANGE_S, ScheduleContract, ScheduleHarness
from z4j_agent.contract.scheduler import ACTIONS
from z4j_agent.settings import SealKey


class Hostile(ScheduleContract):
    """Reading and asking of the contract, without its tests."""

    harness_class = MoreHarness


for inherited in [name for name in vars(ScheduleContract) if name.startswith("test_")]:
    setattr(Hostile, inherited, None)

MORE = (
    "subprocess:Popen",
    "builtins:eval",
    "schedules_app:say_ready",
    "schedules_app:os.system",
    "x" * 300,
    "",
)
STRANGE: tuple[dict[str, Any], ...] = (
    {"queue": "nowhere"},
    {"queue": "processpool"},
    {"key": "z4j-run-1", "args": None},
    {"key": "../jobs", "args": None},
    {"kind": "other", "expression": "date"},
    {"expression": "os:system"},
    {"args": "os:system"},
)


class TestHostile(Hostile):
    def _specs(self, running: ScheduleHarness, witness: Path) -> Iterator[tuple[str, dict[str, Any], str]]:
        """(what, spec, the check that must refuse it)."""
        command = [f"touch {witness}"]
        stranger = SealKey("0badc0de", bytes(range(32)))
        for name in (*FUNCTIONS, *MORE):
            for key in ("", "nightly", "memory/bound", "reports/nightly"):
                spec = self.spec(running, key=key, task_name=name, args=command)
                yield f"{name[:30]!r} for {key!r}", spec, "task.unknown" if name or not key else ""
            proofs = {"apscheduler": prove_name(stranger, "apscheduler", name)}
            yield (
                f"{name[:30]!r} with a stranger's proof",
                {**self.spec(running, task_name=name, args=command), "proofs": proofs},
                "task.unknown",
            )
            proofs = {"rq": prove_name(KEY, "rq", name)}
            yield f"{name[:30]!r} proved for RQ", {**self.spec(running, task_name=name, args=command), "proofs": proofs}, "task.unknown"
        for change in STRANGE:
            yield f"{change}", {**self.spec(running, task_name="schedules_app:login"), **change}, ""

    def test_only_offered_functions_and_those_of_jobs_run(self, gateway: Gateway, running: MoreHarness, tmp_path: Path) -> None:
        witness, before = tmp_path / "witness", self._keys(gateway, running)
        wrong = []
        for what, spec, check in self._specs(running, witness):
            status, facts = self.ask(gateway, running, "save_schedule", **spec)
            if status != "refused" or (check and facts.get("check") != check):
                wrong.append((what, status, facts))
        assert wrong == []
        for action in ("fire_schedule", "enable_schedule", "delete_schedule", "disable_schedule"):
            for key in ("z4j-run-1", "os:system", "", "default/nightly/../every"):
                assert self.ask(gateway, running, action, key=key)[0] == "refused", (action, key)
        status, _ = self.ask(gateway, running, "apply_overrides", overrides=[{"key": "x", "is_new": True, "spec": self.spec(running)}])
        assert status in ("refused", "unsupported")
        for name, args in (("schedules_app:login", ["control", "x"]), ("schedules_app:succeed", [1])):
            since = int(time.time() * 1_000_000)
            key = self.make(gateway, running, task_name=name, args=args)
            assert self.await_fire(gateway, key, since)["outcome"] == "sent"
            self.done(gateway, running, "delete_schedule", key=key)
        wait_for((running.folder / "out").exists, "the control ran")
        time.sleep(SETTLED_S)
        assert not witness.exists()
        assert self._keys(gateway, running) == before

    def _keys(self, gateway: Gateway, running: ScheduleHarness) -> set[str]:
        time.sleep(SETTLED_S)
        wait_for(lambda: self.lists(gateway, running), "listed", seconds=CHANGE_S)
        return {entry["key"] for entry in self.latest_list(gateway, running)["entries"] if not entry["name"].startswith("made-")}

    owners: ClassVar = (
        ({"Z4J_ALLOW": "all", "Z4J_DENIED": ",".join(ACTIONS)}, "owner.denied"),
        ({"Z4J_ALLOW": "read"}, "owner.level"),
    )

    @pytest.mark.parametrize(("owner", "check"), owners)
    def test_schedule_actions_that_the_owner_denies_are_refused(
        self, alone: MoreHarness, own_gateway: Gateway, owner: dict[str, str], check: str
    ) -> None:
        alone.variables |= owner
        alone.start_scheduler()
        before = self._keys(own_gateway, alone)
        for action in ACTIONS:
            status, facts = self.ask(own_gateway, alone, action, **{**self.spec(alone), "key": "nightly"}, overrides=[])
            assert (status, facts.get("check")) == ("refused", check), action
        assert self._keys(own_gateway, alone) == before
        assert self.listed(own_gateway, alone, "nightly")["expression"] == "30 2 * * *"

    def test_who_may_not_run_tasks_may_change_times_alone(self, alone: MoreHarness, own_gateway: Gateway) -> None:
        alone.variables |= {"Z4J_DENIED": "run_task"}
        alone.start_scheduler()
        entry = self.listed(own_gateway, alone, "login")
        spec = self.spec(
            alone, key="login", name="login", kind="cron", expression="1 1 * * *", timezone="UTC", task_name=entry["task_name"]
        )
        for change in (
            {"key": ""},
            {"args": ["a", "b"]},
            {"task_name": "schedules_app:fail", "args": None},
            {"kwargs": {"user": "x"}, "args": None},
        ):
            status, facts = self.ask(own_gateway, alone, "save_schedule", **{**spec, "kwargs": None, **change})
            assert (status, facts.get("check")) == ("refused", "owner.denied"), change
        self.done(own_gateway, alone, "save_schedule", **{**spec, "args": None, "kwargs": None})
        wait_for(lambda: self.listed(own_gateway, alone, "login")["expression"] == "1 1 * * *", "its time is changed", seconds=CHANGE_S)
