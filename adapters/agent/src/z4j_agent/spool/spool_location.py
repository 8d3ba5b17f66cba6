# SPDX-License-Identifier: Apache-2.0
"""Locations of a spool: folders on local file systems, and the name by which the server distinguishes folders."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from pathlib import Path

from z4j_agent.spool.file_lock import change_lock
from z4j_agent.spool.shared_file import open_shared

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "lustre", "glusterfs", "beegfs", "fuse.sshfs", "fuse.glusterfs",
     "fuse.s3fs", "fuse.gcsfuse", "fuse.ceph", "fuse.rclone"}
)  # fmt: skip
"""File systems on which O_APPEND and flock are not reliable between hosts, or at all."""
MOUNTS = Path("/proc/self/mountinfo")


def file_system_of(folder: Path, mounts: Path = MOUNTS) -> str:
    """Returns the type of the file system of `folder` ("ext4", "nfs4", …); "" if unknown, also where there is no `/proc`. `mounts` is a
    file in the format of `/proc/self/mountinfo`, see proc(5)."""
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
        resolved = str(folder.resolve())
    except OSError:
        return ""
    best, kind = -1, ""
    for line in lines:
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
        is_above = resolved == point or resolved.startswith(point.rstrip("/") + "/")
        if is_above and len(point) >= best:  # of two mounts on one point the later one applies
            best, kind = len(point), right.split(" ")[0]
    return kind


def is_network(folder: Path, mounts: Path = MOUNTS) -> bool:
    """Whether `folder` is on one of NETWORK_FILE_SYSTEMS, which are shared between hosts; False if its file system is unknown."""
    return file_system_of(folder, mounts) in NETWORK_FILE_SYSTEMS


def folder_name(folder: Path) -> str:
    """Returns a random name of 16 hexadecimal digits that is stored in this folder, created at the first use: equal paths on two hosts are
    two spools. A file that is damaged gets a new name (`change_lock`). Raises OSError."""
    path = folder / "name"
    with contextlib.suppress(FileNotFoundError):
        if name := _read_name(path):
            return name
        with change_lock(folder):  # of several processes that start now, one replaces it
            if not _read_name(path):
                path.unlink()
    fresh = folder / f"name.{secrets.token_hex(4)}"
    fresh.write_text(secrets.token_hex(8), "ascii")
    with contextlib.suppress(FileExistsError):  # another process was first, and its name is used
        os.link(fresh, path)
    fresh.unlink()
    return path.read_text("ascii")


def _read_name(path: Path) -> str:
    """The name in a file; "" if it contains none, for example after a power failure. Raises OSError."""
    with os.fdopen(open_shared(path, os.O_RDONLY), "rb") as file:
        name = file.read(100).decode("ascii", "replace")
    return name if re.fullmatch(r"[A-Za-z0-9]{1,64}", name) else ""
