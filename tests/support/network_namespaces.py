# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two hosts without a route to anywhere: network namespaces that are connected by a pair of virtual interfaces. Requires root and `ip`."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWNET = 0x40000000
SERVER, WORKER = "10.77.0.1", "10.77.0.2"


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr} (these tests need root and network namespaces)"


@dataclass(frozen=True)
class Hosts:
    """The names of the two namespaces."""

    server: str
    worker: str

    def at_server(self, *command: str | Path) -> list[str]:
        """The words that run a command on the host of the server."""
        return ["ip", "netns", "exec", self.server, *map(str, command)]


@contextlib.contextmanager
def two_hosts() -> Iterator[Hosts]:
    """Makes both hosts. The calling thread, and what it starts, is on the host of the worker meanwhile."""
    made = Hosts(f"z4j-server-{os.getpid()}", f"z4j-worker-{os.getpid()}")
    try:
        for name in (made.server, made.worker):
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", made.server, "link", "add", "z4j0", "type", "veth", "peer", "name", "z4j1", "netns", made.worker)
        for name, link, address in ((made.server, "z4j0", SERVER), (made.worker, "z4j1", WORKER)):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", link)
            _ip("-n", name, "link", "set", link, "up")
        with _entered(made.worker):
            yield made
    finally:
        for name in (made.server, made.worker):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


@contextlib.contextmanager
def _entered(name: str) -> Iterator[None]:
    libc = ctypes.CDLL(None, use_errno=True)
    before, there = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        assert libc.setns(there, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.setns(before, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
    finally:
        os.close(before)
        os.close(there)
