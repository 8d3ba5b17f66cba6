# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path

import pytest

from z4j_agent.commands import paused_queues as module
from z4j_agent.commands.paused_queues import PausedQueues, own_holds
from z4j_agent.wire import digest_of

A, B = "redis://a:6379/0", "redis://a:6379/1"


def test_every_process_of_the_spool_folder_knows(tmp_path: Path) -> None:
    one, other = PausedQueues(tmp_path, "huey"), PausedQueues(tmp_path, "huey")
    one.hold("mail")
    one.hold("video")
    one.hold("mail")
    assert other.queues() == {"mail", "video"}
    other.release("video")
    assert one.is_held("mail")
    assert not one.is_held("video")
    one.release("mail")
    assert not other.queues()
    assert not list(tmp_path.iterdir())


def test_engines_hold_their_own(tmp_path: Path) -> None:
    PausedQueues(tmp_path, "huey").hold("mail")
    assert not PausedQueues(tmp_path, "taskiq").is_held("mail")


def test_environments_that_share_a_folder_hold_their_own(tmp_path: Path) -> None:
    PausedQueues(tmp_path, "huey", "staging").hold("mail")
    for other in ("production", "qa"):
        assert not PausedQueues(tmp_path, "huey", other).is_held("mail")
    assert PausedQueues(tmp_path, "huey", "staging").is_held("mail")
    PausedQueues(tmp_path, "huey", "production").hold("video")
    assert not PausedQueues(tmp_path, "huey", "staging").is_held("video")


def test_without_a_folder_this_process_alone_knows() -> None:
    holds = PausedQueues(None, "huey")
    holds.hold("mail")
    assert holds.is_held("mail")
    holds.release("mail")
    assert not holds.is_held("mail")


@pytest.mark.parametrize("content", [b"", b"[", b"{}", b"\xff"])
def test_a_file_that_cannot_be_read_changes_nothing(tmp_path: Path, content: bytes) -> None:
    holds = PausedQueues(tmp_path, "huey")
    holds.hold("mail")
    assert holds.is_held("mail")
    (tmp_path / "huey.pauses").write_bytes(content)
    assert holds.queues() == {"mail"}
    holds.hold("video")
    assert PausedQueues(tmp_path, "huey").queues() == {"mail", "video"}


@pytest.mark.parametrize("name", ["huey.pauses", "huey.paused"])
def test_a_list_that_was_never_readable_is_not_replaced(tmp_path: Path, name: str) -> None:
    """What is written then would end every pause that stands in it."""
    (tmp_path / name).write_bytes(b'[["mail", "", tr')
    holds = PausedQueues(tmp_path, "huey")
    assert not holds.is_held("mail"), "not known, and workers go on"
    for change in (holds.hold, holds.release):
        with pytest.raises(OSError, match="No changes were made"):
            change("video")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b'[["mail", "", tr']
    (tmp_path / name).unlink()
    holds.hold("video")
    assert holds.queues() == {"video"}


def test_what_is_held_is_the_owners_to_read(tmp_path: Path) -> None:
    PausedQueues(tmp_path, "huey").hold("mail")
    assert (tmp_path / "huey.pauses").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    holds = PausedQueues(tmp_path / "gone", "huey")
    with pytest.raises(FileNotFoundError):
        holds.hold("mail")
    assert os.listdir(tmp_path) == []


def test_a_process_has_one_for_each_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_own", {})
    own_holds("huey").hold("mail")
    assert own_holds("huey").is_held("mail")
    assert not own_holds("rq").is_held("mail")


def test_what_was_paused_before_environments_were_told_apart_stays_paused(tmp_path: Path) -> None:
    older = tmp_path / "huey.paused"
    older.write_text('["mail", "video"]')
    for environment in ("production", "staging"):
        assert PausedQueues(tmp_path, "huey", environment).queues() == {"mail", "video"}
    holds = PausedQueues(tmp_path, "huey", "staging")
    holds.release("mail")
    assert PausedQueues(tmp_path, "huey", "staging").queues() == {"video"}
    holds.release("video")
    assert not holds.queues()
    assert not PausedQueues(tmp_path, "huey", "staging").queues(), "what was released is not read from there again"
    assert PausedQueues(tmp_path, "huey", "production").queues() == {"mail", "video"}


def test_what_the_default_environment_paused_is_not_taken_for_such(tmp_path: Path) -> None:
    (tmp_path / "huey.paused").write_text('["mail"]\n')
    assert PausedQueues(tmp_path, "huey", "production").queues() == {"mail"}
    assert not PausedQueues(tmp_path, "huey", "staging").queues()


def test_a_pause_is_of_the_queue_in_one_broker(tmp_path: Path) -> None:
    holds = PausedQueues(tmp_path, "rq")
    holds.hold("mail", A)
    other = PausedQueues(tmp_path, "rq")
    assert other.is_held("mail", A)
    assert not other.is_held("mail", B)
    assert not other.is_held("mail"), "where the broker is not known"
    assert (other.queues(A), other.queues(B), other.names()) == ({"mail"}, frozenset(), {"mail"})
    other.hold("mail", B)
    holds.release("mail", A)
    assert (other.queues(A), other.queues(B), other.names()) == (frozenset(), {"mail"}, {"mail"})
    holds.release("mail", B)
    assert holds.is_empty()
    assert not list(tmp_path.iterdir())


def test_a_pause_without_a_broker_is_of_all_and_each_may_go_on(tmp_path: Path) -> None:
    """An older server names none, and an agent that cannot tell its brokers is told none."""
    holds = PausedQueues(tmp_path, "rq")
    holds.hold("mail", A)
    holds.release("mail", A)
    holds.hold("mail")
    assert holds.is_held("mail", A)
    assert holds.is_held("mail", B)
    holds.release("mail", A)
    assert not PausedQueues(tmp_path, "rq").is_held("mail", A)
    assert PausedQueues(tmp_path, "rq").is_held("mail", B), "only one of them goes on"
    holds.hold("mail", A)
    assert holds.is_held("mail", A)
    holds.release("mail")
    assert holds.is_empty(), "a server that names no broker means all of them"
    holds.hold("mail", A)
    holds.hold("video", B)
    holds.hold("mail")
    holds.release("mail")
    assert (holds.queues(A), holds.queues(B)) == (frozenset(), {"video"})


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_a_pause_from_before_the_upgrade_stays_in_force_in_every_broker(tmp_path: Path, environment: str) -> None:
    """Releases that knew no brokers kept names alone; a process of such a release may run beside this one still."""
    older = tmp_path / ("huey.paused" if environment == "production" else f"huey-{digest_of(environment)}.paused")
    older.write_text('["mail", "video"]\n')
    holds = PausedQueues(tmp_path, "huey", environment)
    assert holds.is_held("mail", A)
    assert holds.is_held("mail", B)
    holds.release("mail", A)
    again = PausedQueues(tmp_path, "huey", environment)
    assert (again.queues(A), again.queues(B)) == ({"video"}, {"mail", "video"})
    assert older.read_text() == '["mail", "video"]\n', "the older process keeps its own"
    again.release("mail")
    again.release("video")
    assert PausedQueues(tmp_path, "huey", environment).is_empty(), "what goes on is not read from there again"


@pytest.mark.parametrize("content", ['[["mail", "a"], 7, ["video", "a", true, 1], ["work", "a", true]]', '{"mail": 1}', "7"])
def test_entries_of_another_form_are_left_out(tmp_path: Path, content: str) -> None:
    (tmp_path / "huey.pauses").write_text(content)
    assert PausedQueues(tmp_path, "huey").queues("a") == ({"work"} if "work" in content else frozenset())
