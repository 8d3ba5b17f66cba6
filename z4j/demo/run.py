# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs a demo: seeds its folder, starts its applications, serves it, and begins again when a visitor resets it."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
from types import FrameType
from typing import NoReturn

from z4j import app
from z4j.appliance.data_folder import data_lock, prepare_data
from z4j.appliance.demo import Demo
from z4j.demo import opening_actions
from z4j.demo.folder import check_folder, create_database, empty_folder
from z4j.demo.processes import Processes, check_installed
from z4j.demo.seed import Seeded, Story, seed_demo
from z4j.listener import ports
from z4j.settings import Settings

DAYS_KEPT = 45
"""Longer than the demo's month, so that retention deletes none of it."""


def run_demo(settings: Settings, story: Story) -> int:
    """Runs until Ctrl-C or SIGTERM. Returns the exit code. Raises Z4jError before anything is started."""
    check_installed()
    check_folder(settings.data)
    prepare_data(settings.data)
    signal.signal(signal.SIGTERM, _interrupt)  # uvicorn raises the signal again when it has stopped: the processes must end first
    with ports.bind(settings.host, settings.port) as listener:
        settings = demo_settings(settings, listener.getsockname()[1])
        link, code, is_first = "", 0, True
        while is_first or link:
            demo = Demo(listener, opening_actions.open_demo)
            code = _run_round(settings, story, demo, link, is_first=is_first)
            link, is_first = demo.next_link, False
    return code


def demo_settings(settings: Settings, port: int) -> Settings:
    """Returns the settings of a demo: its month is kept, and no backups are made, because a reset generates the data again."""
    return dataclasses.replace(settings, port=port, days_kept=DAYS_KEPT, backups_daily=0, backups_weekly=0)


def _run_round(settings: Settings, story: Story, demo: Demo, link: str, *, is_first: bool) -> int:
    """One round, from seeding to the end of its processes."""
    print(f"Demo in {settings.data}: writing a month of tasks …", flush=True)
    host = f"{settings.host}:{settings.port}"
    with data_lock(settings.data):  # another demo may run on it
        empty_folder(settings.data)
        create_database(settings.data)
        seeded = asyncio.run(seed_demo(settings.data, host, story, link))
    processes = Processes(settings.data)
    try:
        processes.start()
        _announce(seeded, host, is_first=is_first)
        return app.serve(settings, demo)
    finally:
        processes.stop()


def _announce(seeded: Seeded, host: str, *, is_first: bool) -> None:
    print(f"{seeded.tasks:,} tasks in {seeded.seconds:.1f} s. All data in this demo is generated.", flush=True)
    if is_first:
        print(
            f"\nOpen this link, which signs you in once:\n\n    http://{host}/login?code={seeded.link}\n\nCtrl-C ends the demo.\n",
            flush=True,
        )


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
