# SPDX-License-Identifier: AGPL-3.0-or-later
"""Under a service manager: notifications, the watchdog, a socket that is bound already, the end by each signal."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.support.stack import ROOT, SERVER_PYTHON, wait_for

pytestmark = pytest.mark.timeout(120)


@contextmanager
def serving(folder: Path, *words: str, env: dict[str, str], bound: socket.socket | None = None) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "Z4J_DATA": str(folder / "data"), "PYTHONPATH": str(ROOT), **env}
    script = f'exec 3<&{bound.fileno()}; export LISTEN_PID=$$; exec "$@"' if bound else 'exec "$@"'
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            ["/bin/bash", "-c", script, "sh", str(SERVER_PYTHON), "-m", "z4j", "serve", *words],
            env=environment, stdout=log, stderr=log, pass_fds=(bound.fileno(),) if bound else (),
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(60)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(20)
        yield made


def test_ready_alive_and_stopping_are_reported(tmp_path: Path, manager: socket.socket) -> None:
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1500000"}
    with serving(tmp_path, "--port", "0", env=env) as process:
        assert manager.recv(200).startswith(b"READY=1\nSTATUS=serving http://127.0.0.1:")
        began = time.monotonic()
        for _ in range(3):
            assert manager.recv(200) == b"WATCHDOG=1"
        assert time.monotonic() - began < 10
        process.send_signal(signal.SIGTERM)
        found = b""
        while found != b"STOPPING=1":
            found = manager.recv(200)
        assert process.wait(60) == 0


def test_a_hung_server_reports_nothing(tmp_path: Path, manager: socket.socket) -> None:
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "900000"}
    with serving(tmp_path, "--port", "0", env=env) as process:
        assert manager.recv(200).startswith(b"READY=1")
        process.send_signal(signal.SIGSTOP)
        manager.settimeout(1.5)
        reported = 0
        try:
            while manager.recv(200):
                reported += 1
        except TimeoutError:
            assert reported < 5, "what it had sent before"
        process.send_signal(signal.SIGCONT)


def test_the_socket_of_the_manager_is_served(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        port = bound.getsockname()[1]
        with serving(tmp_path, env={"LISTEN_FDS": "1"}, bound=bound):
            assert httpx2.get(f"http://127.0.0.1:{port}/healthz", timeout=20).text == "ok\n", "the first connection waits in the socket"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_it_ends_at_each_signal_and_starts_again(tmp_path: Path, number: signal.Signals) -> None:
    for _ in range(2):
        with serving(tmp_path, "--port", "0", env={}) as process:
            wait_for((tmp_path / "data/server.json").exists, what="it serves")
            command = [str(SERVER_PYTHON), "-m", "z4j", "health", "--data", str(tmp_path / "data")]
            assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "ok\n"
            process.send_signal(number)
            assert process.wait(60) == (-number if number == signal.SIGKILL else 0)
        (tmp_path / "data/server.json").unlink(missing_ok=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "does not respond" in done.stderr
