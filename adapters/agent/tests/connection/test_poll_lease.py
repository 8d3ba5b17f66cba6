# SPDX-License-Identifier: Apache-2.0
"""One agent of a folder for each engine asks the broker; its death frees the turn."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from z4j_agent.connection.poll_lease import PollLease


def test_one_of_a_folder_has_the_turn(tmp_path: Path) -> None:
    first, second = PollLease(tmp_path), PollLease(tmp_path)
    assert first.acquire("celery")
    assert first.acquire("celery")
    assert not second.acquire("celery")
    assert not second.acquire("celery")
    assert second.acquire("rq")
    first.give_up()
    assert second.acquire("celery")


def test_each_environment_of_a_folder_asks_its_own_broker(tmp_path: Path) -> None:
    assert PollLease(tmp_path, "staging").acquire("celery")
    assert PollLease(tmp_path, "production").acquire("celery")
    assert not PollLease(tmp_path, "staging").acquire("celery")


def test_without_a_folder_every_turn_is_ours(tmp_path: Path) -> None:
    assert PollLease(None).acquire("celery")
    assert PollLease(tmp_path / "gone").acquire("celery")


def test_a_killed_holder_frees_its_turn(tmp_path: Path) -> None:
    ready, answer = os.pipe()
    pid = os.fork()
    if pid == 0:
        lease = PollLease(tmp_path)
        os.write(answer, b"y" if lease.acquire("celery") else b"n")
        signal.pause()
    assert os.read(ready, 1) == b"y"
    assert not PollLease(tmp_path).acquire("celery")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert PollLease(tmp_path).acquire("celery")
    os.close(ready)
    os.close(answer)


def test_a_forked_child_does_not_keep_the_turn(tmp_path: Path) -> None:
    turns = PollLease(tmp_path)
    assert turns.acquire("celery")
    ready, answer = os.pipe()
    pid = os.fork()
    if pid == 0:
        turns.give_up()
        os.write(answer, b"x")
        signal.pause()
    os.read(ready, 1)
    turns.give_up()
    assert PollLease(tmp_path).acquire("celery")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(ready)
    os.close(answer)
