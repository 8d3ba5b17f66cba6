# SPDX-License-Identifier: AGPL-3.0-or-later
"""The data folder of a server: private to its user, and used by one server process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from z4j.appliance import server_address
from z4j.exceptions import StoreError
from z4j.listener import ports


def prepare_data(folder: Path) -> None:
    """Creates the data folder with mode 0700. Raises StoreError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise _unusable(folder, error) from error


def _unusable(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"The data folder {folder} cannot be used: {error.strerror}. z4j was not started.",
        "Make it writable for this user, or choose another folder with --data.",
    )


@contextlib.contextmanager
def data_lock(folder: Path) -> Iterator[None]:
    """Locks the data folder for one server. The kernel releases the lock when the process ends. Raises StoreError."""
    try:
        fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _folder_taken(folder) from error
        with contextlib.suppress(OSError):  # a full disk: the lock holds, and only its holder's number is missing
            os.ftruncate(fd, 0)
            os.write(fd, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def shared_use(folder: Path) -> Iterator[None]:
    """Reports that a command uses the database beside a server. Raises StoreError while a restore replaces the database."""
    with _use_lock(folder, fcntl.LOCK_SH, "A restore is replacing the database of"):
        yield


@contextlib.contextmanager
def exclusive_use(folder: Path) -> Iterator[None]:
    """Keeps commands away while the database is replaced. Raises StoreError while one is running."""
    with _use_lock(folder, fcntl.LOCK_EX, "Another z4j command is using"):
        yield


@contextlib.contextmanager
def _use_lock(folder: Path, how: int, what: str) -> Iterator[None]:
    fd = os.open(folder / "lock.use", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(f"{what} {folder}. No changes were made.", "Try again when it has ended.") from error
        yield
    finally:
        os.close(fd)


def _folder_taken(folder: Path) -> StoreError:
    """Names the process that holds it, and the address it is reached at, as far as they are known."""
    pid, serving = (folder / "lock").read_text().strip(), server_address.read_address(folder)
    who = f"Process {pid} ({ports.command_of(int(pid)) or 'z4j'})" if pid.isdecimal() else "Another z4j"
    where = f" at {serving.local_url}" if serving and str(serving.pid) == pid else ""
    stop = f"Stop it with `kill {pid}`" if pid.isdecimal() else "Stop it"
    return StoreError(
        f"{who} is already running on the data folder {folder}{where}. No changes were made.",
        f"{stop}, or choose another folder with --data.",
    )
