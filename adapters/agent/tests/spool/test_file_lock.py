# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from z4j_agent.spool import file_lock
from z4j_agent.spool.file_lock import LOCK, change_lock


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "WAIT_S", 0.02)


def is_free(folder: Path) -> bool:
    try:
        with change_lock(folder):
            return True
    except TimeoutError:
        return False


@contextlib.contextmanager
def child(act: Callable[[], object]) -> Iterator[int]:
    """A forked child that has called `act` and then waits. Killed at the end."""
    ready, answer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            act()
            os.write(answer, b"x")
            signal.pause()
        os._exit(1)
    os.close(answer)
    try:
        assert os.read(ready, 1) == b"x"
        yield pid
    finally:
        os.close(ready)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_one_thread_or_process_at_a_time(tmp_path: Path) -> None:
    with change_lock(tmp_path):
        assert not is_free(tmp_path)
        assert is_free(tmp_path.parent), "each folder has its own"
    assert is_free(tmp_path)
    assert (tmp_path / LOCK).stat().st_mode & 0o777 == 0o600


def test_the_next_one_waits_until_the_change_has_been_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "WAIT_S", 30.0)
    made: list[str] = []

    def change() -> None:
        with change_lock(tmp_path):
            made.append("second")

    with change_lock(tmp_path):
        other = threading.Thread(target=change)
        other.start()
        made.append("first")
    other.join(30)
    assert made == ["first", "second"]


def test_an_exception_in_the_middle_of_a_change_releases_the_lock(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="odd"), change_lock(tmp_path):
        raise ValueError("odd")
    assert is_free(tmp_path)


def test_a_killed_holder_releases_the_lock(tmp_path: Path) -> None:
    held = contextlib.ExitStack()
    with child(lambda: held.enter_context(change_lock(tmp_path))):
        assert not is_free(tmp_path)
    assert is_free(tmp_path)


def test_a_child_that_is_forked_in_the_middle_of_a_change_does_not_keep_the_lock(tmp_path: Path) -> None:
    with contextlib.ExitStack() as children:
        with change_lock(tmp_path):
            children.enter_context(child(lambda: None))  # it has the open file
        assert is_free(tmp_path)


def test_a_child_that_outlives_its_parent_does_not_keep_the_lock(tmp_path: Path) -> None:
    with change_lock(tmp_path):
        fds = set(file_lock._open)
        with child(file_lock.after_fork_in_child) as pid:
            assert len(fds) == 1
            assert not [fd for fd in fds if os.path.exists(f"/proc/{pid}/fd/{fd}")]
            assert not is_free(tmp_path), "its parent still has it"


def test_a_lock_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), change_lock(tmp_path / "gone"):
        pass
    (tmp_path / LOCK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), change_lock(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_descriptor_that_the_application_has_closed_raises_nothing(tmp_path: Path) -> None:
    with change_lock(tmp_path):
        [fd] = file_lock._open
        os.close(fd)
    assert not file_lock._open
