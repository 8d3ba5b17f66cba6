# SPDX-License-Identifier: Apache-2.0
"""A worker ends after it has answered."""

from __future__ import annotations

import signal
import subprocess
import sys

from z4j_agent.commands import worker_end
from z4j_agent.runtime.native_threads import ticks


def test_the_signal_comes_after_the_answer() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    began = ticks()
    worker_end.signal_after_answer(signal.SIGTERM, child.pid)
    assert child.poll() is None
    assert child.wait(60) == -signal.SIGTERM
    assert ticks() - began >= worker_end.ANSWER_S * 0.9


def test_without_a_pid_it_is_this_process() -> None:
    code = (
        "import signal, time; from z4j_agent.commands import worker_end\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # the process that started the tests may ignore it\n"
        "worker_end.signal_after_answer(signal.SIGINT); time.sleep(60)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "KeyboardInterrupt" in done.stderr
