# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j export-settings` and `z4j import-settings`."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import secrets
import sys
from pathlib import Path

from z4j import files
from z4j.agents.connections import Hub
from z4j.agents.outbox import Outbox
from z4j.cli.common.offline import Offline, offline
from z4j.cli.common.output import print_table, say
from z4j.duty_loop import Duties
from z4j.exceptions import BadInput, StoreError
from z4j.live import Live
from z4j.operations.commands import Dispatch
from z4j.operations.schedule_request import ScheduleRequest
from z4j.operations.scheduler import Scheduler
from z4j.operations.schedules import ScheduleService
from z4j.operations.settings_file import IMPORTED, SettingsFile, export_settings, import_settings, read_settings
from z4j.settings import Settings
from z4j.web.auth.authentication import Identity


def export(words: argparse.Namespace, settings: Settings) -> int:
    """Writes the settings to a file, or to standard output."""
    return asyncio.run(_export(words.file, settings))


async def _export(name: str, settings: Settings) -> int:
    async with offline(settings, creates=False) as parts:
        content = await export_settings(parts.store)
        await parts.record("export_settings", "settings")
    if name == "-":
        sys.stdout.buffer.write(content)
        return 0
    target = Path(name)
    try:
        files.create_whole(target, content)
    except FileExistsError as error:
        raise StoreError(f"{target} already exists. Nothing was written.", "Choose another file name.") from error
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}.") from error
    say(f"The settings were written to {target}. They contain no token, no key and no password.")
    return 0


def import_(words: argparse.Namespace, settings: Settings) -> int:
    """Adds the settings of a file that do not exist yet."""
    try:
        content = sys.stdin.buffer.read() if words.file == "-" else Path(words.file).read_bytes()
    except OSError as error:
        raise BadInput(f"{words.file} cannot be read: {error.strerror}. No changes were made.") from error
    return asyncio.run(_import(read_settings(content), settings))


async def _import(found: SettingsFile, settings: Settings) -> int:
    async with offline(settings) as parts:
        unusable = await parts.auth.hash_password(secrets.token_urlsafe(32))
        service = _schedules(parts)
        me = Identity(f"{getpass.getuser()} (command line)", "admin", "none")

        async def create(request: ScheduleRequest) -> object:
            return await service.create(me, request, IMPORTED)

        result = await import_settings(parts.store, found, create, unusable)
        roles = {user.name: user.role for user in found.users}
        urls = {link.name: link.url for link in found.links}
        for each in result:  # a row for each, as where they are added one by one; schedules have theirs
            if each.result == "added" and each.kind == "user":
                await parts.record("add_user", f"user:{each.name}", role=roles[each.name], how=IMPORTED)
            elif each.result == "added" and each.kind == "app":
                await parts.record("add_app", f"app:{each.name}", how=IMPORTED)
            elif each.result == "added" and each.kind == "target":
                await parts.record("change_forwarding", f"target:{each.name}", how=IMPORTED)
            elif each.result == "added" and each.kind == "link":
                await parts.record("change_link", f"link:{each.name}", url=urls[each.name], change="added", how=IMPORTED)
        counts = {word: sum(each.result == word for each in result) for word in ("added", "exists", "refused")}
        await parts.record("import_settings", "settings", added=counts["added"], refused=counts["refused"])
    print_table(("kind", "name", "result", "note"), [(each.kind, each.name, each.result, each.note) for each in result])
    return 1 if counts["refused"] else 0


def _schedules(parts: Offline) -> ScheduleService:
    """The service of the pages, without agents: they receive nothing from here."""
    duties, live = Duties(), Live()
    outbox = Outbox(parts.store, Hub(), duties)
    return ScheduleService(Dispatch(outbox, live, parts.audit), Scheduler(outbox, live.changed, duties))
