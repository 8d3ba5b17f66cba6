# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry and Sentry beside an adapter: their real SDKs in the application's processes, with what they send kept in a file.

The test application calls `use()` before or after it installs z4j. `OtherToolsContract` checks that the IDs are reported, and that spans
and events are the same with and without z4j.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ClassVar

import pytest

from z4j_agent.conformance.assertions import ended, note_of, worker_link
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import Harness, wait_for

FILE = "OTHER_TOOLS_FILE"
BEFORE, AFTER = "before", "after"


def use(when: str, instrument: Callable[[], object] = lambda: None) -> None:
    """Starts both SDKs if this test asks for them at that moment: `when` is BEFORE or AFTER the installation of z4j. `instrument` is the
    engine's own instrumentation of OpenTelemetry, if there is one."""
    file = os.environ.get(FILE, "")
    if os.environ.get("OTHER_TOOLS") != when:
        return
    import sentry_sdk  # only in the environment of these tests
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
    from sentry_sdk.transport import Transport

    def keep(line: dict[str, Any]) -> None:
        with Path(file).open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")

    class Exporter(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            for span in spans:
                keep({"span": span.name, "trace_id": f"{span.context.trace_id:032x}", "ok": span.status.is_ok})
            return SpanExportResult.SUCCESS

    class Kept(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            event = envelope.get_event()
            if event is not None:
                kinds = [value["type"] for value in event.get("exception", {}).get("values", [])]
                keep({"event": event["event_id"], "kinds": kinds})

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Exporter()))
    trace.set_tracer_provider(provider)
    instrument()
    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=Kept, default_integrations=True)


class OwnSpans:
    """Spans that an application opens in the hooks of its engine, where OpenTelemetry has no instrumentation of it. One for each run, in
    the context in which both hooks are called."""

    def __init__(self) -> None:
        self._open: ContextVar[Any] = ContextVar("own_spans")

    def begin(self) -> None:
        """Opens the span of a run and makes it current."""
        from opentelemetry import trace

        span = trace.get_tracer("application").start_as_current_span("run/contract")
        self._open.set(span)
        span.__enter__()

    def end(self, error: BaseException | None = None) -> None:
        """Closes it."""
        span = self._open.get(None)
        if span is not None:
            self._open.set(None)
            span.__exit__(type(error) if error else None, error, None)


class OtherToolsContract:
    """Subclass it for one engine; the name must begin with `Test`."""

    harness_class: ClassVar[type[Harness]]
    span: ClassVar[str] = ""
    """How the name of the span of a run begins, if there is one: of the engine's instrumentation of OpenTelemetry, or of `OwnSpans`."""
    marks_failures: ClassVar[bool] = True
    """Whether the span of a failed task is not ok: RQ and arq do not pass the exception to the hook that ends it."""
    has_events: ClassVar[bool] = True
    """Whether Sentry has an integration of the engine."""
    moments: ClassVar[tuple[str, ...]] = (BEFORE, AFTER)
    """When their SDKs may be started."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "when" in metafunc.fixturenames:
            metafunc.parametrize("when", self.moments)

    @pytest.fixture
    def gateway(self) -> Iterator[Gateway]:
        gateway = Gateway()
        gateway.start()
        yield gateway
        gateway.stop()

    def start(self, folder: Path, gateway: Gateway, when: str, *, is_monitored: bool = True) -> Harness:
        folder.mkdir()
        harness = self.harness_class(folder, gateway.url if is_monitored else "")
        harness.variables |= {"OTHER_TOOLS": when, FILE: str(folder / "tools.jsonl")}
        harness.set_up()
        harness.start_worker()
        return harness

    def kept(self, harness: Harness) -> list[dict[str, Any]]:
        file = harness.folder / "tools.jsonl"
        return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []

    def events(self, harness: Harness) -> list[dict[str, Any]]:
        return [line for line in self.kept(harness) if "event" in line]

    def spans(self, harness: Harness) -> list[dict[str, Any]]:
        return [line for line in self.kept(harness) if self.span and line.get("span", "").startswith(self.span)]

    def has_span_of_failure(self, harness: Harness) -> bool:
        """Whether the span of the failed task has ended: a harness may have run another task before, to see that its worker is ready."""
        return not self.span or any(not span["ok"] or not self.marks_failures for span in self.spans(harness))

    def test_ids_are_reported(self, tmp_path: Path, gateway: Gateway, when: str) -> None:
        harness = self.start(tmp_path / "monitored", gateway, when)
        try:
            wait_for(lambda: worker_link(gateway), "the worker connects")
            before = len(self.spans(harness))  # a harness may have run a task to see that its worker is ready
            failed = harness.enqueue("fail", "no such door")
            ended(gateway, failed, harness.outcomes["fail"])
            if self.has_events:
                wait_for(lambda: self.events(harness), "Sentry's event")
                wait_for(lambda: note_of(gateway, failed)["ids"].get("sentry_event_id"), "the event's ID is reported")
                (event,) = self.events(harness)
                assert note_of(gateway, failed)["ids"]["sentry_event_id"][1] == event["event"]
                assert event["kinds"] == ["ValueError"]
            succeeded = harness.enqueue("succeed", 1)
            ended(gateway, succeeded, harness.outcomes["succeed"])
            if self.span:
                wait_for(lambda: len(self.spans(harness)) >= before + 2, "OpenTelemetry's spans")
                for task_id, span in zip((failed, succeeded), self.spans(harness)[before:], strict=True):
                    wait_for(lambda id=task_id: note_of(gateway, id)["ids"].get("trace_id"), "the trace ID is reported")  # type: ignore[misc]
                    assert note_of(gateway, task_id)["ids"]["trace_id"][1] == span["trace_id"]
            assert "sentry_event_id" not in note_of(gateway, succeeded)["ids"], "an event of the task before is not its own"
            assert not [fields for fields in gateway.decoded() if fields[0] == "fault"]
        finally:
            harness.tear_down()

    def test_their_spans_and_events_are_the_same_with_and_without(self, tmp_path: Path, gateway: Gateway) -> None:
        seen = []
        for name in ("bare", "monitored"):
            harness = self.start(tmp_path / name, gateway, self.moments[-1], is_monitored=name == "monitored")
            try:
                failed = harness.enqueue("fail", "no such door")
                if name == "monitored":
                    ended(gateway, failed, harness.outcomes["fail"])
                wait_for(lambda: self.events(harness) or not self.has_events, "Sentry's event")  # noqa: B023
                wait_for(lambda: self.has_span_of_failure(harness), "OpenTelemetry's span")  # noqa: B023
                spans = [(line["span"], line["ok"]) for line in self.kept(harness) if "span" in line]
                seen.append((sorted(spans), [line["kinds"] for line in self.events(harness)]))
            finally:
                harness.tear_down()
        assert seen[0] == seen[1]
