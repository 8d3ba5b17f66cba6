# SPDX-License-Identifier: AGPL-3.0-or-later
"""Makes a verified backup every night, and deletes those that are no longer kept."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from z4j import logs
from z4j.background.server_events import Changed
from z4j.exceptions import StoreError
from z4j.operations.backups import write_backup
from z4j.rules import backups as rules
from z4j.settings import Settings
from z4j.store.access.audit import AuditLog
from z4j.store.backups.backup_results import (
    BackupResult,
    BackupResults,
    ResultsDamaged,
    folder_of,
    name_of,
    read_results,
    rebuild_results,
    write_results,
)
from z4j.store.sqlite.db import Store

EVERY_S: Final = 30


class NightlyBackups:
    """`changed` is called with the topics of `live` that changed."""

    def __init__(self, store: Store, changed: Changed, log: AuditLog, settings: Settings) -> None:
        self.store, self.changed, self.log, self.settings = store, changed, log, settings

    async def round(self, at: int) -> BackupResult | None:
        """Makes a backup if one is due. Returns its result, also if it failed: failures are shown and retried."""
        settings = self.settings
        if not settings.has_backups:
            return None
        try:
            known = await asyncio.to_thread(read_results, settings.data)
        except ResultsDamaged as error:
            aside = await asyncio.to_thread(rebuild_results, settings.data, at)
            logs.backup_results_rebuilt(error.message, str(aside))
            known = await asyncio.to_thread(read_results, settings.data)
        if known.since is None:
            await asyncio.to_thread(self._enable, at)
            return None
        good, failed = known.until(at).last_good, known.until(at).last_failed
        if not rules.is_due(at, settings.backup_time_us, known.since, good.at if good else None, failed.at if failed else None):
            return None
        result = await self._make(at)
        await asyncio.to_thread(self._keep, known, result)
        self.changed(("strip",))
        return result

    async def _make(self, at: int) -> BackupResult:
        began = time.monotonic()
        target = folder_of(self.settings.data) / name_of(at)
        try:
            await asyncio.to_thread(_clear, target.parent)
            contents = await write_backup(self.store, self.log, target, "system", "")
        except StoreError as error:
            logs.backup_failed(error.message)
            return BackupResult(at, seconds=round(time.monotonic() - began, 1), problem=error.explanation)
        head = contents.audit[0] if contents.audit else 0
        seconds = round(time.monotonic() - began, 1)
        return BackupResult(at, target.name, target.stat().st_size, seconds, sum(contents.rows.values()), head)

    def _enable(self, at: int) -> None:
        """Starts with the next time of day: a server that was just installed has nothing to back up."""
        folder_of(self.settings.data).mkdir(mode=0o700, exist_ok=True)
        write_results(self.settings.data, BackupResults(since=at))

    def _keep(self, known: BackupResults, result: BackupResult) -> None:
        """Stores the result, then deletes what is no longer kept. Only good backups count; a failed one never displaces another."""
        folder = folder_of(self.settings.data)
        results = sorted((result, *known.results), key=lambda each: -each.at)
        good = {each.at: each for each in results if not each.problem and not each.is_deleted}
        gone = rules.expendable(good, self.settings.backups_daily, self.settings.backups_weekly) if not result.problem else set()
        marked = tuple(replace(each, is_deleted=True) if each.at in gone else each for each in results)
        write_results(self.settings.data, BackupResults(known.since, marked))
        for at in gone:
            (folder / good[at].file).unlink(missing_ok=True)


def _clear(folder: Path) -> None:
    """Removes what a killed backup left. No other code writes such files to this folder."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for pattern in (".z4j-*.scratch*", ".z4j-*.unverified*"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
