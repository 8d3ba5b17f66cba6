# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j restore` and `z4j rollback` on a real data folder."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.killed import kill_at_steps
from tests.support.site import hash_cheaply
from z4j import cli
from z4j.appliance.data_folder import data_lock, shared_use
from z4j.store.sqlite import migrate

BROKEN = 10
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    hash_cheaply(monkeypatch)

    def call(folder: Path, *words: str, stdin: str = "") -> tuple[int, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = cli.main([*words, "--data", str(folder)])
        out = capsys.readouterr()
        return code, out.out + out.err

    return call


def add_user(run: Run, folder: Path, name: str) -> None:
    code, said = run(folder, "user", "add", name, "--role", "viewer", "--password-stdin", stdin="a long enough passphrase\n")
    assert code == 0, said


def users(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute("SELECT name FROM user ORDER BY name")]


def rows(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as db:
        return list(db.execute("SELECT action, detail FROM audit ORDER BY seq"))


@pytest.fixture
def data(run: Run, tmp_path: Path) -> Path:
    """A folder with one user in its backup, and another one since."""
    folder = tmp_path / "data"
    assert run(folder, "token", "create", "--app", "shop")[0] == 0
    add_user(run, folder, "ada")
    assert run(folder, "backup", str(tmp_path / "backup.db"))[0] == 0
    add_user(run, folder, "bea")
    return folder


@pytest.fixture
def backup(tmp_path: Path, data: Path) -> Path:
    return tmp_path / "backup.db"


def test_a_restore_says_what_is_lost_and_asks_first(run: Run, data: Path, backup: Path) -> None:
    before = (data / "z4j.db").read_bytes()
    code, said = run(data, "restore", str(backup))
    assert (code, "Add --yes" in said) == (2, True)
    assert "users             1: bea" in said
    assert "audit log         1 rows after row 3" in said
    assert (data / "z4j.db").read_bytes() == before
    assert not list(data.glob("*restor*"))


def test_a_restored_log_is_intact_and_names_what_it_abandoned(run: Run, data: Path, backup: Path) -> None:
    [(last, mac)] = closing_rows(data / "z4j.db", "SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1")
    code, said = run(data, "restore", str(backup), "--yes")
    assert code == 0, said
    assert users(data / "z4j.db") == ["ada"]
    action, detail = rows(data / "z4j.db")[-1]
    facts = json.loads(detail)
    assert (action, facts["last_common_row"], facts["abandoned_rows"], facts["kind"]) == ("restore_backup", 3, 1, "restore")
    assert facts["abandoned_head"].startswith(f"{last}:")
    assert (last, mac) in closing_rows(data / "z4j.db", "SELECT seq, mark FROM audit_abandoned")
    code, said = run(data, "audit", "verify")
    assert (code, "Row 4 records a restored backup" in said) == (0, True), said
    assert "contains every recorded row" in run(data, "audit", "acknowledge", "--reason", "none")[1]
    assert closing_rows(data / "z4j.db", "SELECT count(*) FROM session") == [(0,)]


def closing_rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def test_a_restore_can_be_undone(run: Run, data: Path, backup: Path) -> None:
    for _ in range(2):
        assert run(data, "restore", str(backup), "--yes")[0] == 0
        add_user(run, data, "eve")
        kept = min(data.glob("z4j.db.before-restore-*"))
        assert users(kept) == ["ada", "bea"]
        assert run(data, "restore", str(kept), "--yes")[0] == 0
        assert users(data / "z4j.db") == ["ada", "bea"]
        code, said = run(data, "audit", "verify")
        assert code == 0, said


def test_a_file_that_is_copied_over_the_database_is_an_alarm_as_ever(run: Run, data: Path, backup: Path, tmp_path: Path) -> None:
    shutil.copy(backup, data / "z4j.db")
    assert run(data, "audit", "verify")[0] == BROKEN
    for path in ("audit.witnesses", "audit.head"):  # a restore afterwards does not hide it, whichever file remembers the row
        copy = Path(shutil.copytree(data, tmp_path / path))
        if path == "audit.head":
            lines = (copy / "audit.witnesses").read_text().splitlines(keepends=True)
            (copy / "audit.witnesses").write_text("".join(lines[:-1]))
        else:
            (copy / "audit.head").unlink()
        assert run(copy, "restore", str(backup), "--yes")[0] == 0
        code, said = run(copy, "audit", "verify")
        assert (code, f"{path} recorded" in said) == (BROKEN, True), said


def test_a_list_of_abandoned_rows_that_somebody_changes_is_an_alarm(run: Run, data: Path, backup: Path) -> None:
    assert run(data, "restore", str(backup), "--yes")[0] == 0
    with closing(sqlite3.connect(data / "z4j.db")) as db:
        db.execute("INSERT INTO audit_abandoned VALUES (9, x'00', 4)")
        db.commit()
    code, said = run(data, "audit", "verify")
    assert (code, "abandoned" in said) == (BROKEN, True), said


@pytest.mark.parametrize("damage", ["text", "text with a log", "page", "gone"])
def test_a_damaged_database_is_replaced_and_its_log_is_continued(run: Run, data: Path, backup: Path, damage: str) -> None:
    database = data / "z4j.db"
    if damage == "gone":
        database.unlink()
    elif damage == "text with a log":  # SQLite would apply the log of a crashed server to whatever has the name of the database
        data = with_log(data, data.with_name("crashed"))
        database = data / "z4j.db"
        database.write_text("not a database " * 1_000)
    elif damage == "text":
        database.write_text("not a database " * 1_000)
    else:
        content = bytearray(database.read_bytes())
        content[4096:] = b"\xff" * (len(content) - 4096)
        database.write_bytes(content)
    code, said = run(data, "restore", str(backup), "--yes")
    assert code == 0, said
    assert users(database) == ["ada"]
    code, said = run(data, "audit", "verify")
    assert code == 0, said
    kept = {path.name.rpartition("-")[2] for path in data.glob("z4j.db.before-restore-*")} - {"shm"}
    assert len(kept) == {"gone": 0, "text with a log": 2}.get(damage, 1)
    assert ("wal" in kept) == (damage == "text with a log")
    assert closing_rows(database, "SELECT count(*) FROM setting WHERE key = 'in_the_log'") == [(0,)]


def test_what_cannot_be_restored_is_refused_and_changes_nothing(run: Run, data: Path, backup: Path, tmp_path: Path) -> None:
    text, newer, empty = tmp_path / "letter.txt", tmp_path / "newer.db", tmp_path / "empty.db"
    text.write_text("dear database, " * 100)
    empty.touch()
    shutil.copy(backup, newer)
    closing_rows(newer, "PRAGMA user_version = 99")
    damaged = tmp_path / "damaged.db"
    content = bytearray(backup.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    damaged.write_bytes(content)
    for file, why in (
        (text, "not a z4j database"),
        (newer, "newer release"),
        (empty, "is not a z4j database"),
        (damaged, ""),
        (data / "z4j.db", "itself"),
    ):
        before = (data / "z4j.db").read_bytes()
        code, said = run(data, "restore", str(file), "--yes")
        assert (code, why in said, "No changes were made" in said) == (9, True, True), said
        assert (data / "z4j.db").read_bytes() == before
        assert not list(data.glob("*restor*"))
    assert run(data, "restore", str(tmp_path / "missing.db"), "--yes")[0] == 9


def test_it_is_refused_while_a_server_or_a_command_uses_the_folder(run: Run, data: Path, backup: Path) -> None:
    for use in (data_lock, shared_use):
        with use(data):
            code, said = run(data, "restore", str(backup), "--yes")
        assert (code, "No changes were made" in said) == (9, True), said
    assert users(data / "z4j.db") == ["ada", "bea"]


def test_a_copy_in_another_folder_notifies_nobody(run: Run, data: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data / "z4j.db")) as db:
        columns = "name, kind, shown, sealed, is_enabled, is_weekly, weekly_at, changed_by, changed_at"
        db.execute(f"INSERT INTO alert_channel ({columns}) VALUES ('pager', 'webhook', 'x', '', 1, 0, 1, 'ada', 1)")
        db.commit()
    assert run(data, "backup", str(tmp_path / "later.db"))[0] == 0
    other = tmp_path / "other"
    other.mkdir()
    for name in ("audit.key", "audit.ed25519"):
        shutil.copy(data / name, other / name)
    code, said = run(other, "restore", str(tmp_path / "later.db"), "--yes")
    assert code == 0, said
    assert "Alert channels that are disabled, because the server that made the backup may still run: 1: pager" in said
    assert "Enable them under Alerts, Channels" in said
    assert json.loads(rows(other / "z4j.db")[-1][1])["disabled_channels"] == ["pager"]
    code, said = run(data, "restore", str(tmp_path / "later.db"), "--yes")
    assert (code, "disabled" in said) == (0, False), "the same server goes on"


def test_a_folder_without_the_keys_is_refused(run: Run, data: Path, backup: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    code, said = run(other, "restore", str(backup), "--yes")
    assert (code, "audit.key and audit.ed25519 are missing" in said) == (9, True), said
    for name in ("audit.key", "audit.ed25519"):
        shutil.copy(data / name, other / name)
    assert run(other, "restore", str(backup), "--yes")[0] == 0
    code, said = run(other, "audit", "verify")
    assert code == 0, said
    assert run(tmp_path / "data", "audit", "verify")[0] == 0
    (other / "z4j.db").unlink()
    (other / "audit.key").write_bytes(b"k" * 32)
    code, said = run(other, "restore", str(backup), "--yes")
    assert (code, "is another key" in said) == (9, True), said


# -- rollback --------------------------------------------------------------------------------------------------------------


def test_a_rollback_brings_the_copy_of_the_migration_back(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known, old = migrate.migrations(), migrate.newest()
    assert "No copy of a migration" in run(data, "rollback", "--yes")[1]
    newer = [*known, (old + 1, "CREATE TABLE more (id INTEGER) STRICT;")]
    monkeypatch.setattr(migrate, "migrations", lambda: newer)
    assert run(data, "migrate")[0] == 0
    add_user(run, data, "carl")
    # With the new release the schema stays that of the old one, which is to be started again.
    code, said = run(data, "rollback", "--yes")
    assert (code, "users             1: carl" in said, f"has schema {old} again" in said) == (0, True, True), said
    assert migrate.version(data / "z4j.db") == old
    # With the old release, on a database of the new one.
    assert run(data, "migrate")[0] == 0
    add_user(run, data, "dora")
    monkeypatch.setattr(migrate, "migrations", lambda: known)
    assert run(data, "user", "list")[0] == 9
    code, said = run(data, "rollback", "--yes")
    assert code == 0, said
    assert users(data / "z4j.db") == ["ada", "bea"]
    code, said = run(data, "audit", "verify")
    assert code == 0, said
    assert [json.loads(detail)["kind"] for action, detail in rows(data / "z4j.db") if action == "restore_backup"][-1] == "rollback"


def with_log(data: Path, target: Path) -> Path:
    """A copy of the folder as a crashed server leaves it: a row is only in the write-ahead log."""
    with closing(sqlite3.connect(data / "z4j.db")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("INSERT INTO setting (key, value) VALUES ('in_the_log', '1')")
        db.commit()
        shutil.copytree(data, target)
    assert (target / "z4j.db-wal").stat().st_size > 0
    return target


# -- killed ----------------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(600)
@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.long)])
def test_a_killed_restore_leaves_the_old_database_or_the_new_one(run: Run, data: Path, backup: Path, tmp_path: Path, every: int) -> None:
    base = with_log(data, tmp_path / "base")
    copies = kill_at_steps(base, tmp_path / "killed", "restore", str(backup), "--yes", every=every)
    assert len(copies) * every > 100
    outcomes = set()
    for copy in copies:
        found = users(copy / "z4j.db")
        has_log = closing_rows(copy / "z4j.db", "SELECT count(*) FROM setting WHERE key = 'in_the_log'") == [(1,)]
        outcomes.add((tuple(found), has_log))
        assert closing_rows(copy / "z4j.db", "PRAGMA integrity_check") == [("ok",)]
        code, said = run(copy, "audit", "verify")
        assert code == 0, f"{copy}: {said}"
        code, said = run(copy, "restore", str(backup), "--yes")
        assert code == 0, f"{copy}: {said}"
        assert run(copy, "audit", "verify")[0] == 0
        assert any(users(kept) == ["ada", "bea"] for kept in copy.glob("z4j.db.before-restore-*")), copy
        assert not list(copy.glob("*.restoring*"))
    assert outcomes == {(("ada", "bea"), True), (("ada",), False)}
