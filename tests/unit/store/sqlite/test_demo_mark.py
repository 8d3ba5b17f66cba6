# SPDX-License-Identifier: AGPL-3.0-or-later
"""The mark of a demo is part of its database file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from z4j.exceptions import StoreError, WrongState
from z4j.store.sqlite.demo_mark import is_demo, mark_demo, refuse_demo
from z4j.store.sqlite.migrate import migrate


def test_a_database_is_not_a_demo_until_it_is_marked(tmp_path: Path) -> None:
    path = tmp_path / "z4j.db"
    assert not is_demo(path)
    migrate(path)
    assert not is_demo(path)
    refuse_demo(path)
    mark_demo(path)
    assert is_demo(path)
    with pytest.raises(WrongState, match="was not started"):
        refuse_demo(path)


def test_a_copy_is_still_a_demo(tmp_path: Path) -> None:
    migrate(tmp_path / "z4j.db")
    mark_demo(tmp_path / "z4j.db")
    shutil.copy(tmp_path / "z4j.db", tmp_path / "copy.db")
    assert is_demo(tmp_path / "copy.db")


def test_another_file_is_not_a_database(tmp_path: Path) -> None:
    (tmp_path / "z4j.db").write_text("a letter, which is long enough to be taken for a page of a database" * 9)
    with pytest.raises(StoreError, match="not a z4j database"):
        is_demo(tmp_path / "z4j.db")
