# SPDX-License-Identifier: Apache-2.0
"""A real operating-system thread, also where gevent or eventlet have replaced Python's.

A greenlet would be delayed by CPU-bound tasks (3 s gaps were measured) and miss its heartbeats.
"""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections.abc import Callable
from typing import Any


def native(module: str, name: str) -> Any:
    """`module.name` as in Python, without patches. Raises AttributeError if there is no such name."""
    if "gevent.monkey" in sys.modules:
        return sys.modules["gevent.monkey"].get_original(module, name)
    if "eventlet.patcher" in sys.modules:
        return getattr(sys.modules["eventlet.patcher"].original(module), name)
    return getattr(importlib.import_module(module), name)


SLEEP: Callable[[float], None] = native("time", "sleep")
"""The sleep of the agent's thread. Stored at the agent's start: tests of an application may replace `time.sleep` later, and count its
calls."""


def ticks() -> float:
    """Seconds of a monotonic clock, also in a test of the application that stops `time.monotonic`, as freezegun does: with a stopped
    clock a timeout would never end. Only differences are meaningful."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def has_green_threads() -> bool:
    """Whether `threading` starts greenlets. Importing gevent or eventlet does not change that; only their patches do."""
    monkey, patcher = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if monkey is not None:
        is_patched = monkey.is_module_patched
        if is_patched("threading") or is_patched("_thread") or is_patched("thread"):
            return True
    return patcher is not None and bool(patcher.is_monkey_patched("thread"))


def start_native_thread(target: Callable[[], None]) -> None:
    """Starts `target` in a thread of the operating system that never keeps the process alive. Raises RuntimeError.

    If `threading` is Python's own, the thread is one of its: it would permanently list any other thread as a dummy, once that has logged.
    """
    if has_green_threads():
        native("_thread", "start_new_thread")(target, ())
    else:
        threading.Thread(target=target, name="z4j-agent", daemon=True).start()
