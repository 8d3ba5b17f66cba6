# SPDX-License-Identifier: Apache-2.0
"""What an application reports about its attempt: redacted, bounded, sent in few records, and nothing outside of a task."""

from __future__ import annotations

import contextvars
import json
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import z4j_agent
from z4j_agent.capture import attempt_annotations, current_run, tracing_ids
from z4j_agent.capture.current_run import CurrentRun

START = 1_700_000_000_000_000


class Spool:
    """Stands for the agent: keeps what is appended."""

    run = "boot.7"
    settings = SimpleNamespace(redact=("customer_name",))

    def __init__(self) -> None:
        self.records: list[list[Any]] = []

    def append(self, record: bytes) -> bool:
        self.records.append(json.loads(record[1:]))
        return True

    def notes(self) -> list[dict[str, Any]]:
        return [record[8]["note"] for record in self.records]

    def fields(self) -> dict[str, str]:
        """The latest value of each annotation."""
        latest: dict[str, list[Any]] = {}
        for note in self.notes():
            for name, value in note.get("fields", {}).items():
                latest[name] = max(latest.get(name, [0, ""]), value)
        return {name: value for name, (_, value) in latest.items()}


@pytest.fixture
def spool() -> Spool:
    return Spool()


@pytest.fixture
def run(spool: Spool) -> Iterator[CurrentRun]:
    run = current_run.begin(spool, "celery", "a", 1, START, "shop.ship", "orders")
    yield run
    current_run.end(run)


def test_outside_of_a_task_nothing_happens() -> None:
    z4j_agent.annotate(order=42)
    z4j_agent.progress(1, 2)


def test_a_note_is_a_copy_of_the_start(spool: Spool, run: CurrentRun) -> None:
    z4j_agent.annotate(order=42, customer="ann")
    assert [record[:8] for record in spool.records] == [["started", "celery", "a", 1, START, "boot.7", "shop.ship", "orders"]]
    assert spool.fields() == {"order": "42", "customer": "ann"}
    (note,) = spool.notes()
    assert all(at > START for at, _ in note["fields"].values())


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("password", "hunter2hunter2", "•••"),
        ("customer_name", "Ann", "•••"),  # named in Z4J_REDACT
        ("target", "https://ann:s3cretpass@shop.example/x", "https://•••@shop.example/x"),
        ("flag", True, "true"),
        ("items", [1, "two"], '[1, "two"]'),
        ("nothing", None, "null"),
        ("long", "x" * 500, "x" * 199 + "…"),
        ("odd", "a\ud800", "a\\ud800"),
        ("what", object(), "<object>"),
    ],
)
def test_values_are_redacted_and_cut(spool: Spool, run: CurrentRun, name: str, value: object, shown: str) -> None:
    z4j_agent.annotate(**{name: value})
    assert spool.fields() == {name: shown}


def test_a_value_that_raises_reaches_nobody(spool: Spool, run: CurrentRun) -> None:
    class Hostile(dict[str, str]):
        def items(self) -> Any:
            raise RuntimeError("boom")

    z4j_agent.annotate(bad=Hostile(a="b"), good=1)
    assert spool.fields()["good"] == "1"


def test_a_later_value_replaces_an_earlier_one_and_the_same_one_is_not_sent_again(spool: Spool, run: CurrentRun) -> None:
    z4j_agent.annotate(step="one")
    z4j_agent.annotate(step="two")
    z4j_agent.annotate(step="two")
    assert spool.fields() == {"step": "two"}
    assert len(spool.records) == 2


def test_there_are_twenty_fields_and_the_rest_is_counted(spool: Spool, run: CurrentRun) -> None:
    z4j_agent.annotate(**{f"field{number:02}": number for number in range(25)})
    current_run.end(run)
    assert list(spool.fields()) == [f"field{number:02}" for number in range(attempt_annotations.MAX_FIELDS)]
    assert spool.notes()[-1]["excess"] == 5


def test_a_name_is_cut(spool: Spool, run: CurrentRun) -> None:
    z4j_agent.annotate(**{"k" * 300: 1})
    z4j_agent.annotate(**{"k" * 300: 2})
    assert list(spool.fields()) == ["k" * 49 + "…"]


def test_much_is_sent_seldom_and_the_last_value_always(spool: Spool, run: CurrentRun) -> None:
    for number in range(10_000):
        z4j_agent.annotate(step=number)
    assert len(spool.records) <= attempt_annotations.AT_ONCE + 5
    current_run.end(run)
    assert spool.fields() == {"step": "9999"}


def test_progress_is_sent_at_most_twice_a_second_and_the_last_one_always(
    spool: Spool, run: CurrentRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(time_ns=lambda: START * 1_000, monotonic_ns=lambda: clock.now, now=10**12)
    monkeypatch.setattr(attempt_annotations, "time", clock)
    for number in range(1, 1_001):
        clock.now += 10_000_000  # 10 ms: ten seconds in all
        z4j_agent.progress(number, 1_000, f"order {number}")
    assert 19 <= len(spool.records) <= 21
    current_run.end(run)
    at, *last = spool.notes()[-1]["progress"]
    assert last == [1_000, 1_000, "order 1000"]
    assert at == max(note["progress"][0] for note in spool.notes())


@pytest.mark.parametrize("done", [float("nan"), float("inf"), True, "12", None, 10**40])
def test_what_is_no_number_is_no_progress(spool: Spool, run: CurrentRun, done: Any) -> None:
    z4j_agent.progress(done, 10)
    assert spool.records == []


def test_a_progress_may_have_no_total_and_its_text_is_redacted(spool: Spool, run: CurrentRun) -> None:
    z4j_agent.progress(7, text="login with password=hunter2hunter2")
    (note,) = spool.notes()
    assert note["progress"][1:] == [7, None, "login with password=•••"]


def test_a_value_of_another_type_than_a_text_is_no_text(spool: Spool, run: CurrentRun) -> None:
    z4j_agent.progress(7, 10, {"a": 1})  # type: ignore[arg-type]
    assert spool.notes()[0]["progress"][3] == '{"a": 1}'


def test_after_the_end_nothing_is_reported(spool: Spool, run: CurrentRun) -> None:
    current_run.end(run)
    z4j_agent.annotate(late=1)
    assert spool.records == []


def test_threads_of_one_task_lose_no_field(spool: Spool, run: CurrentRun) -> None:
    import contextvars

    threads = [
        threading.Thread(target=contextvars.copy_context().run, args=(lambda n=number: z4j_agent.annotate(**{f"t{n}": n}),))
        for number in range(attempt_annotations.MAX_FIELDS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    current_run.end(run)
    assert len(spool.fields()) == attempt_annotations.MAX_FIELDS


class OtherTools:
    """Modules with the functions that OpenTelemetry and Sentry have, as far as they are asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trace, self.event = 0, "before"
        tracing, context, sentry = ModuleType("opentelemetry.trace"), ModuleType("opentelemetry.context"), ModuleType("sentry_sdk")
        tracing.get_current_span = lambda: self  # type: ignore[attr-defined]
        context.get_current = lambda: {"current-span": self} if self.trace else {}  # type: ignore[attr-defined]
        sentry.last_event_id = lambda: self.event  # type: ignore[attr-defined]
        sentry.get_isolation_scope = self._scope  # type: ignore[attr-defined]
        self.scope: Callable[[], object] = object
        monkeypatch.setitem(sys.modules, "opentelemetry.trace", tracing)
        monkeypatch.setitem(sys.modules, "opentelemetry.context", context)
        monkeypatch.setitem(sys.modules, "sentry_sdk", sentry)

    def _scope(self) -> object:
        return self.scope()

    def get_span_context(self) -> Any:
        return SimpleNamespace(trace_id=self.trace, is_valid=self.trace > 0)


def ids_of(spool: Spool) -> list[dict[str, str]]:
    return [{name: id for name, (_, id) in note["ids"].items()} for note in spool.notes()]


def test_ids_of_other_tools_are_reported_at_the_start_and_at_the_end(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = OtherTools(monkeypatch)
    tools.trace = 0xABC
    run = current_run.begin(spool, "celery", "a", 0, START, "shop.ship", "orders")
    assert ids_of(spool) == [{"trace_id": f"{0xABC:032x}"}]
    tools.event = "e" * 32
    current_run.end(run)
    assert ids_of(spool)[1:] == [{"sentry_event_id": "e" * 32}]
    tools.event = "f" * 32  # Sentry sends its event after the end
    current_run.report_ids(run)
    current_run.report_ids(run)
    assert ids_of(spool)[2:] == [{"sentry_event_id": "f" * 32}]


def test_where_nothing_is_set_in_the_context_opentelemetry_is_not_asked_for_a_span(monkeypatch: pytest.MonkeyPatch) -> None:
    OtherTools(monkeypatch)
    asked: list[str] = []
    monkeypatch.setattr(sys.modules["opentelemetry.trace"], "get_current_span", lambda: asked.append("span"))
    assert tracing_ids.trace_id() == ""
    assert asked == []


def test_an_event_from_before_the_run_is_not_its_own(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    OtherTools(monkeypatch)
    current_run.end(current_run.begin(spool, "celery", "a", 0, START, "shop.ship", "orders"))
    assert spool.records == []


def test_of_two_runs_in_one_scope_of_sentry_none_has_the_event(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = OtherTools(monkeypatch)
    scope = object()
    tools.scope = lambda: scope
    first = contextvars.copy_context().run(current_run.begin, spool, "taskiq", "a", 0, START, "shop.ship", "orders")
    second = contextvars.copy_context().run(current_run.begin, spool, "taskiq", "b", 0, START, "shop.ship", "orders")
    tools.event = "e" * 32
    current_run.end(second)
    current_run.end(first)
    assert ids_of(spool) == []
    alone = current_run.begin(spool, "taskiq", "c", 0, START, "shop.ship", "orders")
    inner = current_run.begin(spool, "taskiq", "d", 0, START, "shop.ship", "orders")
    tools.event = "f" * 32
    current_run.end(inner)
    current_run.end(alone)
    assert ids_of(spool) == [{"sentry_event_id": "f" * 32}] * 2, "a run that calls another one shares its scope"


def test_a_tool_that_raises_disturbs_nobody(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = OtherTools(monkeypatch)
    tools.get_span_context = lambda: 1 / 0  # type: ignore[method-assign, assignment]
    current_run.end(current_run.begin(spool, "celery", "a", 0, START, "shop.ship", "orders"))
    assert spool.records == []
