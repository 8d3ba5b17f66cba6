# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import fcntl
import os
import resource
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from z4j_agent.spool import spool as spool_module
from z4j_agent.spool.spool import Spool, SpoolUnusable, prepare_folder
from z4j_agent.wire import encode_record, split_records

ORIGIN = encode_record(["origin", "b", 1, {}])
Read = Callable[[], list[bytes]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    prepare_folder(tmp_path / "spool")
    return tmp_path / "spool"


@pytest.fixture
def spool(folder: Path) -> Spool:
    return Spool(folder, lambda: ORIGIN)


def record(number: int, size: int = 0) -> bytes:
    return encode_record(["r", number, "x" * size])


def test_segment_begins_with_its_origin_and_is_private(spool: Spool, folder: Path, segments: Read) -> None:
    assert spool.append(record(1))
    assert spool.append(record(2))
    [data] = segments()
    assert data == ORIGIN + record(1) + record(2)
    [path] = folder.glob("*.seg")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert fcntl.fcntl(spool._fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    assert spool._fd >= min(512, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


def test_segment_is_locked_while_it_can_be_written(spool: Spool, folder: Path) -> None:
    spool.append(record(1))
    [path] = folder.glob("*.seg")
    with path.open("rb") as other:
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        spool.close()
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    spool.close()
    assert spool.append(record(2))
    assert len(list(folder.glob("*.seg"))) == 2


def test_rotation_keeps_the_number_and_loses_nothing(spool: Spool, folder: Path, segments: Read, monkeypatch: Any) -> None:
    monkeypatch.setattr(spool_module, "ROTATE_BYTES", 2_000)
    spool.append(record(0))
    number = spool._fd
    for n in range(1, 100):
        assert spool.append(record(n, 50))
    assert spool._fd == number
    parts = [part for data in segments() for part in split_records(data)]
    assert len(segments()) > 3
    assert [part for part in parts if part.startswith(b'["r"')] == [record(n, 50 if n else 0)[1:-1] for n in range(100)]


def test_a_host_that_closes_our_descriptor(spool: Spool, segments: Read) -> None:
    spool.append(record(1))
    os.close(spool._fd)
    assert spool.append(record(2))
    assert len(segments()) == 2


def test_a_number_that_became_the_hosts_is_left_alone(spool: Spool, tmp_path: Path, segments: Read) -> None:
    spool.append(record(1))
    with (tmp_path / "host.txt").open("wb") as host:
        os.dup2(host.fileno(), spool._fd)
        number = spool._fd
        spool._checked_at = 0.0
        assert spool.append(record(2))
        assert (tmp_path / "host.txt").read_bytes() == b""
        assert spool._fd != number
        os.close(number)
    assert len(segments()) == 2


def test_a_wiped_folder_is_made_again(spool: Spool, folder: Path, segments: Read) -> None:
    spool.append(record(1))
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    spool._checked_at = 0.0
    assert spool.append(record(2))
    assert segments() == [ORIGIN + record(2)]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_rotation_notices_a_wiped_folder(spool: Spool, folder: Path, segments: Read) -> None:
    spool.append(record(1))
    next(folder.glob("*.seg")).unlink()
    spool.new_segment()
    assert spool.append(record(2))
    assert segments() == [ORIGIN + record(2)]


def test_refused_writes_are_counted(spool: Spool, monkeypatch: Any, segments: Read) -> None:
    spool.append(record(1))
    true_write = os.write

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", full)
    assert not spool.append(record(2))
    monkeypatch.setattr(os, "write", lambda fd, data: true_write(fd, data[:5]))
    assert not spool.append(record(3))
    monkeypatch.setattr(os, "write", true_write)
    assert spool.append(record(4))
    assert (spool.take_dropped(), spool.take_dropped(), spool.dropped_total) == (2, 0, 2)
    assert split_records(segments()[0])[1:] == [record(1)[1:-1], record(4)[1:-1]]


def test_a_full_disk_leaks_no_descriptor(spool: Spool, monkeypatch: Any) -> None:
    true_write = os.write
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "write", lambda fd, data: true_write(fd, data[:3]))
    for n in range(5):
        assert not spool.append(record(n))
    spool.new_segment()
    assert len(os.listdir("/proc/self/fd")) == before
    assert spool.dropped_total == 5


def test_rotation_on_a_full_disk_goes_on_in_the_old_segment(spool: Spool, monkeypatch: Any, segments: Read) -> None:
    spool.append(record(1))

    def refuse(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        spool.new_segment()
    assert spool.append(record(2))
    assert segments() == [ORIGIN + record(1) + record(2)]


def test_while_another_thread_opens_the_first_segment(spool: Spool, segments: Read) -> None:
    with spool._changing:
        assert spool.append(record(1))
        spool._rotate()
    assert spool._fd == -1
    assert spool.append(record(2))
    assert segments() == [ORIGIN + record(1), ORIGIN + record(2)]


def test_a_shipper_that_met_the_newborn_first(spool: Spool, folder: Path, monkeypatch: Any, segments: Read) -> None:
    true_flock, met = fcntl.flock, []

    def flock(fd: int, how: int) -> None:
        if not met:
            met.append(1)
            raise BlockingIOError
        if len(met) == 1:
            met.append(2)
            max(folder.glob("*.seg")).unlink()
        true_flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    assert spool.append(record(1))
    assert [data for data in segments() if data] == [ORIGIN + record(1)]


def test_a_name_that_is_taken(spool: Spool, folder: Path, monkeypatch: Any) -> None:
    words = iter(["aaa", "aaa", "bbb"])
    monkeypatch.setattr(spool_module.secrets, "token_hex", lambda _: next(words))
    monkeypatch.setattr(spool_module.time, "time_ns", lambda: 5)
    assert spool.append(record(1))
    spool.close()
    assert spool.append(record(2))
    assert len(list(folder.glob("*.seg"))) == 2


def test_low_descriptor_where_high_ones_are_forbidden(spool: Spool, monkeypatch: Any) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(errno.EINVAL, "limit")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    assert spool.append(record(1))
    assert spool._fd < 500


def test_children_append_to_the_inherited_segment(spool: Spool, segments: Read) -> None:
    spool.append(record(0))
    children = []
    for n in (1, 2):
        if (pid := os.fork()) == 0:
            spool.after_fork_in_child()
            os._exit(0 if spool.append(record(n)) else 1)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0]
    [data] = segments()
    assert sorted(split_records(data)[1:]) == [record(n)[1:-1] for n in range(3)]


def test_a_lock_that_a_thread_of_the_parent_holds_is_not_held_in_a_child(spool: Spool) -> None:
    assert spool._changing.acquire(blocking=False)
    if (pid := os.fork()) == 0:
        spool.after_fork_in_child()
        os._exit(0 if spool._changing.acquire(blocking=False) else 1)
    spool._changing.release()
    assert os.waitpid(pid, 0)[1] == 0


def test_threads_tear_nothing(spool: Spool, segments: Read, monkeypatch: Any) -> None:
    monkeypatch.setattr(spool_module, "ROTATE_BYTES", 5_000)
    threads = [threading.Thread(target=lambda t=t: [spool.append(record(t * 1_000 + n)) for n in range(300)]) for t in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    parts = [part for data in segments() for part in split_records(data) if part.startswith(b'["r"')]
    assert sorted(parts) == sorted(record(t * 1_000 + n)[1:-1] for t in range(4) for n in range(300))
    assert spool.dropped_total == 0


# -- the folder --------------------------------------------------------------------------------------------------------
def test_folder_that_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(SpoolUnusable, match="is a link"):
        prepare_folder(tmp_path / "link")


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolUnusable, match="a link or a file"):
        prepare_folder(tmp_path / "file")
    with pytest.raises(SpoolUnusable, match="cannot be created"):
        prepare_folder(tmp_path / "file" / "below")


def test_folder_of_another_user(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "theirs").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 4_242)
    with pytest.raises(SpoolUnusable, match="another user"):
        prepare_folder(tmp_path / "theirs")


def test_folder_below_a_shared_one(tmp_path: Path, monkeypatch: Any) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "z4j-0").symlink_to(tmp_path)
    with pytest.raises(SpoolUnusable, match="folder of another user"):
        prepare_folder(shared / "z4j-0" / "spool")
    prepare_folder(shared / "mine" / "spool")
    assert stat.S_IMODE((shared / "mine").stat().st_mode) == 0o700


def test_folder_is_made_private_or_refused(tmp_path: Path, monkeypatch: Any) -> None:
    wide = tmp_path / "wide"
    wide.mkdir(mode=0o755)
    prepare_folder(wide)
    assert stat.S_IMODE(wide.stat().st_mode) == 0o700
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SpoolUnusable, match="not writable"):
        prepare_folder(wide)
    wide.chmod(0o755)

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(SpoolUnusable, match="made private"):
        prepare_folder(wide)


def test_a_pair_costs_little(spool: Spool) -> None:
    """Ten microseconds are the budget of a pair; asserted with room for a loaded machine."""
    from z4j_agent.wire import records

    head = ("celery", "5b0d3bfb-5b2d-4b0d-9d3b-5b0d3bfb5b2d", 0, 1, "b.1", "shop.ship", "work")
    best = 1e9
    for _ in range(5):
        began = time.thread_time()
        for _ in range(500):
            spool.append(records.started(*head))
            spool.append(records.succeeded(*head, received_at=1, started_at=2, runtime=3, result="{}"))
        best = min(best, (time.thread_time() - began) / 500)
    assert best < 60e-6
