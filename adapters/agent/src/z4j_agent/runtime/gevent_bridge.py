# SPDX-License-Identifier: Apache-2.0
"""Asking an engine where gevent has replaced Python's sockets.

The agent has a real thread of its own, with a hub of its own. A connection out of an engine's pool belongs to the hub it was opened
in, and a greenlet can be ended only from its own: both are used by a greenlet of the host, while the agent waits.
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
    """gevent's hub of this thread, or None where sockets are Python's own. Called by the host's threads."""
    monkey = sys.modules.get("gevent.monkey")
    return sys.modules["gevent"].get_hub() if monkey is not None and monkey.is_module_patched("socket") else None


def ask(hub: Any, act: Callable[[], T]) -> T:
    """What `act` returns or raises, done by a greenlet of `hub`; at once where there is no hub. Raises Refused when it is too busy."""
    if hub is None or hub.loop is None or hub is current_hub():
        return act()
    done: list[tuple[T | None, BaseException | None]] = []

    def execute() -> None:
        try:
            done.append((act(), None))
        except BaseException as error:  # whatever it is, it is raised again in the thread that asked
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
