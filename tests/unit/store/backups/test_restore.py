# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a killed restore leaves is removed by the next server, and nothing else is. `z4j restore` itself: tests/unit/cli/installation."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.database import create_database
from z4j.exceptions import StoreBusy, StoreError
from z4j.store.backups import restore


def database(path: Path, name: str) -> Path:
    create_database(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO setting VALUES ('name', ?)", (name,))
        db.commit()
    return path


def name_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        return str(db.execute("SELECT value FROM setting WHERE key = 'name'").fetchone()[0])


def test_the_copy_and_the_second_name_of_a_killed_restore_are_removed(tmp_path: Path) -> None:
    path = database(tmp_path / "z4j.db", "present")
    kept = tmp_path / "z4j.db.before-restore-1"
    database(kept, "replaced")
    os.link(path, tmp_path / "z4j.db.before-restore-2")
    for suffix in ("", "-journal", "-wal"):
        (tmp_path / f"z4j.db.restoring{suffix}").touch()
    restore.remove_leftovers(path)
    assert sorted(each.name for each in tmp_path.glob("z4j.db*")) == ["z4j.db", kept.name]
    assert (name_of(path), name_of(kept)) == ("present", "replaced")


@pytest.mark.parametrize("has_links", [True, False])
def test_the_replaced_database_is_kept_also_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links on this file system")

    path, other = database(tmp_path / "z4j.db", "present"), database(tmp_path / "other.db", "other")
    copy = restore.prepare(other, path, migrates=True)
    with restore.opened(copy):
        pass
    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    kept = restore.replace(copy, path, 5)
    assert kept == tmp_path / "z4j.db.before-restore-5"
    assert (name_of(path), name_of(kept)) == ("other", "present")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert not copy.exists()


def test_a_database_in_use_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("z4j.store.sqlite.verified_copy.BUSY_MS", 50)
    path, other = database(tmp_path / "z4j.db", "present"), database(tmp_path / "other.db", "other")
    copy = restore.prepare(other, path, migrates=True)
    with closing(sqlite3.connect(path)) as user:
        user.execute("BEGIN")
        user.execute("SELECT * FROM setting").fetchall()
        with pytest.raises(StoreBusy, match="No changes were made"):
            restore.replace(copy, path, 5)
    assert name_of(path) == "present"
    assert not list(tmp_path.glob("*before-restore*"))


def test_a_failed_transaction_leaves_the_copy_as_it_was(tmp_path: Path) -> None:
    path, other = database(tmp_path / "z4j.db", "present"), database(tmp_path / "other.db", "other")
    copy = restore.prepare(other, path, migrates=True)

    def fail() -> None:
        with restore.opened(copy) as db:
            db.execute("DELETE FROM setting")
            raise StoreError("x")

    with pytest.raises(StoreError, match="x"):
        fail()
    assert name_of(copy) == "other"
