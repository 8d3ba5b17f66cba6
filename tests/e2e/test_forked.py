# SPDX-License-Identifier: AGPL-3.0-or-later
"""A forked program is a process of its own: what the other tests rely on (`tests/support/fork_server.py`)."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support import forked
from tests.support.stack import SERVER_PYTHON, wait_for

PROBE = "import os, sys; print(os.getpid(), os.getsid(0), os.getpgrp(), sorted(os.environ), sys.argv, len(os.listdir('/proc/self/fd')))"


def test_it_has_its_own_session_environment_and_files() -> None:
    first, second = (forked.run(SERVER_PYTHON, "timeit", "-n1", "-r1", PROBE, environment={"ONLY": str(n)}) for n in (1, 2))
    assert (first.returncode, first.stderr) == (0, "")
    pid, session, group, *rest = first.stdout.splitlines()[0].split()
    assert pid == session == group
    assert pid != second.stdout.split()[0]
    assert rest[0] == "['ONLY']"
    assert rest[-1] == "4", "its three, and the folder that is listed"


def test_its_input_output_and_status_are_its_own() -> None:
    good = forked.run(SERVER_PYTHON, "json.tool", "--compact", environment={}, stdin='{"a": 1}')
    assert good == (0, '{"a":1}\n', "")
    bad = forked.run(SERVER_PYTHON, "json.tool", environment={}, stdin="{")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert "Expecting property name" in bad.stderr


def test_it_is_killed_as_any_process(tmp_path: Path) -> None:
    code = "print('runs', flush=True); import time; time.sleep(60)"
    with (tmp_path / "log").open("wb") as log:
        process = forked.start([SERVER_PYTHON, "-c", code], env={}, stdout=log)
    wait_for((tmp_path / "log").read_text, what="it runs")
    assert process.poll() is None
    assert not process.ends_within(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(5) == process.poll() == -signal.SIGKILL
    process.kill()  # it has ended: nothing is sent to whatever has its id now


@pytest.mark.parametrize("is_file", [True, False])
def test_it_reads_and_writes_pipes_and_finds_what_lies_beside_it(tmp_path: Path, is_file: bool) -> None:
    (tmp_path / "beside.py").write_text("NAME = 'beside'")
    code = "import sys, beside; print(__name__, beside.NAME, sys.argv[1:], sys.path[0], input())"
    (tmp_path / "main.py").write_text(code)
    command = [SERVER_PYTHON, *((tmp_path / "main.py",) if is_file else ("-c", code)), "word"]
    process = forked.start(command, env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path)
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin as source:
        source.write(b"a line\n")
    with process.stdout as output:
        assert output.read().decode() == f"__main__ beside ['word'] {tmp_path} a line\n"
    assert process.wait(5) == 0
