# SPDX-License-Identifier: AGPL-3.0-or-later
"""A restore, from the copy of the backup to the replaced database: prepare, show what would be lost, then apply or discard."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from z4j.exceptions import StoreError
from z4j.rules.audit.entries import AuditRow
from z4j.store.access.audit import AuditLog
from z4j.store.access.audit_checkpoints import last_row
from z4j.store.access.audit_restores import Fork, find_fork, fork_from_memory
from z4j.store.backups import restore, restore_losses
from z4j.store.backups.restore_losses import Changes, Decided, Silenced
from z4j.store.sqlite import migrate, verified_copy
from z4j.text import JsonObject

OLDEST_ROLLBACK: Final = 10
"""The first schema with numbered checkpoints: an audit row of this release fits into it."""
MISSING: Final = "missing"
KEYS: Final = ("audit.key", "audit.ed25519")


@dataclass(frozen=True, slots=True)
class PreparedRestore:
    """`made_at` is the time of the last action in the backup (microseconds UTC), 0 if it has none. `unreadable` says why the present
    database could not be compared; "" if it was."""

    source: Path
    database: Path
    copy: Path
    schema: int
    made_at: int
    fork: Fork
    lost: Changes
    decided: Decided | None
    unreadable: str

    @property
    def is_elsewhere(self) -> bool:
        """Whether there is no database to replace: the server that made the backup may still run in another folder."""
        return self.unreadable == MISSING

    def apply(self, log: AuditLog, at: int, actor: str, kind: str) -> tuple[Path | None, Silenced]:
        """Replaces the database. Returns the file that the replaced one is kept in, None if there was none, and what is no longer sent.
        Raises StoreError; then the database is as it was."""
        head = self.fork.head
        detail: JsonObject = {
            "kind": kind, "backup_at": self.made_at, "last_common_row": self.fork.seq, "abandoned_rows": self.fork.rows,
            "abandoned_head": f"{head.seq}:{head.mark.hex()}" if head else "", "replaced": self.unreadable or "readable",
        }  # fmt: skip
        try:
            with restore.opened(self.copy) as db:
                restore_losses.settle(db, self.decided, at)
                silenced = restore_losses.silence(db, self.decided, at, is_elsewhere=self.is_elsewhere)
                detail |= {
                    "withdrawn_messages": silenced.messages, "disabled_channels": list(silenced.channels),
                    "disabled_targets": list(silenced.targets),
                }  # fmt: skip
                target = f"file:{self.source.name}"
                appended = log.append_restore(db, abandoned=self.fork.marks, at=at, actor=actor, target=target, detail=detail)
        except sqlite3.Error as error:
            raise StoreError(f"The copy of {self.source} could not be prepared: {error}. No changes were made.") from error
        kept = restore.replace(self.copy, self.database, at)
        log.memory.create()
        log.keep_head(appended)  # a process that is killed before this is no loss: the new log names the remembered rows
        return kept, silenced

    def discard(self) -> None:
        """Removes the copy. The database is as it was."""
        verified_copy.remove_database(self.copy)


def prepare(source: Path, database: Path, *, migrates: bool) -> PreparedRestore:
    """Copies and checks the backup, and compares it with the present database. Raises StoreError; then there is no copy."""
    schema = migrate.version(source)
    if not migrates and 0 < schema < OLDEST_ROLLBACK:
        raise StoreError(
            f"{source} has schema {schema}, which is too old for a rollback. No changes were made.", "Use `z4j restore`, which upgrades it."
        )
    copy = restore.prepare(source, database, migrates=migrates)
    try:
        return _compare(source, database, copy)
    except BaseException:
        verified_copy.remove_database(copy)
        raise


def _compare(source: Path, database: Path, copy: Path) -> PreparedRestore:
    with restore.opened(copy) as restored, restore.present(database) as replaced:
        last = last_row(restored)
        _refuse_foreign_keys(source, database.parent, last)
        fork, lost, decided, unreadable = None, Changes(), None, MISSING if not database.exists() else "unreadable"
        if replaced is not None:
            try:
                fork, unreadable = find_fork(replaced, restored), ""
                lost, decided = restore_losses.find_changes(replaced, restored), restore_losses.read_decided(replaced)
            except sqlite3.DatabaseError as error:  # damage, or the schema of another release
                unreadable = str(error)
        if fork is None:
            fork = fork_from_memory(AuditLog(database.parent).memory.own_heads(), restored)
    return PreparedRestore(source, database, copy, migrate.version(copy), last.at if last else 0, fork, lost, decided, unreadable)


def _refuse_foreign_keys(source: Path, folder: Path, last: AuditRow | None) -> None:
    """A log that cannot be verified would be taken for a broken one."""
    if last is None:
        return
    missing = [name for name in KEYS if not (folder / name).exists()]
    if not missing and AuditLog(folder).key_id == last.key_id:
        return
    what = (
        f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing in {folder}"
        if missing
        else f"audit.key in {folder} is another key"
    )
    raise StoreError(
        f"The audit log of {source} cannot be verified here: {what}. No changes were made.",
        "Copy the keys of the installation that made the backup into the data folder, and try again.",
    )
