# SPDX-License-Identifier: Apache-2.0
"""A worker ends after it has answered, and a pause holds for its switch as well as for those that start later."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from z4j_agent.commands import worker_end
from z4j_agent.commands.paused_queues import PausedQueues
from z4j_agent.runtime.native_threads import ticks

HERE, THERE = "redis://here", "redis://there"


@pytest.fixture
def paused_queues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PausedQueues:
    made = PausedQueues(tmp_path, "fake")
    monkeypatch.setattr(worker_end, "paused_queues_of", lambda engine: {"fake": made}[engine])
    return made


def test_the_signal_comes_after_the_answer() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    began = ticks()
    worker_end.signal_after_answer(signal.SIGTERM, child.pid)
    assert child.poll() is None
    assert child.wait(20) == -signal.SIGTERM
    assert ticks() - began >= worker_end.ANSWER_S * 0.9


def test_without_a_pid_it_is_this_process() -> None:
    code = (
        "import signal, time; from z4j_agent.commands import worker_end\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # the process that started the tests may ignore it\n"
        "worker_end.signal_after_answer(signal.SIGINT); time.sleep(60)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "KeyboardInterrupt" in done.stderr


def test_a_switch_follows_the_pause(paused_queues: PausedQueues) -> None:
    switched: list[bool] = []
    worker_end.pause("fake", "mail", HERE, switched.append)
    assert (switched, worker_end.is_paused("fake", "mail", lambda: HERE), worker_end.is_paused("fake", "mail", lambda: THERE)) == (
        [False], True, False,
    )  # fmt: skip
    worker_end.resume("fake", "mail", HERE, switched.append, HERE)
    assert (switched, paused_queues.is_empty()) == ([False, True], True)


def test_a_queue_that_another_pause_holds_does_not_go_on(paused_queues: PausedQueues) -> None:
    switched: list[bool] = []
    worker_end.pause("fake", "mail", "")
    worker_end.resume("fake", "mail", THERE, switched.append, HERE)
    assert switched == []
    worker_end.resume("fake", "mail", HERE, switched.append, HERE)
    assert switched == [True]
    assert worker_end.is_paused("fake", "mail", lambda: "redis://elsewhere")


def test_a_worker_that_begins_is_paused_again(paused_queues: PausedQueues) -> None:
    switched: list[bool] = []
    worker_end.reapply_pause("fake", "mail", lambda: HERE, switched.append)
    assert switched == []
    paused_queues.pause("mail", HERE)
    worker_end.reapply_pause("fake", "mail", lambda: HERE, switched.append)
    worker_end.reapply_pause("fake", "other", lambda: HERE, switched.append)
    assert switched == [False]


def test_while_nothing_is_paused_no_broker_is_asked_who_it_is(paused_queues: PausedQueues) -> None:
    def identify() -> str:
        raise AssertionError("asked")

    assert not worker_end.is_paused("fake", "mail", identify)
    paused_queues.pause("mail")
    with pytest.raises(AssertionError, match="asked"):
        worker_end.is_paused("fake", "mail", identify)
