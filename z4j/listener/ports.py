# SPDX-License-Identifier: AGPL-3.0-or-later
"""Binds the port of the server, or reports which process uses it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path

from z4j.exceptions import StoreError


class PortTaken(StoreError):
    """Another process listens there."""


def bind(host: str, port: int) -> socket.socket:
    """Returns a socket that is bound to the address. Raises PortTaken or StoreError with the reason."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named: asyncio turns off the delay of small packets (40 ms for every page) only where it reads TCP here.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(socket.SOMAXCONN)  # bound is not enough: two may be bound to one port until one of them listens
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"Port {port} of {host} is in use by {describe_holder(port)}. z4j was not started.",
                "Stop that process, or choose another port with --port.",
            ) from error
        if error.errno == errno.EACCES:
            raise StoreError(
                f"This user has no permission to use port {port}. z4j was not started.", "Choose a port above 1023."
            ) from error
        raise StoreError(
            f"z4j cannot listen on {host}, port {port}: {error.strerror or error}. z4j was not started.", "Check --host."
        ) from error
    return made


def describe_holder(port: int) -> str:
    """`process 123 (python -m z4j serve)`, or `another process` where that cannot be found out."""
    pid = holder_of(port)
    if pid is None:
        return "another process"
    command = command_of(pid)
    return f"process {pid} ({command})" if command else f"process {pid}"


def holder_of(port: int) -> int | None:
    """Returns the id of the process that listens on a port, as far as this user may see it (Linux), or None."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    if not inodes:
        return None
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                for fd in (folder / "fd").iterdir():
                    with contextlib.suppress(OSError):
                        if os.readlink(fd) in inodes:
                            return int(folder.name)
    return None


def command_of(pid: int) -> str:
    """Returns how a process was started, without anything that may be secret: the program, and up to three words that name a module or a
    command."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return ""
    shown = [Path(words[0]).name] if words and words[0] else []
    for word in words[1:]:
        if len(shown) >= 4 or (word.startswith("-") and word != "-m") or not word.isprintable() or len(word) > 60:
            break
        shown.append(Path(word).name if "/" in word else word)
    return " ".join(shown)
