# SPDX-License-Identifier: Apache-2.0
"""IDs of cancelled tasks are shared by the workers of a host, and survive damage to their file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from z4j_agent.capture.guard import faults
from z4j_agent.spool.cancelled_ids import CancelledIds
from z4j_agent.spool.shared_file import replace_file


def test_all_processes_of_the_folder_share_the_ids(tmp_path: Path) -> None:
    one, other = CancelledIds(tmp_path / "ids"), CancelledIds(tmp_path / "ids")
    assert not one.has("a")
    one.add("a")
    one.add("a")
    one.add("b\nc", "broker")
    assert (tmp_path / "ids").read_bytes().count(b"\n") == 2
    assert other.has("a")
    assert other.has("a", "broker")
    assert (other.has("b\nc"), other.has("b\nc", "broker"), other.has("b\nc", "other")) == (False, True, False)
    other.add("d")
    assert one.has("d")


def test_without_permission_the_file_has_no_effect(tmp_path: Path) -> None:
    CancelledIds(tmp_path / "ids").add("a")
    assert not CancelledIds(tmp_path / "ids", is_permitted=False).has("a")


def test_ids_that_cannot_be_read_stay_what_they_were(tmp_path: Path) -> None:
    """The rule was not the same in all adapters: one raised into the worker, the other did not look again."""
    ids, path = CancelledIds(tmp_path / "ids"), tmp_path / "ids"
    ids.add("a")
    path.write_bytes(b'"b"\n\xff\xfe\n"torn\n["c"]\n\n"d"\n"being writ')
    assert [ids.has(id) for id in ("a", "b", "d", "torn", "", "being writ")] == [True, True, True, False, False, False]
    path.unlink()
    path.mkdir()
    total = faults.total
    assert ids.has("a")
    assert not ids.has("e")
    assert faults.total > total
    path.rmdir()
    CancelledIds(path).add("e")
    assert ids.has("e")
    assert ids.has("a"), "what was cancelled stays so"


def test_an_id_that_cannot_be_written_is_cancelled_in_this_process(tmp_path: Path) -> None:
    ids = CancelledIds(tmp_path / "gone" / "ids")
    with pytest.raises(FileNotFoundError):
        ids.add("a")
    assert ids.has("a")


def test_a_torn_line_affects_no_other(tmp_path: Path) -> None:
    (tmp_path / "ids").write_bytes(b'"a"\n"tor')
    ids = CancelledIds(tmp_path / "ids")
    assert ids.has("a")
    CancelledIds(tmp_path / "ids").add("b")
    assert (ids.has("b"), ids.has("tor")) == (True, False)


def test_a_check_follows_the_file_and_not_its_descriptor(tmp_path: Path) -> None:
    ids, path = CancelledIds(tmp_path / "ids"), tmp_path / "ids"
    assert not ids.has_any()
    fd = ids._lines._fd
    assert fd >= 0
    assert path.stat().st_mode & 0o777 == 0o600
    CancelledIds(path).add("a")
    assert ids.has("a")
    assert ids._lines._fd == fd, "it is not opened again for a line that was added"
    replace_file(path, b'"a"\n"b"\n')
    assert ids.has("b")
    path.unlink()
    assert ids.has("b"), "what was read stays"
    CancelledIds(path).add("c")
    assert ids.has("c")


def test_a_descriptor_that_the_application_closes_or_takes_is_not_used(tmp_path: Path) -> None:
    ids, path = CancelledIds(tmp_path / "ids"), tmp_path / "ids"
    for number, is_taken in enumerate((False, True)):
        assert not ids.has(str(number))
        theirs = os.open(tmp_path / "theirs", os.O_RDWR | os.O_CREAT)
        if is_taken:
            fd = ids._lines._fd
            os.dup2(theirs, fd)
        else:
            os.close(ids._lines._fd)
        CancelledIds(path).add(str(number))
        assert ids.has(str(number))
        if is_taken:
            assert os.fstat(fd).st_ino == os.fstat(theirs).st_ino, "it is the application's now, and stays open"
            os.close(fd)
        os.close(theirs)
