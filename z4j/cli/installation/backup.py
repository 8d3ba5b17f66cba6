# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j backup` and `z4j migrate`."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from z4j.appliance.data_folder import data_lock, prepare_data
from z4j.cli.common.offline import Offline, offline
from z4j.cli.common.output import say
from z4j.exceptions import StoreError
from z4j.settings import Settings
from z4j.store.access import audit_checkpoints
from z4j.store.sqlite import migrate as migrations

ATTEMPTS = 5
KEYS = ("audit.key", "audit.ed25519", "totp.key", "cookie.key", "values.key")


def backup(words: argparse.Namespace, settings: Settings) -> int:
    """Writes a consistent copy, whether the server is running or not."""
    target = Path(words.target)
    if target.exists():
        raise StoreError(f"{target} already exists. Nothing was written.", "Choose another file name.")

    async def run() -> None:
        async with offline(settings, creates=False) as parts:
            try:
                await _copy(parts, target)
            except StoreError as error:
                await parts.record("backup", f"file:{target.name}", outcome="failed", why=error.message)
                raise

    asyncio.run(run())
    keys = ", ".join(str(settings.data / name) for name in KEYS)
    say(f"A complete copy of the database was written to {target}.\nBack up the keys too, in another location: {keys}")
    say("audit.head and audit.witnesses describe the running log and are not part of a backup.")
    return 0


async def _copy(parts: Offline, target: Path) -> None:
    """The row comes first, with its checkpoint, so that the copy ends with it and verifies as a copy from then."""
    for attempt in range(ATTEMPTS):
        await parts.record("backup", f"file:{target.name}")
        await parts.store.backup(target)
        if await asyncio.to_thread(audit_checkpoints.ends_with_backup, target):
            return
        if attempt < ATTEMPTS - 1:  # another row came between the two, which takes milliseconds
            await asyncio.to_thread(target.unlink)


def migrate(words: argparse.Namespace, settings: Settings) -> int:
    """Upgrades the database to the schema of this version. Refused while a server is running on the folder."""
    prepare_data(settings.data)
    with data_lock(settings.data):
        steps = migrations.migrate(settings.database)
    say(f"{settings.database}: {steps} migration{'' if steps == 1 else 's'} applied." if steps else f"{settings.database} is up to date.")
    return 0
