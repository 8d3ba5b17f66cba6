# SPDX-License-Identifier: Apache-2.0
"""Calls the receivers of this package without Celery's signal machinery, as long as a signal has no other receiver.

`Signal.send` finds the live receivers again for each call, which takes about as long as a receiver's work. Here a signal that has only
ours calls it directly; with any further receiver, or in a Celery that calls its signals in another way, `Signal.send` is used as usual.
Receivers are connected as usual in both cases: Celery sends two of these signals only if their list of receivers is not empty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.app import trace
from celery.utils.dispatch import Signal

from z4j_agent.capture.guard import faults, let_through

_BOUND = {"task_prerun": "send_prerun", "task_postrun": "send_postrun"}
"""Signals whose `send` the module of the tracer has under a name of its own."""


class DirectCalls:
    """The signals of one app's receivers that are sent directly."""

    def __init__(self) -> None:
        self._restore: list[Callable[[], None]] = []

    def install(self, signal: Signal, receiver: Callable[..., Any]) -> None:
        """Makes `signal` call `receiver`, which is connected to it and decorated with `guard`, directly."""
        if "send" in vars(signal):
            return  # of another app, or the application has replaced it
        send = _direct(signal, receiver)
        name = _BOUND.get(str(signal.name), "")
        before = getattr(trace, name, None)
        signal.send = send
        self._restore.append(lambda: _remove(signal, send))
        if before == type(signal).send.__get__(signal):
            setattr(trace, name, send)
            self._restore.append(lambda: _put_back(name, send, before))

    def uninstall(self) -> None:
        """Makes the signals call their receivers as Celery does. What another library has replaced since stays."""
        for restore in self._restore:
            restore()
        self._restore.clear()


def _direct(signal: Signal, receiver: Callable[..., Any]) -> Callable[..., Any]:
    through_machinery = type(signal).send.__get__(signal)
    receivers = signal.receivers
    unguarded = receiver.__wrapped__.__get__(receiver.__self__)  # type: ignore[attr-defined]

    def send(sender: Any, **named: Any) -> Any:
        if len(receivers) != 1 or receivers[0][1] is not receiver or signal.receivers is not receivers:
            return through_machinery(sender, **named)
        try:
            return [(receiver, unguarded(sender=sender, **named))]
        except Exception as error:
            let_through(error)
            faults.report(str(signal.name), error)
            return [(receiver, None)]

    return send


def _remove(signal: Signal, send: Any) -> None:
    if vars(signal).get("send") is send:
        del signal.send


def _put_back(name: str, send: Any, before: Any) -> None:
    if getattr(trace, name, None) is send:
        setattr(trace, name, before)
