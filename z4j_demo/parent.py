# SPDX-License-Identifier: AGPL-3.0-or-later
"""No part of the demo outlives it, however it ends: each watches the pipe that its parent holds open."""

from __future__ import annotations

import os
import signal
import sys
import threading

GRACE_S = 4.0


def end_with_parent() -> None:
    """Starts a thread that ends this process when standard input is closed, which the kernel does at the end of the parent."""
    threading.Thread(target=_watch, name="parent", daemon=True).start()


def _watch() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(GRACE_S)
    os._exit(1)
