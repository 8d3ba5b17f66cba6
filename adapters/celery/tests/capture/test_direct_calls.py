# SPDX-License-Identifier: Apache-2.0
"""A signal that only this package receives is sent without Celery's machinery, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import signals
from celery.app import trace
from celery.exceptions import SoftTimeLimitExceeded
from celery.utils.dispatch import Signal

from z4j_agent.capture.guard import faults, guard, never_swallow
from z4j_celery.execution.direct_calls import DirectCalls

PRERUN = signals.task_prerun
Call = Callable[..., Any]


class Receiver:
    """Connected as `Capture` connects its own."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.raises: Exception | None = None

    @guard("test of a receiver")
    def receive(self, task: Any = None, **more: Any) -> None:
        self.got.append(task)
        if self.raises is not None:
            raise self.raises


@pytest.fixture
def machinery(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The signals that were sent by Celery's own method."""
    sent: list[Any] = []
    true_receivers = Signal._live_receivers

    def count(self: Signal, sender: Any) -> Any:
        sent.append(sender)
        return true_receivers(self, sender)

    monkeypatch.setattr(Signal, "_live_receivers", count)
    return sent


@pytest.fixture
def ours() -> Iterator[Receiver]:
    assert not PRERUN.receivers
    receiver = Receiver()
    bound, calls = receiver.receive, DirectCalls()
    PRERUN.connect(bound, weak=False)
    calls.install(PRERUN, bound)
    try:
        yield receiver
    finally:
        calls.uninstall()
        PRERUN.disconnect(bound)
        assert trace.send_prerun == PRERUN.send
        assert "send" not in vars(PRERUN)


def send() -> None:
    """As the tracer does."""
    trace.send_prerun(sender="s", task_id="1", task="t", args=(), kwargs={})


def test_alone_it_is_called_directly(ours: Receiver, machinery: list[Any]) -> None:
    send()
    PRERUN.send(sender="s", task="u")
    assert (ours.got, machinery) == (["t", "u"], [])


def test_any_other_receiver_gets_the_signal_from_celery(ours: Receiver, machinery: list[Any]) -> None:
    others: list[str] = []

    def other(task: str = "", **more: Any) -> None:
        others.append(task)

    PRERUN.connect(other, sender="s")
    send()
    PRERUN.disconnect(other, sender="s")
    assert (ours.got, others, machinery) == (["t"], ["t"], ["s"])
    send()
    assert (ours.got, others, machinery) == (["t", "t"], ["t"], ["s"])


def test_its_exceptions_are_ours_and_those_of_celery_pass(ours: Receiver) -> None:
    before = faults.total
    ours.raises = ValueError("ours")
    send()
    assert faults.total == before + 1
    never_swallow(SoftTimeLimitExceeded)
    ours.raises = SoftTimeLimitExceeded()
    with pytest.raises(SoftTimeLimitExceeded):
        send()


def test_two_apps_share_a_signal_through_celery(ours: Receiver, machinery: list[Any]) -> None:
    second, calls = Receiver(), DirectCalls()
    bound = second.receive
    PRERUN.connect(bound, weak=False, dispatch_uid="second")
    calls.install(PRERUN, bound)
    send()
    calls.uninstall()
    PRERUN.disconnect(bound, dispatch_uid="second")
    assert (ours.got, second.got, len(machinery)) == (["t"], ["t"], 1)
    send()
    assert (ours.got, second.got, len(machinery)) == (["t", "t"], ["t"], 1)


def test_what_kept_the_direct_call_goes_on_after_the_end(machinery: list[Any]) -> None:
    """Celery keeps `before_task_publish.send` in a closure, which outlives an uninstallation."""
    receiver, calls = Receiver(), DirectCalls()
    bound = receiver.receive
    PRERUN.connect(bound, weak=False)
    calls.install(PRERUN, bound)
    kept = PRERUN.send
    calls.uninstall()
    PRERUN.disconnect(bound)
    kept(sender="s", task="t")
    others: list[str] = []

    def other(task: str = "", **more: Any) -> None:
        others.append(task)

    PRERUN.connect(other)
    kept(sender="s", task="u")
    PRERUN.disconnect(other)
    assert (receiver.got, others) == ([], ["u"])
