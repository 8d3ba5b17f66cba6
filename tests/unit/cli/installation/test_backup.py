# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j backup`, killed at each of its steps: a file with the final name is a complete and verified backup, and the database is whole."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.killed import kill_at_steps
from tests.support.site import hash_cheaply
from z4j import cli
from z4j.store.access.audit_checkpoints import ends_with_backup


def integrity(path: Path) -> object:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA integrity_check").fetchone()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.long)])
def test_a_killed_backup_leaves_no_half_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    hash_cheaply(monkeypatch)
    base = tmp_path / "base"
    assert cli.main(["token", "create", "--app", "shop", "--data", str(base)]) == 0
    made = 0
    copies = kill_at_steps(base, tmp_path / "killed", "backup", "{data}/copy.db", every=every)
    assert len(copies) * every > 50
    for copy in copies:
        target, data = copy / "copy.db", ["--data", str(copy)]
        assert integrity(copy / "z4j.db") == ("ok",)
        assert cli.main(["audit", "verify", *data]) == 0, capsys.readouterr()
        if target.exists():
            made += 1
            assert (integrity(target), ends_with_backup(target)) == (("ok",), True)
            target.unlink()
        assert cli.main(["backup", str(target), *data]) == 0, capsys.readouterr()
        assert not list(copy.glob(".copy*"))
    assert made < len(copies)
