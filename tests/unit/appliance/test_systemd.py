# SPDX-License-Identifier: AGPL-3.0-or-later
"""A service manager is a datagram socket and a few variables; the whole of it with a server is tests/e2e/test_service.py."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from z4j.appliance.systemd import address_of, notify, take_listener, watchdog_s
from z4j.exceptions import StoreError
from z4j.settings import Settings


@pytest.fixture
def manager(tmp_path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(str(tmp_path / "notify"))
    made.settimeout(5)
    return made


def test_a_state_is_told(manager: socket.socket, tmp_path: Path) -> None:
    assert notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert manager.recv(100) == b"READY=1"
    manager.close()


def test_an_abstract_address() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind("\0z4j-test-notify")
        assert notify("STOPPING=1", {"NOTIFY_SOCKET": "@z4j-test-notify"})
        assert made.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "relative"}, {"NOTIFY_SOCKET": "/nowhere/notify"}])
def test_without_a_manager_nothing_happens(environ: dict[str, str]) -> None:
    assert not notify("READY=1", environ)


@pytest.mark.parametrize(("environ", "seconds"), [
    ({"WATCHDOG_USEC": "60000000"}, 60.0),
    ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
    ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
    ({"WATCHDOG_USEC": "0"}, None),
    ({"WATCHDOG_USEC": "soon"}, None),
    ({}, None),
])  # fmt: skip
def test_the_interval_of_the_watchdog(environ: dict[str, str], seconds: float | None) -> None:
    assert watchdog_s(environ) == seconds


@pytest.mark.parametrize("environ", [{}, {"LISTEN_FDS": "0"}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}, {"LISTEN_FDS": "x"}])
def test_no_socket_is_taken_that_is_for_somebody_else(environ: dict[str, str]) -> None:
    assert take_listener(environ) is None


def test_the_socket_of_the_manager_is_used_and_its_variables_are_removed() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        child = (
            "import os; os.environ['LISTEN_PID'] = str(os.getpid())\n"
            "from z4j.appliance.systemd import take_listener\n"
            "found = take_listener()\n"
            "print(found.getsockname()[1], sorted(name for name in os.environ if name.startswith('LISTEN_')))\n"
        )
        done = subprocess.run(
            ["/bin/bash", "-c", f'exec 3<&{bound.fileno()}; exec "$@"', "sh", sys.executable, "-c", child],
            env={**os.environ, "LISTEN_FDS": "1"}, capture_output=True, text=True, check=True, pass_fds=(bound.fileno(),),
        )  # fmt: skip
        assert done.stdout.split(maxsplit=1) == [str(bound.getsockname()[1]), "[]\n"]


def test_a_socket_of_the_network_needs_tls_or_a_proxy() -> None:
    with socket.socket() as bound:
        bound.bind(("0.0.0.0", 0))
        with pytest.raises(StoreError, match="not a loopback address"):
            address_of(bound, Settings())
        assert address_of(bound, Settings(tls="auto")) == "0.0.0.0"
        assert address_of(bound, Settings(behind_proxy=True)) == "0.0.0.0"
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert address_of(bound, Settings()) == "127.0.0.1"
