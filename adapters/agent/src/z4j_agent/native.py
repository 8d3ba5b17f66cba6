# SPDX-License-Identifier: Apache-2.0
"""A real operating-system thread, also where gevent or eventlet have replaced Python's.

A greenlet would stall behind CPU-bound tasks (3 s gaps were measured) and miss its heartbeats.
"""

from __future__ import annotations

import sys
from collections.abc import Callable


def start_native_thread(target: Callable[[], None]) -> None:
    """Starts `target` in a daemon thread of the operating system. Raises RuntimeError when none can be started."""
    _start()(target, ())


def _start() -> Callable[[Callable[[], None], tuple[()]], object]:
    if "gevent.monkey" in sys.modules:
        start: Callable[[Callable[[], None], tuple[()]], object] = sys.modules["gevent.monkey"].get_original("_thread", "start_new_thread")
        return start
    if "eventlet.patcher" in sys.modules:
        original = sys.modules["eventlet.patcher"].original("threading")
        return lambda target, _: original.Thread(target=target, name="z4j-agent", daemon=True).start()
    import threading

    return lambda target, _: threading.Thread(target=target, name="z4j-agent", daemon=True).start()
