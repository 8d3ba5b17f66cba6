# SPDX-License-Identifier: Apache-2.0
"""The three methods of taskiq's `Receiver` that are wrapped while a broker is monitored, because no middleware covers them.

* `listen`: shows that this process is a worker, with its receiver and its loop.
* `callback`: a message that cannot be parsed or names an unknown task is dropped before any middleware is called, and when another
  middleware raises, taskiq drops the task without a report (taskiq/receiver/receiver.py).
* `run_task`: the only method in which a task can be skipped and still be acknowledged with a result; it is called after every
  `pre_execute` and returns after every `on_error`, whatever the order of the middlewares.

Each wrapper calls the original with the same arguments, in the same task, and passes every exception on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from taskiq.receiver import Receiver

from z4j_agent.runtime.patching import Patches

if TYPE_CHECKING:
    from z4j_taskiq.capture import Capture

Wrapped = Callable[..., Any]

_watched: dict[int, Capture] = {}
"""Captures by the identity of the broker object. The receiver's class is shared by all brokers of a process; other brokers are not
affected."""
_patches = Patches()


def watch(capture: Capture) -> None:
    """Registers the capture of a broker. The first one wraps the class."""
    if not _watched:
        for name, make in (("listen", _listen), ("callback", _callback), ("run_task", _run_task)):
            _patches.wrap(Receiver, name, make)
    _watched[id(capture.broker)] = capture


def unwatch(capture: Capture) -> None:
    """The reverse of `watch`; the last call restores the class."""
    if _watched.get(id(capture.broker)) is capture:
        del _watched[id(capture.broker)]
    if not _watched:
        _patches.restore()


def _listen(original: Wrapped) -> Wrapped:
    async def listen(self: Any, *args: Any, **kwargs: Any) -> Any:
        capture = _watched.get(id(self.broker))
        if capture is not None:
            capture.on_listen(self)
        return await original(self, *args, **kwargs)

    return listen


def _callback(original: Wrapped) -> Wrapped:
    async def callback(self: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
        capture = _watched.get(id(self.broker))
        if capture is None:
            return await original(self, message, *args, **kwargs)
        run = capture.on_delivery(message)
        try:
            return await original(self, message, *args, **kwargs)
        except GeneratorExit:  # the loop has ended; the outcome is reported at the end of the process
            raise
        except BaseException as error:
            capture.on_escaped(run, error)
            raise
        finally:
            capture.on_delivered(run)

    return callback


def _run_task(original: Wrapped) -> Wrapped:
    async def run_task(self: Any, target: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
        capture = _watched.get(id(self.broker))
        run = None if capture is None else capture.on_run(self, target, message, args, kwargs)
        if capture is None or run is None:
            return await original(self, target, message, *args, **kwargs)
        if run.is_cancelled and (refused := capture.on_cancelled(run)) is not None:
            return refused
        try:
            result = await original(self, run.target, message, *args, **kwargs)
        except GeneratorExit:
            raise
        except BaseException as error:
            capture.on_broken(run, error)
            raise
        capture.on_result(run, result)
        return result

    return run_task
