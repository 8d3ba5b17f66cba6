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
    log = tmp_path / "log"
    program = forked.Program("timeit", ("-n1", "-r1", "print('runs', flush=True); import time; time.sleep(60)"), {}, log, log)
    process = forked.start(SERVER_PYTHON, program)
    wait_for(lambda: log.exists() and log.read_text(), what="it runs")
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(5) == process.poll() == -signal.SIGKILL
    process.kill()  # it has ended: nothing is sent to whatever has its id now
