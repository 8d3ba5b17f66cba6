# SPDX-License-Identifier: AGPL-3.0-or-later
"""Settings of the real agents of the demo, as an application's environment has them."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from z4j_demo.brief import Brief
from z4j_demo.story import GOOD, PRODUCTION


def set_environment(brief: Brief, app: str) -> None:
    """Sets what `z4j_agent` reads. Call it before an adapter is installed."""
    os.environ.update(
        Z4J_URL=brief.connections[app], Z4J_APP=app, Z4J_ENVIRONMENT=PRODUCTION, Z4J_RELEASE=GOOD, Z4J_LOG_LINES="INFO"
    )  # fmt: skip


def exit_on_sigterm() -> None:
    """SIGTERM raises SystemExit in the main thread."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(0)
