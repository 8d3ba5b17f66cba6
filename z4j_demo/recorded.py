# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs all recorded agents, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

from z4j_demo.brief import read_brief
from z4j_demo.faults import faults_of
from z4j_demo.recorded_scheduler import schedulers_of
from z4j_demo.recorded_worker import workers_of


def main(folder: Path) -> None:
    """Runs until SIGTERM."""
    asyncio.run(_run(folder))


async def _run(folder: Path) -> None:
    brief = read_brief(folder)
    workers = workers_of(brief)
    agents = [*workers, *schedulers_of(brief), *faults_of(brief, workers)]
    running = asyncio.gather(*(agent.run() for agent in agents), *(agent.live() for agent in agents))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running
