# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

import z4j_agent
from z4j_agent.commands import paused_queues as module
from z4j_agent.commands.paused_queues import PausedQueues, paused_queues_of
from z4j_agent.spool import file_lock
from z4j_agent.spool.file_lock import LOCK, change_lock
from z4j_agent.wire import digest_of


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != LOCK)


A, B = "redis://a:6379/0", "redis://a:6379/1"


def test_every_process_of_the_spool_folder_knows(tmp_path: Path) -> None:
    one, other = PausedQueues(tmp_path, "huey"), PausedQueues(tmp_path, "huey")
    one.pause("mail")
    one.pause("video")
    one.pause("mail")
    assert other.queues() == {"mail", "video"}
    other.resume("video")
    assert one.is_paused("mail")
    assert not one.is_paused("video")
    one.resume("mail")
    assert not other.queues()
    assert files(tmp_path) == []


def test_engines_hold_their_own(tmp_path: Path) -> None:
    PausedQueues(tmp_path, "huey").pause("mail")
    assert not PausedQueues(tmp_path, "taskiq").is_paused("mail")


def test_environments_that_share_a_folder_hold_their_own(tmp_path: Path) -> None:
    PausedQueues(tmp_path, "huey", "staging").pause("mail")
    for other in ("production", "qa"):
        assert not PausedQueues(tmp_path, "huey", other).is_paused("mail")
    assert PausedQueues(tmp_path, "huey", "staging").is_paused("mail")
    PausedQueues(tmp_path, "huey", "production").pause("video")
    assert not PausedQueues(tmp_path, "huey", "staging").is_paused("video")


def test_without_a_folder_this_process_alone_knows() -> None:
    paused_queues = PausedQueues(None, "huey")
    paused_queues.pause("mail")
    assert paused_queues.is_paused("mail")
    paused_queues.resume("mail")
    assert not paused_queues.is_paused("mail")


@pytest.mark.parametrize("content", [b"", b"[", b"{}", b"\xff"])
def test_a_file_that_cannot_be_read_changes_nothing(tmp_path: Path, content: bytes) -> None:
    paused_queues = PausedQueues(tmp_path, "huey")
    paused_queues.pause("mail")
    assert paused_queues.is_paused("mail")
    (tmp_path / "huey.pauses").write_bytes(content)
    assert paused_queues.queues() == {"mail"}
    paused_queues.pause("video")
    assert PausedQueues(tmp_path, "huey").queues() == {"mail", "video"}


@pytest.mark.parametrize("name", ["huey.pauses", "huey.paused"])
def test_a_list_that_was_never_readable_is_not_replaced(tmp_path: Path, name: str) -> None:
    """What is written then would end every pause that stands in it."""
    (tmp_path / name).write_bytes(b'[["mail", "", tr')
    paused_queues = PausedQueues(tmp_path, "huey")
    assert not paused_queues.is_paused("mail"), "not known, and workers go on"
    for change in (paused_queues.pause, paused_queues.resume):
        with pytest.raises(OSError, match="No changes were made"):
            change("video")
    assert files(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b'[["mail", "", tr'
    (tmp_path / name).unlink()
    paused_queues.pause("video")
    assert paused_queues.queues() == {"video"}


def test_what_is_held_is_the_owners_to_read(tmp_path: Path) -> None:
    PausedQueues(tmp_path, "huey").pause("mail")
    assert (tmp_path / "huey.pauses").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    paused_queues = PausedQueues(tmp_path / "gone", "huey")
    with pytest.raises(FileNotFoundError):
        paused_queues.pause("mail")
    assert os.listdir(tmp_path) == []


def test_a_process_has_one_for_each_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_by_folder", {})
    paused_queues_of("huey").pause("mail")
    assert paused_queues_of("huey").is_paused("mail")
    assert not paused_queues_of("rq").is_paused("mail")


def test_an_agent_that_starts_again_with_another_folder_has_its_file_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_by_folder", {})
    for folder in ("first", "second"):
        agent = z4j_agent.start(url="z4j+ws://tok." + "A" * 43 + "@127.0.0.1:9", spool=tmp_path / folder)
        assert agent is not None
        assert not paused_queues_of("huey").queues()
        paused_queues_of("huey").pause(folder)
        assert PausedQueues(agent.shipper.folder, "huey").queues() == {folder}
        z4j_agent.stop()
    assert not paused_queues_of("huey").queues(), "without an agent there is no file"


def test_what_was_paused_before_environments_were_told_apart_stays_paused(tmp_path: Path) -> None:
    older = tmp_path / "huey.paused"
    older.write_text('["mail", "video"]')
    for environment in ("production", "staging"):
        assert PausedQueues(tmp_path, "huey", environment).queues() == {"mail", "video"}
    paused_queues = PausedQueues(tmp_path, "huey", "staging")
    paused_queues.resume("mail")
    assert PausedQueues(tmp_path, "huey", "staging").queues() == {"video"}
    paused_queues.resume("video")
    assert not paused_queues.queues()
    assert not PausedQueues(tmp_path, "huey", "staging").queues(), "what was released is not read from there again"
    assert PausedQueues(tmp_path, "huey", "production").queues() == {"mail", "video"}


def test_what_the_default_environment_paused_is_not_taken_for_such(tmp_path: Path) -> None:
    (tmp_path / "huey.paused").write_text('["mail"]\n')
    assert PausedQueues(tmp_path, "huey", "production").queues() == {"mail"}
    assert not PausedQueues(tmp_path, "huey", "staging").queues()


def test_a_pause_is_of_the_queue_in_one_broker(tmp_path: Path) -> None:
    paused_queues = PausedQueues(tmp_path, "rq")
    paused_queues.pause("mail", A)
    other = PausedQueues(tmp_path, "rq")
    assert other.is_paused("mail", A)
    assert not other.is_paused("mail", B)
    assert not other.is_paused("mail"), "where the broker is not known"
    assert (other.queues(A), other.queues(B), other.names()) == ({"mail"}, frozenset(), {"mail"})
    other.pause("mail", B)
    paused_queues.resume("mail", A)
    assert (other.queues(A), other.queues(B), other.names()) == (frozenset(), {"mail"}, {"mail"})
    paused_queues.resume("mail", B)
    assert paused_queues.is_empty()
    assert files(tmp_path) == []


def test_a_pause_without_a_broker_is_of_all_and_each_may_go_on(tmp_path: Path) -> None:
    """An older server names none, and an agent that cannot distinguish its brokers receives none."""
    paused_queues = PausedQueues(tmp_path, "rq")
    paused_queues.pause("mail", A)
    paused_queues.resume("mail", A)
    paused_queues.pause("mail")
    assert paused_queues.is_paused("mail", A)
    assert paused_queues.is_paused("mail", B)
    paused_queues.resume("mail", A)
    assert not PausedQueues(tmp_path, "rq").is_paused("mail", A)
    assert PausedQueues(tmp_path, "rq").is_paused("mail", B), "only one of them goes on"
    paused_queues.pause("mail", A)
    assert paused_queues.is_paused("mail", A)
    paused_queues.resume("mail")
    assert paused_queues.is_empty(), "a server that names no broker means all of them"
    paused_queues.pause("mail", A)
    paused_queues.pause("video", B)
    paused_queues.pause("mail")
    paused_queues.resume("mail")
    assert (paused_queues.queues(A), paused_queues.queues(B)) == (frozenset(), {"video"})


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_a_pause_from_before_the_upgrade_stays_in_force_in_every_broker(tmp_path: Path, environment: str) -> None:
    """Releases that knew no brokers kept names alone; a process of such a release may run beside this one still."""
    older = tmp_path / ("huey.paused" if environment == "production" else f"huey-{digest_of(environment)}.paused")
    older.write_text('["mail", "video"]\n')
    paused_queues = PausedQueues(tmp_path, "huey", environment)
    assert paused_queues.is_paused("mail", A)
    assert paused_queues.is_paused("mail", B)
    paused_queues.resume("mail", A)
    again = PausedQueues(tmp_path, "huey", environment)
    assert (again.queues(A), again.queues(B)) == ({"video"}, {"mail", "video"})
    assert older.read_text() == '["mail", "video"]\n', "the older process keeps its own"
    again.resume("mail")
    again.resume("video")
    assert PausedQueues(tmp_path, "huey", environment).is_empty(), "what goes on is not read from there again"


@pytest.mark.parametrize("content", ['[["mail", "a"], 7, ["video", "a", true, 1], ["work", "a", true]]', '{"mail": 1}', "7"])
def test_entries_of_another_form_are_left_out(tmp_path: Path, content: str) -> None:
    (tmp_path / "huey.pauses").write_text(content)
    assert PausedQueues(tmp_path, "huey").queues("a") == ({"work"} if "work" in content else frozenset())


@pytest.fixture
def paused_queues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PausedQueues:
    made = PausedQueues(tmp_path, "fake")
    monkeypatch.setattr(module, "paused_queues_of", lambda engine: {"fake": made}[engine])
    return made


def test_a_switch_follows_the_pause(paused_queues: PausedQueues) -> None:
    switched: list[bool] = []
    module.pause("fake", "mail", A, switched.append)
    assert (switched, module.is_paused("fake", "mail", lambda: A), module.is_paused("fake", "mail", lambda: B)) == (
        [False], True, False,
    )  # fmt: skip
    module.resume("fake", "mail", A, switched.append, A)
    assert (switched, paused_queues.is_empty()) == ([False, True], True)


def test_a_queue_that_another_pause_holds_does_not_go_on(paused_queues: PausedQueues) -> None:
    switched: list[bool] = []
    module.pause("fake", "mail", "")
    module.resume("fake", "mail", B, switched.append, A)
    assert switched == []
    module.resume("fake", "mail", A, switched.append, A)
    assert switched == [True]
    assert module.is_paused("fake", "mail", lambda: "redis://elsewhere")


def test_a_worker_that_begins_is_paused_again(paused_queues: PausedQueues) -> None:
    switched: list[bool] = []
    module.reapply_pause("fake", "mail", lambda: A, switched.append)
    assert switched == []
    paused_queues.pause("mail", A)
    module.reapply_pause("fake", "mail", lambda: A, switched.append)
    module.reapply_pause("fake", "other", lambda: A, switched.append)
    assert switched == [False]


def test_while_nothing_is_paused_no_broker_is_asked_who_it_is(paused_queues: PausedQueues) -> None:
    def identify() -> str:
        raise AssertionError("asked")

    assert not module.is_paused("fake", "mail", identify)
    paused_queues.pause("mail")
    with pytest.raises(AssertionError, match="asked"):
        module.is_paused("fake", "mail", identify)


def test_a_check_before_every_task_reads_the_file_ten_times_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    ours = PausedQueues(tmp_path, "huey")
    monkeypatch.setattr(module, "paused_queues_of", lambda engine: reads.append(engine) or ours)
    monkeypatch.setattr(module, "ticks", lambda: at)
    at, check = 5.0, module.PauseCheck("huey", "mail", lambda: A)
    assert not any(check() for _ in range(100))
    assert reads == ["huey"]
    PausedQueues(tmp_path, "huey").pause("mail", A)  # another process
    at += module.CHECK_EVERY_S * 0.9
    assert not check()
    at += module.CHECK_EVERY_S * 0.2
    assert check()
    assert check(), "a pause is not assumed, but read every time, so that it ends at once"
    ours.resume("mail", A)
    assert not check()
    module.pause("huey", "mail", A)  # by this process: at once
    assert check()


def test_a_check_of_all_queues_is_as_old_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    ours = PausedQueues(tmp_path, "rq")
    monkeypatch.setattr(module, "paused_queues_of", lambda engine: reads.append(engine) or ours)
    monkeypatch.setattr(module, "ticks", lambda: at)
    at, is_nothing_paused = 5.0, module.EmptyCheck("rq")
    assert all(is_nothing_paused() for _ in range(100))
    assert reads == ["rq"]
    PausedQueues(tmp_path, "rq").pause("mail", A)  # another process
    at += module.CHECK_EVERY_S * 1.1
    assert not is_nothing_paused()
    ours.resume("mail", A)
    assert is_nothing_paused()
    module.pause("rq", "mail", A)  # by this process: at once
    assert not is_nothing_paused()


# -- changes of several processes ----------------------------------------------------------------------------------------
def test_pauses_of_two_processes_at_one_moment_are_both_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one comes between the first one's reading and its writing."""
    one = PausedQueues(tmp_path, "huey")
    other = threading.Thread(target=lambda: PausedQueues(tmp_path, "huey").pause("video"))
    put = one._put

    def put_late(states: module.States) -> None:
        other.start()
        other.join(0.1)  # without a lock it is stored in this time, and lost afterwards
        put(states)

    monkeypatch.setattr(one, "_put", put_late)
    one.pause("mail")
    other.join(10)
    assert PausedQueues(tmp_path, "huey").queues() == {"mail", "video"}


def test_pauses_of_many_processes_are_all_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "WAIT_S", 60.0)  # on a busy machine
    children = []
    for child in range(4):
        if (pid := os.fork()) == 0:
            try:
                paused_queues = PausedQueues(tmp_path, "huey")
                for number in range(25):
                    paused_queues.pause(f"{child}-{number}")
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    assert len(PausedQueues(tmp_path, "huey").queues()) == 100


def test_a_change_that_cannot_be_made_safely_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "WAIT_S", 0.01)
    paused_queues = PausedQueues(tmp_path, "huey")
    paused_queues.pause("mail")
    with change_lock(tmp_path):
        for change in (paused_queues.pause, paused_queues.resume):
            with pytest.raises(TimeoutError):
                change("video")
    assert paused_queues.queues() == {"mail"}
