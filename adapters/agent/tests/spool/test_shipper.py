# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from z4j_agent.spool import shipper as module
from z4j_agent.spool.shipper import Shipper
from z4j_agent.spool.spool import Spool, prepare_folder
from z4j_agent.wire import MAX_BATCH, MAX_RECORD, encode_record, split_records

ORIGIN = encode_record(["origin", "b", 1, {}])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    prepare_folder(tmp_path / "spool")
    return tmp_path / "spool"


@pytest.fixture
def spool(folder: Path) -> Iterator[Spool]:
    made = Spool(folder, lambda: ORIGIN)
    yield made
    made.close()


@pytest.fixture
def shipper(folder: Path, spool: Spool) -> Iterator[Shipper]:
    made = Shipper(folder, 1 << 20, spool.append)
    assert made.try_take()
    yield made
    made.give_up()


def record(number: int, size: int = 0) -> bytes:
    return encode_record(["r", number, "x" * size])


def ship_all(shipper: Shipper) -> list[list[Any]]:
    records = []
    while (batch := shipper.next_batch()) is not None:
        records += [json.loads(part) for part in split_records(batch.data)]
        shipper.acked(batch)
    return records


def test_ships_whole_records_once(spool: Spool, shipper: Shipper) -> None:
    spool.append(record(1))
    spool.append(record(2)[:-3])
    first = shipper.next_batch()
    assert first is not None
    assert first.data == ORIGIN + record(1)
    assert shipper.next_batch() is None
    assert not shipper.is_empty()
    shipper.acked(first)
    assert shipper.is_empty()
    spool.append(record(2)[-3:])
    assert ship_all(shipper) == [["r", 2, ""]]


def test_unacked_is_sent_again_after_rewind(spool: Spool, shipper: Shipper) -> None:
    spool.append(record(1))
    first = shipper.next_batch()
    assert shipper.next_batch() is None
    shipper.rewind()
    assert shipper.next_batch() == first


def test_one_ships_and_the_next_takes_over(spool: Spool, shipper: Shipper, folder: Path) -> None:
    spool.append(record(1))
    assert ship_all(shipper)
    spool.append(record(2))
    other = Shipper(folder, 1 << 20, spool.append)
    assert not other.try_take()
    assert other.is_elsewhere
    shipper.give_up()
    assert other.try_take()
    assert not other.is_elsewhere
    assert ship_all(other) == [["r", 2, ""]]
    other.give_up()


def test_others_learn_from_the_cursor_what_is_acked(spool: Spool, shipper: Shipper, folder: Path) -> None:
    spool.append(record(1))
    other = Shipper(folder, 1 << 20, spool.append)
    assert not other.is_empty()
    ship_all(shipper)
    assert other.is_empty()


def test_without_a_cursor_everything_arrives_again(spool: Spool, shipper: Shipper, folder: Path) -> None:
    spool.append(record(1))
    ship_all(shipper)
    shipper.give_up()
    for cursor in (b"{torn", b"[1]", b'{"x": "y", "z": -1}'):
        (folder / "cursor").write_bytes(cursor)
        assert shipper.try_take()
        assert len(ship_all(shipper)) == 2
        shipper.give_up()


def test_deletes_only_what_is_acked_and_free(spool: Spool, shipper: Shipper, folder: Path) -> None:
    spool.append(record(1))
    ship_all(shipper)
    shipper.tidy()
    assert len(list(folder.glob("*.seg"))) == 1  # its writer may go on
    spool.close()
    spool.append(record(2))
    shipper.tidy()
    [left] = folder.glob("*.seg")
    assert record(2) in left.read_bytes()
    spool.close()
    shipper.tidy()
    assert left.exists()  # not acked
    ship_all(shipper)
    shipper.tidy()
    assert list(folder.glob("*.seg")) == []
    assert json.loads((folder / "cursor").read_bytes()) == {}


def test_a_torn_tail_of_a_dead_writer_is_no_reason_to_keep_it(spool: Spool, shipper: Shipper, folder: Path) -> None:
    spool.append(record(1))
    spool.append(record(2)[:-1])
    spool.close()
    ship_all(shipper)
    shipper.tidy()
    assert list(folder.glob("*.seg")) == []


def test_size_limit_drops_the_oldest_and_says_so(spool: Spool, shipper: Shipper, folder: Path) -> None:
    for n in range(30):
        spool.append(record(n, 60_000))
        spool.close()
    shipper.tidy()
    assert sum(path.stat().st_size for path in folder.glob("*.seg")) <= shipper.limit + 1_000
    shipped = ship_all(shipper)
    gaps = [record for record in shipped if record[0] == "gap"]
    numbers = [record[1] for record in shipped if record[0] == "r"]
    assert numbers == list(range(30 - len(numbers), 30))
    assert sum(gap[3]["count"] for gap in gaps) == 2 * (30 - len(numbers))
    assert all(gap[1].endswith(".seg") and gap[3]["cause"] == "the spool was full" for gap in gaps)
    assert all(0 < gap[3]["first_at"] <= gap[3]["last_at"] for gap in gaps)


def test_later_losses_do_not_hide_the_first(spool: Spool, shipper: Shipper, folder: Path) -> None:
    written: set[str] = set()
    for n in range(90):
        spool.append(record(n, 60_000))
        written |= {path.name for path in folder.glob("*.seg")}
        spool.close()
        if n % 30 == 29:
            shipper.tidy()
            spool.close()  # the segment with the reports is given up as well, the next time
    remaining = {path.name for path in folder.glob("*.seg")}
    gaps = [record for record in ship_all(shipper) if record[0] == "gap"]
    assert len(written - remaining) > 60
    assert {gap[1] for gap in gaps} >= written - remaining


def test_size_limit_spares_what_is_being_written(spool: Spool, folder: Path) -> None:
    spool.append(record(1, 5_000))
    small = Shipper(folder, 1_000, spool.append)
    assert small.try_take()
    small.tidy()
    assert len(list(folder.glob("*.seg"))) == 1
    small.give_up()


def test_a_gap_that_finds_no_room_is_reported_once_there_is(folder: Path, spool: Spool) -> None:
    spool.append(record(1, 5_000))
    spool.close()
    reported: list[bytes] = []

    def report(reported_record: bytes) -> bool:
        reported.append(reported_record)
        return len(reported) > 1

    small = Shipper(folder, 1_000, report)
    assert small.try_take()
    small.tidy()
    assert len(reported) == 2
    assert reported[0].split(b",")[1] == reported[1].split(b",")[1]
    assert list(folder.glob("*.seg")) == []
    small.give_up()


def test_batches_are_cut_between_records(spool: Spool, shipper: Shipper) -> None:
    for n in range(30):
        spool.append(record(n, 20_000))
    batch = shipper.next_batch()
    assert batch is not None
    assert MAX_BATCH - 25_000 < len(batch.data) <= MAX_BATCH
    shipper.acked(batch)
    first = len(split_records(batch.data)) - 1  # the origin is one of them
    assert [record[1] for record in ship_all(shipper)] == list(range(first, 30))


def test_a_large_record_travels_alone_and_an_impossible_one_is_a_gap(spool: Spool, shipper: Shipper, folder: Path) -> None:
    spool.append(record(1, MAX_BATCH + 100))
    spool.append(record(2, MAX_RECORD + 100))
    spool.append(record(3))
    shipped = ship_all(shipper)
    assert [record[1] for record in shipped if record[0] == "r"] == [1, 3]
    [gap] = [record for record in shipped if record[0] == "gap"]
    assert gap[3]["cause"] == "a record was too large"
    assert gap[3]["bytes"] > MAX_RECORD


def test_an_unfinished_giant_waits(spool: Spool, shipper: Shipper) -> None:
    spool.append(b"\x1e" + b"x" * (MAX_RECORD + 100))
    ship_all(shipper)
    assert shipper.next_batch() is None
    assert shipper.is_empty()


def test_a_child_lets_go_of_the_lock(shipper: Shipper, folder: Path) -> None:
    if (pid := os.fork()) == 0:
        shipper.after_fork_in_child()
        shipper.after_fork_in_child()
        os._exit(0 if shipper.lock_fd == -1 and not shipper.is_holder else 1)
    assert os.waitpid(pid, 0)[1] == 0
    other = Shipper(folder, 1, lambda _: True)
    assert not other.try_take()  # the child's closing took nothing from its parent
    shipper.give_up()
    assert other.try_take()
    other.give_up()


def test_a_wiped_folder_gives_the_lock_away(spool: Spool, shipper: Shipper, folder: Path) -> None:
    spool.append(record(1))
    (folder / "ship.lock").unlink()
    shipper.tidy()
    assert not shipper.is_holder
    assert shipper.try_take()
    waiting = Shipper(folder, 1, spool.append)
    assert not waiting.try_take()
    (folder / "ship.lock").unlink()
    shipper.give_up()
    assert not waiting.try_take()  # what it waited for is not the folder's lock any more
    assert waiting.try_take()
    waiting.give_up()


def test_a_missing_folder_is_no_error(tmp_path: Path) -> None:
    missing = Shipper(tmp_path / "gone", 1, lambda _: True)
    assert not missing.try_take()
    assert missing.next_batch() is None
    assert missing.is_empty()
    missing.give_up()


def test_a_cursor_that_cannot_be_written_is_no_error(spool: Spool, shipper: Shipper, monkeypatch: Any) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    spool.append(record(1))
    with monkeypatch.context() as patched:
        patched.setattr(module, "replace_file", refuse)
        ship_all(shipper)
        shipper.tidy()
    assert shipper._is_cursor_stale
    shipper.tidy()
    assert not shipper._is_cursor_stale


def test_segments_that_vanish_meanwhile(spool: Spool, shipper: Shipper, folder: Path, monkeypatch: Any) -> None:
    ghost = folder / "00000000000000000001-1-aaa.seg"
    monkeypatch.setattr(Shipper, "_segments", lambda self: [ghost])
    assert shipper.next_batch() is None
    assert shipper.is_empty()
    shipper.tidy()
    monkeypatch.setattr(Shipper, "_size", staticmethod(lambda path: 5))
    assert shipper.next_batch() is None
    shipper.tidy()


def test_gap_of_a_segment_with_a_foreign_name(folder: Path) -> None:
    reported: list[bytes] = []
    (folder / "odd.seg").write_bytes(record(1, 3_000))
    small = Shipper(folder, 1_000, lambda data: bool(reported.append(data)) or True)
    assert small.try_take()
    small.tidy()
    assert json.loads(split_records(reported[0])[0])[3]["first_at"] == 0
    small.give_up()


def test_a_segment_that_cannot_be_read_does_not_delay_the_others(spool: Spool, shipper: Shipper, folder: Path) -> None:
    (folder / "0-unreadable.seg").mkdir()
    spool.append(record(1))
    batch = shipper.next_batch()
    assert batch is not None
    assert batch.data == ORIGIN + record(1)
    with pytest.raises(IsADirectoryError):
        shipper.next_batch()
    shipper.acked(batch)
    spool.new_segment()
    with pytest.raises(IsADirectoryError):
        shipper.tidy()
    assert batch.segment not in {path.name for path in folder.glob("*.seg")}, "what is acknowledged is deleted"


def test_a_segment_that_cannot_be_read_does_not_keep_the_folder_from_its_limit(spool: Spool, shipper: Shipper, folder: Path) -> None:
    (folder / "0-unreadable.seg").mkdir()
    spool.append(record(1, 1_000))
    spool.new_segment()
    shipper.limit = 0
    with pytest.raises(IsADirectoryError):
        shipper.tidy()
    spool.append(record(2))
    left = b"".join(path.read_bytes() for path in folder.glob("*.seg") if path.is_file())
    assert b'"the spool was full"' in left
    assert record(1, 1_000) not in left


def take_over(fd: int, path: Path) -> None:
    """What an application does that closes all descriptors and then opens a file of its own."""
    theirs = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.dup2(theirs, fd)
    os.close(theirs)


def test_a_descriptor_that_belongs_to_the_application_now_is_not_closed(
    spool: Spool, shipper: Shipper, folder: Path, tmp_path: Path
) -> None:
    spool.append(record(1))
    fds = [shipper.lock_fd, spool._fd]
    for fd in fds:
        take_over(fd, tmp_path / "theirs")
    shipper.tidy()
    spool.close()
    for fd in fds:
        os.write(fd, b"still open")
        os.close(fd)
    assert shipper.try_take()


@pytest.mark.parametrize("act", [Shipper.try_take, Shipper.give_up, Shipper.after_fork_in_child])
def test_a_lock_that_another_process_has_does_not_become_one_on_a_file_of_the_application(
    spool: Spool, shipper: Shipper, folder: Path, tmp_path: Path, act: Callable[[Shipper], object]
) -> None:
    other = Shipper(folder, 1 << 20, spool.append)
    assert not other.try_take()
    fd = other.lock_fd
    take_over(fd, tmp_path / "theirs")
    act(other)
    os.write(fd, b"still open")
    with (tmp_path / "theirs").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)
    other.give_up()
