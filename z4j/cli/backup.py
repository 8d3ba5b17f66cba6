# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j backup` and `z4j migrate`."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from z4j import app
from z4j.cli.offline import offline
from z4j.settings import Settings
from z4j.store import migrate as migrations


def backup(words: argparse.Namespace, settings: Settings) -> int:
    """A consistent copy, while the server runs or not."""
    target = Path(words.target)

    async def run() -> int:
        async with offline(settings, creates=False) as parts:
            await parts.store.backup(target)
            await parts.record("backup", f"file:{target.name}")
        keys = ", ".join(str(settings.data / name) for name in ("audit.key", "audit.ed25519", "audit.head", "totp.key", "cookie.key"))
        print(f"{target} holds a complete copy of the database.\nKeep the keys with it, apart from it: {keys}")
        return 0

    return asyncio.run(run())


def migrate(words: argparse.Namespace, settings: Settings) -> int:
    """The schema of this version. Refused while a server runs on the folder."""
    app.prepare_data(settings.data)
    with app.data_lock(settings.data):
        steps = migrations.migrate(settings.database)
    print(f"{settings.database}: {steps} step{'' if steps == 1 else 's'} taken." if steps else f"{settings.database} is up to date.")
    return 0
