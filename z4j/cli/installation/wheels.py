# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j wheels`: writes the packages that this appliance serves to a folder, or adds wheels of other platforms."""

from __future__ import annotations

import argparse
import asyncio
import shutil
from pathlib import Path

from z4j.appliance import wheels
from z4j.appliance.data_folder import prepare_data
from z4j.appliance.wheels import Wheel
from z4j.cli.common.offline import offline
from z4j.cli.common.output import print_table, say
from z4j.exceptions import BadInput, StoreError
from z4j.settings import Settings


async def _record(settings: Settings, wheel: Wheel) -> None:
    async with offline(settings) as parts:
        await parts.record("add_wheel", f"wheel:{wheel.name}", sha256=wheel.sha256)


def show(words: argparse.Namespace, settings: Settings) -> int:
    """Lists, writes or adds wheels."""
    if words.add:
        prepare_data(settings.data)
        for file in words.add:
            wheel = wheels.add_wheel(settings.data, Path(file))
            asyncio.run(_record(settings, wheel))
            say(f"{wheel.name} is now served.")
        return 0
    found = wheels.list_wheels(settings.data)
    if not found:
        raise BadInput("This installation has no bundled wheels.", "The executable has them; in a checkout, `make build` collects them.")
    if words.folder is None:
        print_table(
            ("package", "version", "file", "KB"), [(each.project, each.version, each.name, f"{each.size // 1024:,}") for each in found]
        )
        return 0
    target = Path(words.folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for wheel in found:
            shutil.copyfile(wheel.path, target / wheel.name)
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}.", "Choose another folder.") from error
    say(f"{len(found)} wheels were written to {target}.\nInstall from it with: pip install --no-index --find-links {target} z4j-celery")
    return 0
