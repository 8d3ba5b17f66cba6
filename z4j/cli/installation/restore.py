# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j restore` and `z4j rollback`."""

from __future__ import annotations

import argparse
import getpass
import os
from datetime import UTC, datetime
from pathlib import Path

from z4j import clock
from z4j.appliance.data_folder import data_lock, exclusive_use, prepare_data
from z4j.cli.common.output import say
from z4j.exceptions import BadInput, StoreError
from z4j.settings import Settings
from z4j.store.access.audit import AuditLog
from z4j.store.backups.prepared_restore import PreparedRestore, prepare
from z4j.store.backups.restore_losses import Silenced
from z4j.store.sqlite import migrate

SHOWN = 8


def restore(words: argparse.Namespace, settings: Settings) -> int:
    """Replaces the database by a backup, after showing what would be lost."""
    return _replace(Path(words.source), settings, "restore", is_confirmed=words.yes)


def rollback(words: argparse.Namespace, settings: Settings) -> int:
    """Restores the copy that the last migration made."""
    copies = migrate.snapshots(settings.database) if settings.data.is_dir() else []
    if not copies:
        raise StoreError(
            f"No copy of a migration exists in {settings.data}. No changes were made.",
            "Such copies are named z4j.db.before-<schema>-<time>. `z4j restore FILE` restores a backup.",
        )
    return _replace(copies[-1], settings, "rollback", is_confirmed=words.yes)


def _replace(source: Path, settings: Settings, kind: str, *, is_confirmed: bool) -> int:
    prepare_data(settings.data)
    with data_lock(settings.data), exclusive_use(settings.data):
        prepared = prepare(source, settings.database, migrates=kind == "restore")
        try:
            _show(prepared, settings)
            _ask(is_confirmed=is_confirmed)
            log = AuditLog(settings.data)
            kept, silenced = prepared.apply(log, clock.now(), f"{getpass.getuser()} (command line)", kind)
            log.memory.close()
        finally:
            prepared.discard()
    say(f"{source} was restored.")
    if kept is not None:
        say(f"The replaced database is {kept}. To undo: z4j restore {kept}")
    _show_silenced(silenced)
    if prepared.schema < migrate.newest():
        say(
            f"The database has schema {prepared.schema} again. Start the release that made it: "
            f"this release would upgrade it to schema {migrate.newest()} when it starts."
        )
    return 0


def _show(prepared: PreparedRestore, settings: Settings) -> None:
    """Prints what the present database contains and the backup does not."""
    when = _time(prepared.made_at) if prepared.made_at else "an unknown time"
    say(f"{prepared.source} contains the data up to {when} (schema {prepared.schema}).")
    fork, lost = prepared.fork, prepared.lost
    if not settings.database.exists():
        say(f"No database exists in {settings.data}, so none is replaced. Alert channels and forwarding targets will be disabled.")
        return
    if prepared.unreadable:
        say(f"The current database could not be compared completely: {prepared.unreadable}.")
    say("Data in the current database that is not in the backup:")
    tasks = "unknown" if lost.tasks is None else f"{lost.tasks:,}, and every change since then of older tasks"
    say(f"  tasks             {tasks}")
    say(f"  audit log         {fork.rows:,} rows after row {fork.seq:,}; the restored log will record them as abandoned")
    for name, names in lost.created.items():
        say(f"  {name:<17} {_names(names)}")
    if again := [name for names in lost.active_again.values() for name in names]:
        say(f"Disabled, revoked or deleted since, and active again after the restore: {_names(again)}")
    say("All users are signed out. Open commands end as unknown, running plans are paused. Agents keep events that were not stored yet.")


def _show_silenced(silenced: Silenced) -> None:
    """Prints what the restored server does not send."""
    if silenced.messages:
        say(f"Undelivered messages of alerts that were delivered or withdrawn since, and are not sent again: {silenced.messages:,}.")
    for what, names, where in (
        ("Alert channels", silenced.channels, "Alerts, Channels"), ("Forwarding targets", silenced.targets, "Settings, Forwarding"),
    ):  # fmt: skip
        if names:
            say(f"{what} that are disabled, because the server that made the backup may still run: {_names(list(names))}")
            say(f"  Enable them under {where} when it no longer runs.")


def _ask(*, is_confirmed: bool) -> None:
    """Raises BadInput unless the operator confirms."""
    if is_confirmed:
        return
    if not os.isatty(0):
        raise BadInput("A restore requires confirmation. No changes were made.", "Add --yes.")
    if input("Replace the database? Type yes: ").strip().lower() != "yes":
        raise BadInput("Not confirmed. No changes were made.")


def _names(names: list[str]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)}: {', '.join(names[:SHOWN])}{more}"


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
