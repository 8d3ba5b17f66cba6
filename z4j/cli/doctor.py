# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j doctor`: what could be wrong with this installation, each finding with its remedy."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from typing import Literal, NamedTuple

from z4j import __version__, assets
from z4j.cli.offline import offline
from z4j.exceptions import Z4jError
from z4j.settings import Settings
from z4j.store.db import SQLITE_NAME, SQLITE_VERSION

OLDEST_SQLITE = (3, 37, 0)
"""STRICT tables came with 3.37."""
LITTLE_SPACE = 1_000_000_000
EARLIEST_NOW = 1_750_000_000


class Finding(NamedTuple):
    state: Literal["ok", "warn", "bad", "unknown"]
    what: str
    remedy: str = ""


def doctor(words: argparse.Namespace, settings: Settings) -> int:
    """Exit code 0 when nothing is bad."""
    findings = [*_machine(settings), *_data(settings), *asyncio.run(_audit(settings))]
    print(f"z4j {__version__}, SQLite {SQLITE_NAME}, data in {settings.data}")
    for finding in findings:
        print(f"{finding.state:<8}{finding.what}" + (f"\n        {finding.remedy}" if finding.remedy else ""))
    return 1 if any(finding.state == "bad" for finding in findings) else 0


def _machine(settings: Settings) -> Iterator[Finding]:
    if SQLITE_VERSION < OLDEST_SQLITE:
        yield Finding("bad", f"SQLite {SQLITE_NAME} is too old.", "Use the executable, or a Python with SQLite 3.37 or newer.")
    else:
        yield Finding("ok", "SQLite is new enough.")
    if time.time() < EARLIEST_NOW:
        yield Finding("bad", "The clock of this machine is years behind.", "Set it; times of tasks are compared with it.")
    try:
        assets.root()
        yield Finding("ok", "Templates and static files are there.")
    except FileNotFoundError as error:
        yield Finding("bad", str(error), "Install z4j again.")
    with socket.socket() as probe:
        probe.settimeout(1)
        is_open = probe.connect_ex((settings.host, settings.port)) == 0
    yield Finding("ok", f"Port {settings.port} {'answers: a server runs' if is_open else 'is free'}.")


def _data(settings: Settings) -> Iterator[Finding]:
    folder = settings.data
    if not folder.is_dir():
        yield Finding("unknown", f"There is no data folder {folder} yet.", "`z4j serve` makes it.")
        return
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        yield Finding("bad", f"Others can read {folder} (mode {mode:o}).", f"chmod 700 {folder}")
    else:
        yield Finding("ok", "The data folder is readable by its owner only.")
    free = shutil.disk_usage(folder).free
    if free < LITTLE_SPACE:
        yield Finding("warn", f"Only {free / 1e6:,.0f} MB are free on its disk.", "Make room, or lower --gigabytes-kept.")
    else:
        yield Finding("ok", f"{free / 1e9:,.1f} GB are free on its disk.")


async def _audit(settings: Settings) -> list[Finding]:
    if not settings.database.exists():
        return []
    try:
        async with offline(settings, creates=False) as parts:
            verdict = await parts.audit.verify(parts.store)
    except Z4jError as error:
        return [Finding("bad", error.message, error.hint)]
    if verdict.is_intact:
        return [Finding("ok", f"The audit log is whole ({verdict.rows} rows).")]
    remedy = "Compare with a backup; find out who had access to the data folder."
    return [Finding("bad", f"The audit log is broken at row {verdict.broken_at}: {verdict.why}.", remedy)]
