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

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from taskiq.receiver import Receiver

if TYPE_CHECKING:
    from z4j_taskiq.capture import Capture

Wrapped = Callable[..., Any]

_watched: dict[int, Capture] = {}
"""By the broker's identity. The receiver's class is shared by all brokers of a process; those that are not here are left alone."""
_put: list[tuple[str, Wrapped, Wrapped]] = []
"""Name, what was there, and what stands in its place."""
_is_on: list[bool] = []
"""What the wrappers in place look at: of earlier ones, which another library may hold still, it is empty."""


def watch(capture: Capture) -> None:
    """Reports what receivers of this broker do. The class is changed at the first one."""
    global _is_on
    _watched[id(capture.broker)] = capture
    if not _put:
        _is_on = [True]
        for name, make in (("listen", _listen), ("callback", _callback), ("run_task", _run_task)):
            original = Receiver.__dict__[name]
            wrapper = functools.wraps(original)(make(original, _is_on))
            setattr(Receiver, name, wrapper)
            _put.append((name, original, wrapper))


def unwatch(capture: Capture) -> None:
    """The class is as it was when the last broker is gone; what another library has put on since stays."""
    if _watched.get(id(capture.broker)) is capture:
        del _watched[id(capture.broker)]
    if not _watched:
        _is_on.clear()
        while _put:
            name, original, wrapper = _put.pop()
            if Receiver.__dict__[name] is wrapper:
                setattr(Receiver, name, original)


def _listen(original: Wrapped, is_on: list[bool]) -> Wrapped:
    async def listen(self: Any, *args: Any, **kwargs: Any) -> Any:
        capture = _watched.get(id(self.broker)) if is_on else None
        if capture is not None:
            capture.on_listen(self)
        return await original(self, *args, **kwargs)

    return listen


def _callback(original: Wrapped, is_on: list[bool]) -> Wrapped:
    async def callback(self: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
        capture = _watched.get(id(self.broker)) if is_on else None
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


def _run_task(original: Wrapped, is_on: list[bool]) -> Wrapped:
    async def run_task(self: Any, target: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
        capture = _watched.get(id(self.broker)) if is_on else None
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
