# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j backup` and `z4j migrate`."""

from __future__ import annotations

import argparse
import asyncio
import getpass
from pathlib import Path

from z4j.appliance.data_folder import data_lock, prepare_data
from z4j.cli.common.offline import offline
from z4j.cli.common.output import say
from z4j.operations.backups import write_backup
from z4j.settings import Settings
from z4j.store.sqlite import migrate as migrations
from z4j.store.sqlite.verified_copy import Contents

KEYS = ("audit.key", "audit.ed25519", "totp.key", "cookie.key", "values.key", "tls/server.pem", "tls/next.pem")


def backup(words: argparse.Namespace, settings: Settings) -> int:
    """Writes a consistent copy, whether the server is running or not."""
    target = Path(words.target)

    async def run() -> Contents:
        async with offline(settings, creates=False) as parts:
            return await write_backup(parts.store, parts.audit, target, f"{getpass.getuser()} (command line)", "admin")

    contents = asyncio.run(run())
    keys = ", ".join(str(settings.data / name) for name in KEYS if (settings.data / name).exists())
    say(f"A complete copy of the database ({sum(contents.rows.values()):,} rows) was written to {target} and verified.")
    say(f"Back up the keys too, in another location: {keys}")
    say("audit.head and audit.witnesses describe the running log and are not part of a backup.")
    return 0


def migrate(words: argparse.Namespace, settings: Settings) -> int:
    """Upgrades the database to the schema of this version. Refused while a server is running on the folder."""
    prepare_data(settings.data)
    with data_lock(settings.data):
        steps = migrations.migrate(settings.database)
    say(f"{settings.database}: {steps} migration{'' if steps == 1 else 's'} applied." if steps else f"{settings.database} is up to date.")
    return 0
