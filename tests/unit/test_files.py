# SPDX-License-Identifier: AGPL-3.0-or-later
"""What stands under its final name is complete, whenever the process is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.database import T, database, life, tell
from z4j import files
from z4j.exceptions import StoreError
from z4j.store.sqlite.verified_copy import check_database, copy_database

SLOW = """
import sys, time
from pathlib import Path
from z4j import files
from z4j.store.sqlite import verified_copy
files.publish = lambda *_: time.sleep(60)
verified_copy.copy_database(Path(sys.argv[1]), Path(sys.argv[2]))
"""
"""A copy that is whole but for its name when it is killed."""


@pytest.mark.anyio
async def test_a_killed_backup_leaves_nothing_under_its_final_name(tmp_path: Path) -> None:
    target, part = tmp_path / "copy.db", tmp_path / "copy.db.part"
    async with database(tmp_path) as store:
        await tell(store, *life("a", T))
        process = subprocess.Popen([sys.executable, "-c", SLOW, store.path, target])
        try:
            ends = time.monotonic() + 60
            while not part.exists() or part.stat().st_size == 0:
                assert time.monotonic() < ends
                time.sleep(0.02)
            with pytest.raises(StoreError, match="is being written"):
                copy_database(store.path, target)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert not target.exists()
        assert part.exists()
        copy_database(store.path, target)
        assert not part.exists(), "the next copy to the same name cleans up"
        assert check_database(target).problems == ()
        with pytest.raises(StoreError, match="already exists"):
            copy_database(store.path, target)
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_a_key_of_two_processes_is_one_key(tmp_path: Path) -> None:
    words = "import sys, pathlib, os; from z4j import files; print(files.load_or_create(pathlib.Path(sys.argv[1]), os.urandom(16)).hex())"
    made = [subprocess.Popen([sys.executable, "-c", words, tmp_path / "key"], stdout=subprocess.PIPE) for _ in range(4)]
    assert len({process.communicate()[0] for process in made}) == 1
    assert os.listdir(tmp_path) == ["key"]
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_finished_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="halfway"), files.creating(tmp_path / "export") as file:  # noqa: PT012
        file.write("half")
        raise ValueError("halfway")
    assert list(tmp_path.iterdir()) == []
    with files.creating(tmp_path / "export") as file:
        file.write("whole")
        assert not (tmp_path / "export").exists()
    assert (tmp_path / "export").read_text() == "whole"
    with pytest.raises(FileExistsError), files.creating(tmp_path / "export"):
        pass
    files.write_whole(tmp_path / "export", "again")
    assert (tmp_path / "export").read_text() == "again"
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
