# SPDX-License-Identifier: Apache-2.0
"""Ends that Celery's signals do not tell as they are: a task that fails by hand, is sent again without an exception, or is replaced; and
an exception that cannot be pickled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from test_operate import OneHarness

from z4j_agent.conformance import wait_for
from z4j_agent.conformance.gateway import Gateway, Record

ENDS = ("succeeded", "failed", "cancelled", "lost", "rejected")


def started(kind: type[OneHarness], folder: Path) -> Iterator[tuple[Gateway, OneHarness]]:
    gateway = Gateway()
    gateway.start()
    harness = kind(folder, gateway.url)
    try:
        harness.set_up()
        harness.start_worker()
        yield gateway, harness
    finally:
        harness.tear_down()
        gateway.stop()


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, OneHarness]]:
    yield from started(OneHarness, tmp_path_factory.mktemp("truth"))


def last_end(gateway: Gateway, task_id: str, attempt: int = 0) -> Record:
    def find() -> list[Record]:
        return [record for record in gateway.records(task_id) if record.kind in ENDS and record.attempt >= attempt]

    return max(wait_for(find, f"{task_id} ends: {[(r.kind, r.rest) for r in gateway.records(task_id)]}"), key=lambda record: record.at)


def kinds(gateway: Gateway, task_id: str) -> list[str]:
    return [record.kind for record in gateway.records(task_id)]


def test_an_ignored_task_is_no_success(places: tuple[Gateway, OneHarness]) -> None:
    gateway, running = places
    end = last_end(gateway, running.enqueue("ignore"))
    assert (end.kind, end.rest["reason"]) == ("cancelled", "ignored")


def test_a_task_that_stores_its_failure_failed(places: tuple[Gateway, OneHarness]) -> None:
    gateway, running = places
    end = last_end(gateway, running.enqueue("says_failed"))
    assert (end.kind, end.rest["error_type"], end.rest["error"]) == ("failed", "ValueError", "quota")


def test_a_retry_that_does_not_raise_is_a_retry(places: tuple[Gateway, OneHarness]) -> None:
    gateway, running = places
    task_id = running.enqueue("quiet")
    end = last_end(gateway, task_id, 1)
    assert (end.kind, end.attempt, end.rest["error_type"]) == ("failed", 1, "OSError")
    assert "succeeded" not in kinds(gateway, task_id)
    assert "retried" in kinds(gateway, task_id)


@pytest.mark.parametrize(("value", "kind"), [(4, "succeeded"), (-4, "failed")])
def test_a_replaced_task_ends_as_its_replacement(places: tuple[Gateway, OneHarness], value: int, kind: str) -> None:
    gateway, running = places
    task_id = running.enqueue("replaced", value)
    end = last_end(gateway, task_id)
    assert (end.kind, end.name) == (kind, "contract.double")
    assert end.rest.get("result", "8") == "8"
    assert "retried" in kinds(gateway, task_id)


def test_an_exception_that_cannot_be_pickled_is_told_by_its_own_name(places: tuple[Gateway, OneHarness]) -> None:
    gateway, running = places
    end = last_end(gateway, running.enqueue("unpickleable"))
    assert (end.rest["error_type"], end.rest["error"]) == ("Declined", "card-51")
