# SPDX-License-Identifier: Apache-2.0
"""Installing and uninstalling several apps of one process, in any order, leaves nothing of ours behind."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, Task, signals
from celery.backends.base import Backend

import z4j_agent
import z4j_celery
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import wait_for

METHODS = [
    (Task, "update_state"),
    (Backend, "mark_as_done"),
    (Backend, "mark_as_failure"),
    (Backend, "mark_as_revoked"),
    (Backend, "chord_error_from_stack"),
]
SIGNALS = [signal for signal in vars(signals).values() if isinstance(signal, type(signals.task_prerun))]


def state() -> list[Any]:
    """What our package changes in Celery itself."""
    return [vars(owner)[name] for owner, name in METHODS] + [list(signal.receivers or ()) for signal in SIGNALS]


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    gateway.start()
    yield gateway
    z4j_agent.stop()
    gateway.stop()


def apps(number: int) -> list[Celery]:
    return [Celery(f"app{at}", broker="memory://", backend="cache+memory://", set_as_current=False) for at in range(number)]


def install(app: Celery, gateway: Gateway, folder: Path) -> None:
    z4j_celery.install(app, url=gateway.url, spool=folder, environment="test")


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_celery_is_as_before_whatever_the_order(order: tuple[int, ...], gateway: Gateway, tmp_path: Path) -> None:
    before, watched = state(), apps(3)
    for app in watched:
        install(app, gateway, tmp_path)
    assert state() != before
    for at in order:
        z4j_celery.uninstall(watched[at])
    assert state() == before


def test_stopping_the_agent_takes_everything_off(gateway: Gateway, tmp_path: Path) -> None:
    before = state()
    for app in apps(3):
        install(app, gateway, tmp_path)
    z4j_agent.stop()
    assert state() == before


def test_another_library_s_patch_stays_and_ours_is_put_on_once(gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = apps(2)
    install(first, gateway, tmp_path)
    ours, called = Backend.mark_as_done, []

    def theirs(self: Any, *args: Any, **options: Any) -> Any:
        called.append(args[0])
        return ours(self, *args, **options)

    monkeypatch.setattr(Backend, "mark_as_done", theirs)
    z4j_celery.uninstall(first)
    assert Backend.mark_as_done is theirs
    second.backend.mark_as_done("t1", 1)
    install(second, gateway, tmp_path)
    second.backend.mark_as_done("t2", 2)
    assert called == ["t1", "t2"]
    assert second.backend.get_result("t2") == 2
    z4j_agent.current().connect()  # type: ignore[union-attr]
    wait_for(lambda: gateway.records("t2"), "it is reported")
    assert [record.kind for record in gateway.records("t2")] == ["succeeded"]
    assert gateway.records("t1") == []
    z4j_celery.uninstall(second)
    monkeypatch.undo()
    assert Backend.mark_as_done is ours
    install(first, gateway, tmp_path)
    z4j_celery.uninstall(first)
    assert Backend.mark_as_done is not ours


def test_an_app_is_watched_again_after_the_agent_was_stopped(gateway: Gateway, tmp_path: Path) -> None:
    (app,) = apps(1)
    install(app, gateway, tmp_path)
    z4j_agent.stop()
    silent = app.send_task("shop.ship", task_id="silent")
    install(app, gateway, tmp_path)
    sent = app.send_task("shop.ship", task_id="told")
    wait_for(lambda: gateway.records(sent.id), "it is reported")
    assert [record.kind for record in gateway.records(sent.id)].count("enqueued") == 1
    assert gateway.records(silent.id) == []


def test_what_only_some_applications_have_is_not_imported() -> None:
    """The client of another broker may not be installed, and each of these costs a producer milliseconds and megabytes."""
    code = (
        "import sys; sys.modules['redis'] = None; from celery import Celery; import z4j_celery.adapter;"
        "print([m for m in ('celery.beat', 'celery.worker.control', 'asyncio', 'websockets') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
