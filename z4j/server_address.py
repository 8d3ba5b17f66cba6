# SPDX-License-Identifier: AGPL-3.0-or-later
"""The address of the server of a data folder: a running server records it in a file of the folder, so that the command line does not have
to guess it."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path

from z4j import files
from z4j.settings import Settings, variable

ADDRESS_FILE = "server.json"


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the server of a data folder is reached. `is_running` is False for what a server that was killed has left behind."""

    host: str
    port: int
    pid: int
    behind_proxy: bool
    is_running: bool = True

    @property
    def netloc(self) -> str:
        """`127.0.0.1:7700`"""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def write_address(folder: Path, host: str, port: int, *, behind_proxy: bool) -> None:
    """Notes where this process serves the folder. Raises OSError."""
    files.write_whole(
        folder / ADDRESS_FILE, json.dumps({"host": host, "port": port, "pid": os.getpid(), "behind_proxy": behind_proxy}) + "\n"
    )


def remove_address(folder: Path) -> None:
    """Removes the recorded address when the server stops."""
    with contextlib.suppress(OSError):
        (folder / ADDRESS_FILE).unlink()


def read_address(folder: Path) -> Serving | None:
    """Returns where the data folder is or was served; None if that is unknown."""
    try:
        fields = json.loads((folder / ADDRESS_FILE).read_text("utf-8"))
        return Serving(str(fields["host"]), int(fields["port"]), int(fields["pid"]), bool(fields["behind_proxy"]), is_locked(folder))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_locked(folder: Path) -> bool:
    """Whether a server holds the lock of the folder now."""
    try:
        fd = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def address_of(words: argparse.Namespace, settings: Settings) -> tuple[str, list[str]]:
    """Returns (host:port, sentences about it): the recorded address of the server of the data folder, unless an address is given."""
    is_given = any(getattr(words, name, None) is not None or variable(name) in os.environ for name in ("host", "port"))
    given = f"{settings.host}:{settings.port}"
    serving = read_address(settings.data)
    if is_given:
        is_other = serving is not None and serving.is_running and serving.netloc != given
        return given, [f"The server of {settings.data} listens on {serving.netloc}, not on {given}."] if is_other and serving else []
    if serving is None:
        return given, [
            f"No server has used {settings.data} yet. {given} is the default address. Replace it if the server listens elsewhere."
        ]
    if not serving.is_running:
        return serving.netloc, [f"No server is running on {settings.data}. The last one listened on {serving.netloc}."]
    if serving.behind_proxy:
        return serving.netloc, [f"The server is behind a proxy. On other hosts, replace {serving.netloc} with the address of the proxy."]
    return serving.netloc, []
