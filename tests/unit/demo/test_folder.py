# SPDX-License-Identifier: AGPL-3.0-or-later
"""The folder of a demo is emptied, and nothing else ever is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from z4j.demo.folder import check_folder, create_database, empty_folder
from z4j.exceptions import WrongState
from z4j.store.sqlite.demo_mark import is_demo
from z4j.store.sqlite.migrate import migrate


@pytest.mark.parametrize("is_there", [False, True])
def test_a_missing_or_empty_folder_becomes_that_of_a_demo(tmp_path: Path, *, is_there: bool) -> None:
    folder = tmp_path / "demo"
    if is_there:
        folder.mkdir()
    empty_folder(folder)
    create_database(folder)
    assert is_demo(folder / "z4j.db")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_last_round_is_deleted(tmp_path: Path) -> None:
    empty_folder(tmp_path)
    create_database(tmp_path)
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool/segment").write_text("x")
    (tmp_path / "huey.db").write_text("x")
    (tmp_path / "lock").write_text("1")
    empty_folder(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"lock"}


def test_a_link_is_removed_and_not_followed(tmp_path: Path) -> None:
    folder, precious = tmp_path / "demo", tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis").write_text("x")
    empty_folder(folder)
    create_database(folder)
    (folder / "spool").symlink_to(precious)
    empty_folder(folder)
    assert (precious / "thesis").read_text() == "x"


def test_a_real_database_is_refused_and_stays(tmp_path: Path) -> None:
    migrate(tmp_path / "z4j.db")
    before = (tmp_path / "z4j.db").read_bytes()
    for attempt in (check_folder, empty_folder):
        with pytest.raises(WrongState, match="not marked as a demo"):
            attempt(tmp_path)
    assert (tmp_path / "z4j.db").read_bytes() == before


def test_files_of_something_else_are_refused_and_stay(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(WrongState, match=r"thesis\.txt"):
        empty_folder(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "x"


def test_a_demo_that_was_killed_while_it_emptied_its_folder_is_still_one(tmp_path: Path) -> None:
    """The database is deleted last."""
    empty_folder(tmp_path)
    create_database(tmp_path)
    (tmp_path / "huey.db").write_text("x")
    shutil.copytree(tmp_path, tmp_path / "spool")
    check_folder(tmp_path)
    for path in tmp_path.iterdir():
        if path.name == "huey.db":
            path.unlink()
    check_folder(tmp_path)
