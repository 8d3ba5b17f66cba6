# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from z4j_agent.capture.guard import faults
from z4j_agent.spool import file_lock
from z4j_agent.spool import shared_file as module
from z4j_agent.spool.cancelled_ids import CancelledIds
from z4j_agent.spool.file_lock import LOCK, change_lock
from z4j_agent.spool.shared_file import SharedJson, SharedLines, replace_file


def numbers(value: object) -> list[int]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return [int(item) for item in value]


def shared(folder: Path) -> SharedJson[list[int]]:
    return SharedJson(folder / "numbers", numbers)


# -- a value -------------------------------------------------------------------------------------------------------------
def test_what_one_process_writes_the_others_see(tmp_path: Path) -> None:
    one, other = shared(tmp_path), shared(tmp_path)
    assert (one.read(), one.changed(), one.error) == (None, False, None)
    one.replace([1, 2])
    assert not one.changed(), "it has written that itself"
    assert other.changed()
    assert not other.changed()
    assert other.read() == [1, 2]
    other.replace([3])
    assert one.read() == [3]
    other.remove()
    assert one.changed()
    assert (one.read(), one.error) == (None, None)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_of_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        shared(tmp_path).replace([1])
        CancelledIds(tmp_path / "ids").add("a")
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {"numbers": 0o600, "ids": 0o600, LOCK: 0o600}


def test_without_a_folder_the_process_keeps_it() -> None:
    alone = SharedJson(None, numbers)
    alone.replace([1])
    assert (alone.read(), alone.changed()) == ([1], False)
    alone.remove()
    assert alone.read() is None


BROKEN: list[Callable[[Path], object]] = [
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(b"["),
    lambda path: path.write_bytes(b'{"a": 1}'),
    lambda path: path.write_bytes(b"\xff"),
    lambda path: path.write_bytes(b"[" * 100_000),
    lambda path: (path.unlink(), path.symlink_to(path.with_name("elsewhere"))),
    lambda path: (path.unlink(), os.mkfifo(path)),
    lambda path: (path.unlink(), path.mkdir()),
]
"""Empty, torn, of another form, no text, too deep, a link, a pipe on which a reader would wait, a folder."""


@pytest.mark.parametrize("spoil", BROKEN)
def test_what_cannot_be_read_is_unknown_and_not_empty(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    (tmp_path / "elsewhere").write_text("[666]")
    one = shared(tmp_path)
    one.replace([1])
    spoil(tmp_path / "numbers")
    total = faults.total
    for _ in range(3):
        assert one.read() == [1], "what was read before stays"
    assert not one.changed()
    assert one.error is not None
    assert faults.total == total + 1, "reported once"
    fresh = shared(tmp_path)
    assert fresh.read() is None
    assert fresh.error is not None, "unknown, and not known to be missing"
    assert (tmp_path / "elsewhere").read_text() == "[666]"


@pytest.mark.parametrize("spoil", BROKEN[:-1])
def test_what_is_whole_again_is_known_again(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    one = shared(tmp_path)
    one.replace([1])
    spoil(tmp_path / "numbers")
    one.read()
    shared(tmp_path).replace([2])
    assert (one.read(), one.error) == ([2], None)


def test_a_file_without_permission_is_unknown_until_it_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stamp does not tell when that ends."""
    shared(tmp_path).replace([1])

    def refuse(*_: object) -> int:  # the tests may run as root, who may read everything
        raise PermissionError("not yours")

    monkeypatch.setattr(module, "open_shared", refuse)
    one, total = shared(tmp_path), faults.total
    assert [one.read(), one.read()] == [None, None]
    assert isinstance(one.error, PermissionError)
    assert faults.total == total + 1
    monkeypatch.undo()
    assert (one.read(), one.error) == ([1], None)


def test_what_cannot_be_written_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        SharedJson(tmp_path / "gone" / "numbers", numbers).replace([1])
    one = shared(tmp_path)
    one.replace([1])

    def full(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(module, "_stamp_of", full)
    with pytest.raises(OSError, match="no space"):
        one.replace([2])
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["numbers"]
    assert (one.read(), json.loads((tmp_path / "numbers").read_text())) == ([1], [1])


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("not ours")
    (tmp_path / "numbers").symlink_to(tmp_path / "elsewhere")
    replace_file(tmp_path / "numbers", b"[1]")
    assert (tmp_path / "elsewhere").read_text() == "not ours"
    assert not (tmp_path / "numbers").is_symlink()


# -- lines and ids -------------------------------------------------------------------------------------------------------
def test_lines_are_read_once_and_a_large_file_is_shortened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_BYTES", 100)
    path = tmp_path / "lines"
    writer, reader = SharedLines(path), SharedLines(path)
    taken: list[tuple[list[bytes], bool]] = []
    reader.read(lambda lines, is_other: taken.append((lines, is_other)))
    assert taken == []
    writer.append(b"one")
    reader.read(lambda lines, is_other: taken.append((lines, is_other)))
    writer.append(b"two")
    reader.read(lambda lines, is_other: taken.append((lines, is_other)))
    reader.read(lambda lines, is_other: taken.append((lines, is_other)))
    assert taken == [([b"one"], True), ([b"two"], False)]
    for number in range(30):
        writer.append(b"line %03d" % number)
    assert path.stat().st_size < 120
    assert path.stat().st_mode & 0o777 == 0o600
    taken.clear()
    reader.read(lambda lines, is_other: taken.append((lines, is_other)))
    [(lines, is_other)] = taken
    assert is_other
    assert lines[-1] == b"line 029"
    assert all(len(line) == 8 for line in lines), "only whole ones"
    path.unlink()
    reader.read(lambda lines, is_other: taken.append((lines, is_other)))
    assert taken[-1] == ([], True)


def all_lines(path: Path) -> list[bytes]:
    read: list[bytes] = []
    SharedLines(path).read(lambda lines, _: read.extend(lines))
    return read


def test_a_line_that_is_added_while_the_file_is_shortened_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_BYTES", 20)
    path = tmp_path / "lines"
    other = threading.Thread(target=lambda: SharedLines(path).append(b"of another process"))

    def replace_late(path: Path, content: bytes) -> module.Stamp:
        monkeypatch.setattr(module, "replace_file", replace_file)
        other.start()
        other.join(0.1)  # without a lock it is written in this time, into the file that is replaced
        return replace_file(path, content)

    monkeypatch.setattr(module, "replace_file", replace_late)
    for _ in range(2):
        SharedLines(path).append(b"more than twenty bytes")
    other.join(10)
    assert all_lines(path)[-1] == b"of another process"


def test_a_file_that_cannot_be_shortened_has_the_line_nevertheless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> module.Stamp:
        raise OSError("no space")

    monkeypatch.setattr(module, "KEEP_BYTES", 4)
    monkeypatch.setattr(module, "replace_file", full)
    for line in (b"one line", b"another"):
        SharedLines(tmp_path / "lines").append(line)
    assert all_lines(tmp_path / "lines") == [b"one line", b"another"]
    assert faults.by_operation["shortening lines"] == (1, "OSError")


def test_a_line_waits_a_limited_time_for_a_process_that_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else shortens the file meanwhile, so the line is not lost."""
    monkeypatch.setattr(file_lock, "WAIT_S", 0.01)
    monkeypatch.setattr(module, "KEEP_BYTES", 4)
    with change_lock(tmp_path):
        for line in (b"one line", b"another"):
            SharedLines(tmp_path / "lines").append(line)
    assert all_lines(tmp_path / "lines") == [b"one line", b"another"]
    assert faults.by_operation["locking lines"] == (2, "TimeoutError")
