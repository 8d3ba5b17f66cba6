# SPDX-License-Identifier: Apache-2.0
"""Overrides in the spool folder: what was kept before the owner denied `run_task` has nothing else run than the code says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from z4j_agent.commands.schedule_sync import Scheduling
from z4j_agent.connection.poll_lease import PollLease
from z4j_agent.contract.overrides import OverrideStore
from z4j_agent.contract.scheduler import Override, ScheduleInfo, Scheduler
from z4j_agent.settings import SealKey
from z4j_agent.spool import shared_file
from z4j_agent.wire import digest_of
from z4j_agent.wire.session import Command

NEW: dict[str, Any] = {"key": "new", "is_new": True, "spec": {"kind": "cron", "expression": "* * * * *", "task_name": "app.send"}}
TIMES: dict[str, Any] = {"key": "nightly", "spec": {"kind": "cron", "expression": "1 1 * * *"}}
OFF: dict[str, Any] = {"key": "hourly", "is_enabled": False}


def keys(store: OverrideStore) -> list[str]:
    assert store.changed()
    return [override.key for override in store.overrides]


def test_who_may_not_run_tasks_any_more_keeps_times_and_switches(tmp_path: Path) -> None:
    OverrideStore(tmp_path, "test", "arq_cron").replace([NEW, TIMES, OFF], times_only={"nightly"})
    assert keys(OverrideStore(tmp_path, "test", "arq_cron")) == ["new", "nightly", "hourly"]
    assert keys(OverrideStore(tmp_path, "test", "arq_cron", runs_tasks=False)) == ["nightly", "hourly"]


def test_an_override_that_is_applied_again_stays_new_work(tmp_path: Path) -> None:
    """Compared with the entry it has changed itself, it seems to change nothing."""
    OverrideStore(tmp_path, "test", "arq_cron").replace([NEW, TIMES], times_only={"nightly"})
    OverrideStore(tmp_path, "test", "arq_cron").replace([NEW, TIMES], times_only={"nightly", "new"})
    assert keys(OverrideStore(tmp_path, "test", "arq_cron", runs_tasks=False)) == ["nightly"]


def test_of_what_an_older_agent_kept_nothing_but_switches_stands(tmp_path: Path) -> None:
    store = OverrideStore(tmp_path, "test", "arq_cron")
    store.replace([NEW, TIMES, OFF])
    (path,) = tmp_path.iterdir()
    path.write_text(json.dumps([NEW, TIMES, OFF]))
    assert keys(OverrideStore(tmp_path, "test", "arq_cron", runs_tasks=False)) == ["hourly"]


KEY = SealKey.parse("A" * 43)
TYPED = {"kind": "cron", "task_name": "app.send", "args": ["by-position-7Xq"], "kwargs": {"token": "by-name-7Xq"}}
SECRET: dict[str, Any] = {"key": "nightly", "spec": TYPED}


def test_arguments_with_a_secret_are_sealed_on_the_disk(tmp_path: Path) -> None:
    OverrideStore(tmp_path, "test", "arq_cron", keys=(KEY,)).replace([SECRET, OFF], times_only={"nightly"})
    (path,) = tmp_path.iterdir()
    assert b"7Xq" not in path.read_bytes()
    again = OverrideStore(tmp_path, "test", "arq_cron", keys=(KEY,))
    assert keys(again) == ["nightly", "hourly"]
    assert again.overrides[0].spec is not None
    assert (again.overrides[0].spec.args, again.overrides[0].spec.kwargs) == (["by-position-7Xq"], {"token": "by-name-7Xq"})
    assert again.digest == digest_of([SECRET, OFF])
    other = OverrideStore(tmp_path, "test", "arq_cron", keys=(SealKey.parse("B" * 43),))
    assert (keys(other), other.digest) == ([], "")  # so that the server sends them again


def test_without_a_seal_key_an_entry_with_a_secret_is_kept_as_switched_off(tmp_path: Path) -> None:
    store = OverrideStore(tmp_path, "test", "arq_cron")
    store.replace([SECRET, OFF])
    assert store.overrides[0].spec is not None  # in this process it runs
    (path,) = tmp_path.iterdir()
    assert b"7Xq" not in path.read_bytes()
    again = OverrideStore(tmp_path, "test", "arq_cron")
    assert (keys(again), again.digest) == (["nightly", "hourly"], "")
    assert (again.overrides[0].spec, again.overrides[0].is_enabled) == (None, False)


def test_without_a_seal_key_the_process_that_was_sent_a_secret_goes_on_with_it(tmp_path: Path) -> None:
    """Also once another one on the same folder was sent it: neither switches off what the other has, nor asks for it again."""
    one, other = OverrideStore(tmp_path, "test", "arq_cron"), OverrideStore(tmp_path, "test", "arq_cron")
    one.replace([SECRET, OFF])
    assert not one.changed(), "it has written that itself"
    assert keys(other) == ["nightly", "hourly"]
    assert (other.overrides[0].spec, other.digest) == (None, ""), "so that the server sends it here too"
    other.replace([SECRET, OFF])
    for store in (one, other):
        assert not store.changed()
        assert store.overrides[0].spec is not None
        assert store.overrides[0].spec.args == ["by-position-7Xq"]
        assert store.digest == digest_of([SECRET, OFF])


def test_what_another_process_was_sent_since_is_taken(tmp_path: Path) -> None:
    one, other = OverrideStore(tmp_path, "test", "arq_cron"), OverrideStore(tmp_path, "test", "arq_cron")
    one.replace([SECRET, OFF])
    other.replace([{**SECRET, "is_enabled": False}, OFF])
    assert keys(one) == ["nightly", "hourly"]
    assert (one.overrides[0].spec, one.digest) == (None, "")
    one.replace([SECRET, OFF])
    other.replace([OFF])
    assert keys(one) == ["hourly"]
    assert one.digest == digest_of([OFF])
    assert not one.changed()


def test_a_process_with_the_seal_key_and_one_without_share_a_folder(tmp_path: Path) -> None:
    sealing, plain = OverrideStore(tmp_path, "test", "arq_cron", keys=(KEY,)), OverrideStore(tmp_path, "test", "arq_cron")
    sealing.replace([SECRET])
    assert (keys(plain), plain.digest) == ([], "")
    plain.replace([SECRET])
    assert not sealing.changed()
    sealing.replace([SECRET])
    assert not plain.changed()
    assert plain.digest == sealing.digest == digest_of([SECRET])
    again = OverrideStore(tmp_path, "test", "arq_cron", keys=(KEY,))
    assert keys(again) == ["nightly"]
    plain.replace([SECRET])
    assert not again.changed(), "what it could open it holds"


def test_what_names_a_list_on_the_disk_tells_nothing_of_its_secrets(tmp_path: Path) -> None:
    """Otherwise whoever reads the folder could try guesses against it."""
    names = set()
    for secret in ("by-position-7Xq", "another-9Yr"):
        store = OverrideStore(tmp_path, "test", "arq_cron")
        store.replace([{"key": "nightly", "spec": {**TYPED, "args": [secret], "kwargs": {"token": secret}}}])
        (path,) = tmp_path.iterdir()
        names.add(path.read_bytes())
    assert len(names) == 1


# -- what is reported as applied -----------------------------------------------------------------------------------------
DAILY_OFF: dict[str, Any] = {"key": "daily", "is_enabled": False}


class Cron(Scheduler):
    scheduler: ClassVar[str] = "cron"
    engine: ClassVar[str] = "fake"

    def __init__(self) -> None:
        self.applied: list[list[str]] = []
        self.error: Exception | None = None

    store = "code"

    def is_firing(self) -> bool:
        return True

    def list_schedules(self) -> list[ScheduleInfo]:
        return []

    def apply_overrides(self, overrides: list[Override]) -> dict[str, str]:
        if self.error is not None:
            raise self.error
        self.applied.append([override.key for override in overrides])
        return {}


@pytest.fixture
def cron() -> Cron:
    return Cron()


@pytest.fixture
def scheduling(cron: Cron, make_settings: Any, tmp_path: Path) -> Scheduling:
    store = OverrideStore(tmp_path, "test", "cron")
    return Scheduling(make_settings(), tuple, lambda: (cron,), lambda _name: store, PollLease(None))


def apply(scheduling: Scheduling, cron: Cron, *overrides: dict[str, Any]) -> None:
    scheduling.execute(cron, Command("c1", "apply_overrides", "cron", 1, {"overrides": list(overrides)}))


def reported(scheduling: Scheduling) -> str:
    """The digest of the overrides that the server is told are applied."""
    scheduling.forget()
    [frame] = scheduling.frames(1.0)
    return str(frame["applied"])


def test_overrides_that_cannot_be_stored_are_not_reported_as_applied(
    scheduling: Scheduling, cron: Cron, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(scheduling, cron, OFF)

    def full(*_: object) -> None:
        raise OSError("no space")

    with monkeypatch.context() as patched:
        patched.setattr(shared_file, "_stamp_of", full)
        with pytest.raises(OSError, match="no space"):
            apply(scheduling, cron, DAILY_OFF, OFF)
    assert reported(scheduling) == digest_of([OFF]), "so that the server sends them again"
    assert cron.applied == [["hourly"]]
    apply(scheduling, cron, DAILY_OFF, OFF)
    assert reported(scheduling) == digest_of([DAILY_OFF, OFF])


def test_overrides_that_cannot_be_applied_are_not_reported_as_applied(scheduling: Scheduling, cron: Cron) -> None:
    apply(scheduling, cron, OFF)
    cron.error = TimeoutError("the scheduler did not respond")
    for overrides in ([OFF, DAILY_OFF], [OFF, DAILY_OFF], []):
        with pytest.raises(TimeoutError):
            apply(scheduling, cron, *overrides)
        assert reported(scheduling) == digest_of([OFF])
    cron.error = None
    apply(scheduling, cron)
    assert reported(scheduling) == digest_of([])
