# SPDX-License-Identifier: Apache-2.0
"""The three methods of taskiq's `Receiver` that are wrapped while an app is watched, because no middleware sees what they do.

* `listen`: when this process becomes a worker, of which receiver and on which loop.
* `callback`: a message that cannot be parsed or names an unknown task is dropped before any middleware is asked, and when another
  middleware raises, taskiq drops the task without a word (taskiq/receiver/receiver.py).
* `run_task`: the only place where a task can be kept from running and still be acknowledged and answered; it is called after every
  `pre_execute` and returns after every `on_error`, whatever the order of the middlewares.

Each wrapper calls the original with what it was given, in the same task, and lets every exception through.
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
"""By the broker's identity. The receiver's class is shared by all brokers of a process; those that are not here are left alone."""
_patches = Patches()


def watch(capture: Capture) -> None:
    """Reports what receivers of this broker do. The class is changed at the first one."""
    if not _watched:
        for name, make in (("listen", _listen), ("callback", _callback), ("run_task", _run_task)):
            _patches.wrap(Receiver, name, make)
    _watched[id(capture.broker)] = capture


def unwatch(capture: Capture) -> None:
    """The class is as it was when the last broker is gone."""
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
        except GeneratorExit:  # the loop is gone; what becomes of the task is said at the end of the process
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
