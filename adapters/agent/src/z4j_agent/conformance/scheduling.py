# SPDX-License-Identifier: Apache-2.0
"""The contract of a scheduler's adapter: its real process, its entries, changes by operators, and reports of its fires.

A harness starts a scheduler with two entries of its own: `every`, an interval of a second or two (or, without intervals, a cron
expression that fires at least every two seconds, or every minute if nothing is faster), and `nightly`, cron `30 2 * * *` in `zone`. Both
make the task `succeed`.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from z4j_agent.conformance.gateway import Gateway, Link
from z4j_agent.conformance.harness import PATIENCE_S, Harness, wait_for
from z4j_agent.conformance.harness_fixtures import HarnessFixtures
from z4j_agent.contract.scheduler import digest_of
from z4j_agent.wire import cron

CHANGE_S = 15
"""Seconds in which a change must be listed and applied to fires; schedulers are started with short ticks."""


class ScheduleHarness(Harness):
    """One scheduler in a folder of its own."""

    scheduler: ClassVar[str]
    zone: ClassVar[str] = "UTC"
    """Of `nightly`."""
    is_code: ClassVar[bool] = False
    """Whether `every` and `nightly` are defined in code, so that changes are overrides."""
    task: ClassVar[str] = "succeed"
    """Name of the task as it is registered."""
    kinds: ClassVar[tuple[str, ...]] = ("cron", "interval", "once")
    """Kinds of entries that can be created."""
    zones: ClassVar[bool] = True
    """Whether each entry may have a zone of its own."""
    seconds: ClassVar[bool] = False
    """Whether a cron expression may have six fields."""
    is_paced: ClassVar[bool] = True
    """Whether an entry can fire every few seconds: with an interval, or with seconds in cron."""
    keeps_arguments: ClassVar[bool] = True
    """Whether an entry has arguments."""
    every_key: ClassVar[str] = "every"
    nightly_key: ClassVar[str] = "nightly"
    is_native_disable: ClassVar[bool] = False
    """Whether a scheduler with entries in code can enable and disable them itself: with `enable_schedule` and `disable_schedule`."""

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        """Starts the scheduler's own process and returns when it is running. Its tasks are sent to the broker, or run in it."""
        raise NotImplementedError

    def next_by_itself(self, key: str) -> int | None:
        """The next due time that the scheduler itself has computed, in microseconds UTC, if a test can read it."""
        return None


class ScheduleContract(HarnessFixtures):
    """Subclass it with a `harness_class`; the name must begin with `Test`."""

    harness_class: ClassVar[type[ScheduleHarness]]

    @classmethod
    def begin(cls, gateway: Gateway, harness: Harness) -> None:
        """Starts the scheduler, and returns when its entries are listed."""
        assert isinstance(harness, ScheduleHarness)
        harness.start_scheduler()
        wait_for(lambda: cls.lists(gateway, harness), "its entries are listed", seconds=40)

    # -- lists and requests-----------------------------------------------------------------------------------------
    @classmethod
    def lists(cls, gateway: Gateway, harness: ScheduleHarness) -> list[tuple[Link, dict[str, Any]]]:
        """The newest list of each open connection that fires."""
        firing = []
        for link in gateway.open_links():
            latest_lists = [listed for listed in link.schedules if listed["scheduler"] == harness.scheduler]
            if latest_lists and latest_lists[-1]["is_firing"]:
                firing.append((link, latest_lists[-1]))
        return firing

    def latest_list(self, gateway: Gateway, harness: ScheduleHarness) -> dict[str, Any]:
        return wait_for(lambda: self.lists(gateway, harness), "a scheduler lists its entries", seconds=CHANGE_S)[-1][1]

    def entry(self, gateway: Gateway, harness: ScheduleHarness, key: str) -> dict[str, Any] | None:
        return next((entry for entry in self.latest_list(gateway, harness)["entries"] if entry["key"] == key), None)

    def listed(self, gateway: Gateway, harness: ScheduleHarness, key: str) -> dict[str, Any]:
        """The entry, as soon as it is listed."""
        wait_for(lambda: self.entry(gateway, harness, key), f"{key} is listed", seconds=CHANGE_S)
        entry = self.entry(gateway, harness, key)
        assert entry is not None
        return entry

    def by_name(self, gateway: Gateway, harness: ScheduleHarness, name: str) -> dict[str, Any] | None:
        return next((entry for entry in self.latest_list(gateway, harness)["entries"] if entry["name"] == name), None)

    def ask(self, gateway: Gateway, harness: ScheduleHarness, action: str, **params: Any) -> tuple[str, dict[str, Any]]:
        """Status and facts of a command's end, from the newest process that fires."""
        link = wait_for(lambda: self.lists(gateway, harness), "a scheduler is connected", seconds=CHANGE_S)[-1][0]
        id = gateway.ask(link, action, harness.scheduler, params)
        ends = wait_for(
            lambda: [answer for answer in gateway.answers(id) if answer[0] != "accepted"], f"{action} is answered", seconds=CHANGE_S
        )  # fmt: skip
        return ends[0]

    def done(self, gateway: Gateway, harness: ScheduleHarness, action: str, **params: Any) -> dict[str, Any]:
        status, facts = self.ask(gateway, harness, action, **params)
        assert status == "done", (action, params, status, facts)
        return facts

    def change(self, gateway: Gateway, harness: ScheduleHarness, *overrides: dict[str, Any]) -> dict[str, Any]:
        """All overrides of a code-defined scheduler, as the server sends them."""
        return self.done(gateway, harness, "apply_overrides", overrides=list(overrides))

    def spec(self, harness: ScheduleHarness, **changes: Any) -> dict[str, Any]:
        """A new entry: every second if that is possible."""
        kind, expression = ("interval", "1") if "interval" in harness.kinds else ("cron", "* * * * * *" if harness.seconds else "* * * * *")
        made: dict[str, Any] = {
            "key": "", "name": f"made-{secrets.token_hex(3)}", "kind": kind, "expression": expression, "timezone": harness.zone,
            "task_name": harness.task, "args": [7] if harness.keeps_arguments else [], "kwargs": {}, "queue": "", "priority": None,
            "is_enabled": True,
        }  # fmt: skip
        return {**made, **changes}

    def make(self, gateway: Gateway, harness: ScheduleHarness, **changes: Any) -> str:
        """Creates an entry natively, or as the only override. Returns its key."""
        spec = self.spec(harness, **changes)
        if not harness.is_code:
            return str(self.done(gateway, harness, "save_schedule", **spec)["key"])
        key = f"z4j:{spec['name']}"
        self.change(gateway, harness, new_override(key, spec))
        return key

    def off(self, gateway: Gateway, harness: ScheduleHarness, key: str) -> None:
        if harness.is_code and not harness.is_native_disable:
            self.change(gateway, harness, {"key": key, "is_new": False, "is_deleted": False, "is_enabled": False, "spec": None})
        else:
            self.done(gateway, harness, "disable_schedule", key=key)

    def on(self, gateway: Gateway, harness: ScheduleHarness, key: str) -> None:
        if harness.is_code and not harness.is_native_disable:
            self.change(gateway, harness)
        else:
            self.done(gateway, harness, "enable_schedule", key=key)

    def is_fired(self, gateway: Gateway, key: str, since: int) -> bool:
        return any(fire["at"] > since for fire in gateway.fires(key))

    def await_fire(self, gateway: Gateway, key: str, since: int) -> dict[str, Any]:
        def find() -> list[dict[str, Any]]:
            return [fire for fire in gateway.fires(key) if fire["at"] > since]

        return wait_for(find, f"{key} fires", seconds=75 if not self.harness_class.is_paced else CHANGE_S + 10)[0]

    def await_silence(self, gateway: Gateway, key: str) -> None:
        """Checks that nothing fires for the time of three fires, after the change was applied."""
        time.sleep(1.5)
        since = now()
        time.sleep(4 if self.harness_class.is_paced else 65)
        late = [fire for fire in gateway.fires(key) if fire["at"] > since and fire["outcome"] == "sent"]
        assert late == [], "it fires although it is disabled"

    # -- lists and fires-----------------------------------------------------------------------------------------------
    def test_lists_its_entries_in_the_common_form(self, gateway: Gateway, running: ScheduleHarness) -> None:
        latestst_list = self.latest_list(gateway, running)
        assert latestst_list["engine"]
        assert latestst_list["tick_us"] > 0
        nightly = self.entry(gateway, running, running.nightly_key)
        assert nightly is not None, latestst_list["entries"]
        assert (nightly["kind"], nightly["expression"], nightly["timezone"]) == ("cron", "30 2 * * *", running.zone)
        assert nightly["task_name"] == running.task
        assert nightly["is_code"] == running.is_code
        assert nightly["is_enabled"] is True
        assert isinstance(json.loads(nightly["args"]), list)
        assert isinstance(json.loads(nightly["kwargs"]), dict)

    def test_tells_when_an_entry_is_next_due(self, gateway: Gateway, running: ScheduleHarness) -> None:
        from zoneinfo import ZoneInfo

        nightly = self.entry(gateway, running, running.nightly_key)
        assert nightly is not None
        local = datetime.fromtimestamp(nightly["next_at"] / 1e6, UTC).astimezone(ZoneInfo(running.zone))
        assert (local.hour, local.minute, local.second) == (2, 30, 0)
        assert now() < nightly["next_at"] <= now() + 25 * 3600 * 1_000_000

    def test_tells_its_fires_with_what_was_due_and_the_task(self, gateway: Gateway, running: ScheduleHarness) -> None:
        fire = self.await_fire(gateway, running.every_key, 0)
        if self.harness_class.is_paced:  # a fire that was due during the start of its process may be late by the duration of the start
            fire = self.await_fire(gateway, running.every_key, fire["at"])
        assert fire["outcome"] == "sent", fire
        assert fire["scheduler"] == running.scheduler
        assert fire["due_at"] is not None
        assert -100_000 <= fire["at"] - fire["due_at"] < 30_000_000, fire
        if running.scheduler != "apscheduler":
            assert fire["task_id"]
            wait_for(lambda: [r for r in gateway.records(fire["task_id"]) if r.kind == "enqueued"], "its task is reported, too")

    def test_tells_when_an_entry_last_fired(self, gateway: Gateway, running: ScheduleHarness) -> None:
        fire = self.await_fire(gateway, running.every_key, 0)

        def find() -> bool:
            every = self.entry(gateway, running, running.every_key)
            return every is not None and every["last_at"] is not None and every["last_at"] >= fire["at"] - 2_000_000

        wait_for(find, "the last run is listed", seconds=CHANGE_S)

    # -- changes--------------------------------------------------------------------------------------
    def test_off_and_on_again(self, gateway: Gateway, running: ScheduleHarness) -> None:
        key = running.every_key
        self.off(gateway, running, key)
        wait_for(lambda: (self.entry(gateway, running, key) or {}).get("is_enabled") is False, "it is listed as disabled", seconds=CHANGE_S)
        self.await_silence(gateway, key)
        since = now()
        self.on(gateway, running, key)
        wait_for(lambda: (self.entry(gateway, running, key) or {}).get("is_enabled") is True, "it is listed as enabled", seconds=CHANGE_S)
        self.await_fire(gateway, key, since)

    def test_fires_one_now_without_moving_the_next(self, gateway: Gateway, running: ScheduleHarness) -> None:
        before = self.entry(gateway, running, running.nightly_key)
        facts = self.done(gateway, running, "fire_schedule", key=running.nightly_key)
        if running.scheduler != "apscheduler":
            wait_for(lambda: [r for r in gateway.records(facts["task_id"]) if r.kind == "enqueued"], "its task is sent")
        after = self.entry(gateway, running, running.nightly_key)
        assert before is not None
        assert after is not None
        assert after["next_at"] == before["next_at"]

    def test_an_entry_is_made_changed_and_deleted(self, gateway: Gateway, running: ScheduleHarness) -> None:
        name = f"made-{secrets.token_hex(3)}"
        since = now()
        key = self.make(gateway, running, name=name)
        made = self.listed(gateway, running, key)
        assert made["task_name"] == running.task
        if running.keeps_arguments:
            assert json.loads(made["args"]) == [7]
        self.await_fire(gateway, key, since)
        changed = self.spec(running, name=name, key=key, kind="cron", expression="15 4 * * mon-fri", args=None, kwargs=None)
        if running.is_code:
            self.change(gateway, running, new_override(key, {**changed, "args": [], "kwargs": {}}))
        else:
            self.done(gateway, running, "save_schedule", **changed)
            wait_for(lambda: self.by_name(gateway, running, name), "it is there", seconds=CHANGE_S)
            key = (self.by_name(gateway, running, name) or {})["key"]
        new = ("cron", "15 4 * * mon-fri")

        def changed_entry() -> dict[str, Any] | None:
            entry = self.entry(gateway, running, key)
            return entry if entry is not None and (entry["kind"], entry["expression"]) == new else None

        entry = wait_for(changed_entry, "the change is listed", seconds=CHANGE_S)
        assert entry is not None
        if running.keeps_arguments and not running.is_code:
            assert json.loads(entry["args"]) == [7], "arguments that were not changed stay"
        self.await_silence(gateway, key)
        if running.is_code:
            self.change(gateway, running)
        else:
            self.done(gateway, running, "delete_schedule", key=key)
        wait_for(lambda: self.entry(gateway, running, key) is None, "it is gone", seconds=CHANGE_S)

    def test_a_one_off_fires_once(self, gateway: Gateway, running: ScheduleHarness) -> None:
        if "once" not in running.kinds:
            pytest.skip(f"{running.scheduler} does not support one-offs")
        at = (datetime.now(UTC) + timedelta(seconds=5)).isoformat(timespec="seconds")
        since = now()
        key = self.make(gateway, running, kind="once", expression=at)
        fire = self.await_fire(gateway, key, since)
        assert abs(fire["due_at"] - int(datetime.fromisoformat(at).timestamp() * 1_000_000)) < 1_100_000
        time.sleep(3)
        assert len([fire for fire in gateway.fires(key) if fire["at"] > since]) == 1
        if running.is_code:
            self.change(gateway, running)

    def test_a_changed_entry_of_code_goes_back_to_it(self, gateway: Gateway, running: ScheduleHarness) -> None:
        if not running.is_code:
            pytest.skip(f"the entries of {running.scheduler} are not code")
        key = running.nightly_key
        spec = self.spec(running, key=key, kind="cron", expression="45 3 * * sun", args=None, kwargs=None)
        override = {"key": key, "is_new": False, "is_deleted": False, "is_enabled": True, "spec": spec}
        self.change(gateway, running, override)
        wait_for(lambda: (self.entry(gateway, running, key) or {}).get("expression") == "45 3 * * sun", "it is changed", seconds=CHANGE_S)
        assert self.latest_list(gateway, running)["applied"] == digest_of([override])
        self.change(gateway, running, {"key": key, "is_new": False, "is_deleted": True, "is_enabled": True, "spec": None})
        wait_for(lambda: self.entry(gateway, running, key) is None, "it is gone", seconds=CHANGE_S)
        self.change(gateway, running)
        wait_for(lambda: (self.entry(gateway, running, key) or {}).get("expression") == "30 2 * * *", "it is code again", seconds=CHANGE_S)

    def test_refuses_what_it_cannot_hold(self, gateway: Gateway, running: ScheduleHarness) -> None:
        for changes in (
            {"kind": "cron", "expression": "61 * * * *"},
            {"kind": "cron", "expression": "every now and then"},
            {"kind": "cron", "expression": "0 0 * * *", "timezone": "Mars/Olympus"},
            {"task_name": "nobody.knows"},
        ):
            if running.is_code:
                key = f"z4j:{secrets.token_hex(3)}"
                facts = self.change(gateway, running, new_override(key, self.spec(running, **changes)))
                assert key in facts.get("failed", {}), changes
            else:
                if "task_name" in changes and running.scheduler == "rq_scheduler":
                    continue  # RQ takes any import path
                status, facts = self.ask(gateway, running, "save_schedule", **self.spec(running, **changes))
                assert status == "refused", (changes, status, facts)
                assert facts["error"], changes
        if running.is_code:
            self.change(gateway, running)
        else:
            for action in ("delete_schedule", "disable_schedule", "fire_schedule"):
                assert self.ask(gateway, running, action, key="nobody-made-this")[0] == "refused", action

    def test_a_zone_is_honoured_or_refused(self, gateway: Gateway, running: ScheduleHarness) -> None:
        other = "Asia/Kolkata" if running.zone != "Asia/Kolkata" else "UTC"
        spec = self.spec(running, kind="cron", expression="30 2 * * *", timezone=other)
        key = f"z4j:{spec['name']}"
        if running.is_code:
            facts = self.change(gateway, running, new_override(key, spec))
            why = facts.get("failed", {}).get(key)
        else:
            status, facts = self.ask(gateway, running, "save_schedule", **spec)
            why = facts.get("error") if status == "refused" else None
            key = facts.get("key", "")
        if running.zones:
            assert why is None, why
            entry = self.listed(gateway, running, key)
            due = datetime.fromtimestamp(entry["next_at"] / 1e6, UTC)
            assert (due.hour, due.minute) == (21, 0), entry
        else:
            assert why, "another zone must be refused"
        if running.is_code:
            self.change(gateway, running)
        elif why is None:
            self.done(gateway, running, "delete_schedule", key=key)

    def test_days_and_weekdays_mean_what_they_say(self, gateway: Gateway, running: ScheduleHarness) -> None:
        """Compares with the scheduler's own next run: weekdays are equal, whatever their number is there."""
        from zoneinfo import ZoneInfo

        for expression in ("0 12 * * sun", "0 12 * * mon-wed,sat", "5 0 1 1,7 *", "0 */6 * * fri"):
            key = self.make(gateway, running, kind="cron", expression=expression)
            entry = self.listed(gateway, running, key)
            assert cron.parse(entry["expression"]).text == cron.parse(expression).text
            due = datetime.fromtimestamp(entry["next_at"] / 1e6, UTC).astimezone(ZoneInfo(running.zone))
            want = cron.parse(expression)
            assert due.weekday() in want.weekdays, (expression, due)
            assert (due.month in want.months, due.day in want.days) == (True, True), (expression, due)
            assert (due.hour in want.hours, due.minute in want.minutes) == (True, True), (expression, due)
            if running.is_code:
                self.change(gateway, running)
            else:
                self.done(gateway, running, "delete_schedule", key=key)

    # -- restarts ---------------------------------------------------------------------------------------------------
    def test_a_change_outlives_the_scheduler(self, alone: ScheduleHarness, own_gateway: Gateway) -> None:
        process = alone.start_scheduler()
        self.await_fire(own_gateway, alone.every_key, 0)
        self.off(own_gateway, alone, alone.every_key)
        wait_for(
            lambda: (self.entry(own_gateway, alone, alone.every_key) or {}).get("is_enabled") is False, "it is disabled", seconds=CHANGE_S
        )  # fmt: skip
        process.terminate()
        process.wait(PATIENCE_S)
        wait_for(lambda: not self.lists(own_gateway, alone), "it is gone", seconds=CHANGE_S)
        since = now()
        alone.start_scheduler()
        wait_for(lambda: self.lists(own_gateway, alone), "it lists its entries again", seconds=CHANGE_S)
        wait_for(  # its first list may be made before the change is read
            lambda: (self.entry(own_gateway, alone, alone.every_key) or {}).get("is_enabled") is False, "it is disabled", seconds=CHANGE_S
        )  # fmt: skip
        time.sleep(3)
        sent = [fire for fire in own_gateway.fires(alone.every_key) if fire["at"] > since and fire["outcome"] == "sent"]
        assert sent == [], "it fired at its start although it is disabled"

    def test_without_a_server_it_fires_all_the_same(self, alone: ScheduleHarness, own_gateway: Gateway) -> None:
        own_gateway.stop()
        alone.start_scheduler()
        time.sleep(3 if alone.is_paced else 62)
        own_gateway.start()
        fire = self.await_fire(own_gateway, alone.every_key, 0)
        assert fire["outcome"] == "sent"


def now() -> int:
    return time.time_ns() // 1000


def new_override(key: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"key": key, "is_new": True, "is_deleted": False, "is_enabled": True, "spec": {**spec, "key": key}}
