# SPDX-License-Identifier: AGPL-3.0-or-later
"""The product run for real: a server process, a Valkey, Celery workers, each started and ended by the test that needs it."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
CELERY_PYTHON = ROOT / ".venvs/celery/bin/python"
SERVER_PYTHON = ROOT / ".venvs/server/bin/python"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(probe: Callable[[], T], *, seconds: float = 20, what: str) -> T:
    """Asks until the answer is true; raises AssertionError naming `what` after `seconds`."""
    ends = time.monotonic() + seconds
    while True:
        if answer := probe():
            return answer
        assert time.monotonic() < ends, f"not within {seconds} s: {what}"
        time.sleep(0.05)
