# SPDX-License-Identifier: AGPL-3.0-or-later
"""The unit of `z4j install-service` under a real systemd: readiness, a crash, a hang, the end, and a socket that systemd has bound. Where
the machine cannot run one in namespaces, this fails and is not skipped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.executable import build
from tests.support.stack import wait_for
from tests.support.systemd import UNITS, Systemd, own_systemd
from z4j_agent.conformance.harness import free_port, is_open

pytestmark = pytest.mark.timeout(420)  # with the build of the executable
SERVICE = "z4j.service"
QUICK = """\
[Service]
WatchdogSec=3
TimeoutAbortSec=1
StandardOutput=append:/run/z4j.log
StandardError=inherit
"""
"""The watchdog of a minute in seconds; there is no journal here."""
SOCKET = """\
[Socket]
ListenStream=127.0.0.1:{port}
"""
MOST_EXPOSED = 2.5
"""`systemd-analyze security` rates units from 0 to 10 and calls those below 5 "medium"; without any of the settings it is 9.6."""


@pytest.fixture(scope="module")
def executable() -> Path:
    return build()


@pytest.fixture
def systemd(tmp_path: Path, executable: Path) -> Iterator[Systemd]:
    with own_systemd(tmp_path, executable) as made:
        made.write("z4j.service.d/quick.conf", QUICK)
        yield made


def answers(port: int) -> bool:
    return is_open(port) and httpx2.get(f"http://127.0.0.1:{port}/healthz", timeout=60).text == "ok\n"


def active(systemd: Systemd) -> str:
    return systemd.run("systemctl", "is-active", SERVICE, is_checked=False)


def is_back(systemd: Systemd, restarts: int) -> bool:
    return systemd.show(SERVICE, "NRestarts") == str(restarts) and active(systemd) == "active"


def inner_pid(systemd: Systemd) -> str:
    """The server: the executable is two processes, of which systemd knows the first as the main one."""
    main = systemd.show(SERVICE, "MainPID")
    return systemd.run("cat", f"/proc/{main}/task/{main}/children").split()[0]


def test_the_service_starts_survives_and_stops(systemd: Systemd) -> None:
    port = free_port()
    said = systemd.run("/opt/z4j", "install-service", "--write", "--port", str(port))
    assert "the service was started" in said
    assert active(systemd) == "active"
    assert answers(port), "it is reported as ready when it can be reached"
    assert systemd.show(SERVICE, "StatusText") == f"serving http://127.0.0.1:{port}"
    uid = systemd.run("stat", "-c", "%u", f"/proc/{inner_pid(systemd)}")
    assert 61184 <= int(uid) <= 65519, "a dynamic user of systemd"
    assert systemd.run("/opt/z4j", "health", "--data", "/var/lib/z4j") == "ok"
    assert "/setup?code=" in systemd.run("cat", "/run/z4j.log")

    before = systemd.show(SERVICE, "MainPID")
    systemd.run("kill", "-KILL", before)
    wait_for(lambda: is_back(systemd, 1), what="systemd started it again after SIGKILL")
    assert systemd.show(SERVICE, "MainPID") != before
    assert answers(port)

    systemd.run("kill", "-STOP", inner_pid(systemd))
    wait_for(lambda: is_back(systemd, 2), what="the watchdog ended the server that hangs, and it was started again")
    assert answers(port)

    systemd.run("systemctl", "stop", SERVICE)
    assert active(systemd) == "inactive", "the server exited on SIGTERM with code 0"
    assert systemd.show(SERVICE, "Result") == "success"
    assert not is_open(port)


def test_the_socket_of_systemd_is_served(systemd: Systemd) -> None:
    port = free_port()
    systemd.write(SERVICE, systemd.run("/opt/z4j", "install-service"))
    systemd.write("z4j.socket", SOCKET.format(port=port))
    systemd.run("systemctl", "daemon-reload")
    systemd.run("systemctl", "start", "z4j.socket")
    assert active(systemd) == "inactive"
    answer = httpx2.get(f"http://127.0.0.1:{port}/healthz", timeout=40)
    assert answer.text == "ok\n", "the first connection starts the service, which answers it"
    assert active(systemd) == "active"
    assert systemd.show(SERVICE, "StatusText") == f"serving http://127.0.0.1:{port}"


def test_the_unit_has_no_fault_and_little_exposure(systemd: Systemd) -> None:
    systemd.write(SERVICE, systemd.run("/opt/z4j", "install-service", "--host", "0.0.0.0", "--tls", "auto"))
    assert systemd.run("systemd-analyze", "verify", "--man=no", f"{UNITS}/{SERVICE}") == ""
    rated = systemd.run("systemd-analyze", "security", "--offline=yes", f"{UNITS}/{SERVICE}")
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", rated)
    assert found, rated
    assert float(found[1]) < MOST_EXPOSED, rated
