# SPDX-License-Identifier: Apache-2.0
"""Calls to an engine whose sockets gevent has replaced.

The agent has a real thread of its own, with a hub of its own. A connection of an engine's pool belongs to the hub in which it was
opened, and a greenlet can only be ended from its own hub: a greenlet of the application makes such calls, while the agent waits.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

from z4j_agent.contract.adapter import Refused
from z4j_agent.runtime.native_threads import SLEEP, ticks

T = TypeVar("T")
PATIENCE_S = 30.0


def current_hub() -> Any:
    """gevent's hub of this thread, or None if sockets are Python's own. Called in the application's threads."""
    monkey = sys.modules.get("gevent.monkey")
    return sys.modules["gevent"].get_hub() if monkey is not None and monkey.is_module_patched("socket") else None


def ask(hub: Any, act: Callable[[], T]) -> T:
    """Calls `act` in a greenlet of `hub`, or directly without a hub, and waits for it at most PATIENCE_S seconds. Returns its result or
    raises its exception; raises Refused after that time, and `act` may still be executed then. Called in the agent's thread."""
    if hub is None or hub.loop is None or hub is current_hub():
        return act()
    done: list[tuple[T | None, BaseException | None]] = []

    def execute() -> None:
        try:
            done.append((act(), None))
        except BaseException as error:  # any exception is raised again in the calling thread
            done.append((None, error))

    hub.loop.run_callback_threadsafe(sys.modules["gevent"].spawn, execute)
    ends = ticks() + PATIENCE_S
    while not done:
        if ticks() >= ends:
            raise Refused("this process is too busy; the result is unknown")
        SLEEP(0.01)
    value, error = done[0]
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # set whenever there is no error
