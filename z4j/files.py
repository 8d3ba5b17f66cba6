# SPDX-License-Identifier: AGPL-3.0-or-later
"""Writes whole files: the content under the final name is complete, even if the process is killed at any moment."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


def write_whole(path: Path, data: bytes | str, *, mode: int = 0o600, durable: bool = True) -> None:
    """Replaces or creates `path`. Raises OSError; then the file is as it was."""
    part = _write_part(path, data, mode, durable)
    try:
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def create_whole(path: Path, data: bytes | str, *, mode: int = 0o600) -> None:
    """Creates `path`. Raises FileExistsError if it exists, also if another process created it meanwhile, and OSError."""
    part = _write_part(path, data, mode, durable=True)
    try:
        publish(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def creating(path: Path, *, mode: int = 0o600) -> Iterator[TextIO]:
    """Creates a text file that gets its name when the block succeeds, and does not exist otherwise. Raises FileExistsError and OSError."""
    if path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(fd)
        publish(part, path)
    finally:
        part.unlink(missing_ok=True)


def load_or_create(path: Path, make: bytes) -> bytes:
    """Returns the content of `path`, which is created with `make` if there is none. Two processes that create it at once get the same
    content."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):
            create_whole(path, make)
        return path.read_bytes()


def publish(part: Path, path: Path) -> None:
    """Gives a complete file its final name, durably. Raises FileExistsError; nothing is ever overwritten."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        part.rename(path)
    part.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes a new name survive a loss of power."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some file systems cannot sync a folder
            os.fsync(fd)
    finally:
        os.close(fd)


def _write_part(path: Path, data: bytes | str, mode: int, durable: bool) -> Path:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return part
