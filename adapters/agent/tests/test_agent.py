# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import json
import logging
import os
import queue
import re
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import z4j_agent
from z4j_agent import agent as module
from z4j_agent import wire
from z4j_agent.agent import Agent
from z4j_agent.capture import guard
from z4j_agent.capture.guard import Faults, faults
from z4j_agent.conformance.harness import wait_for
from z4j_agent.contract import interrupts
from z4j_agent.contract.adapter import Adapter, Unsupported
from z4j_agent.contract.capabilities import ACTION_LEVEL, Capability
from z4j_agent.runtime import native_threads
from z4j_agent.settings import Settings
from z4j_agent.spool import spool_location
from z4j_agent.spool.memory import MemorySpool
from z4j_agent.spool.spool import SpoolUnusable
from z4j_agent.wire import records
from z4j_agent.wire.redaction import redact_text

Make = Callable[..., Settings]
URL = "z4j+ws://tok." + "A" * 43 + "@127.0.0.1:9"
HEAD = ("fake", "t1", 0, 5, "b.1", "shop.ship", "work")


def decoded(data: bytes) -> list[list[Any]]:
    return [json.loads(part) for part in wire.split_records(data)]


# -- start -------------------------------------------------------------------------------------------------------------
def test_off_without_a_connection_string(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert z4j_agent.start() is None
    assert caplog.messages == ["z4j is disabled: Z4J_URL is not set"]
    assert z4j_agent.current() is None
    z4j_agent.stop()


def test_a_mistake_is_one_line_and_no_exception(caplog: pytest.LogCaptureFixture) -> None:
    assert z4j_agent.start(url="z4j//typo") is None
    assert len(caplog.messages) == 1
    assert "set the connection string" in caplog.text


def test_a_second_start_adds_its_adapters(tmp_path: Path) -> None:
    class Broken(Adapter):
        engine = "broken"

        def install(self) -> None:
            raise ValueError("odd")

    class Plain(Adapter):
        engine = "plain"

        def install(self) -> None:
            """Nothing to hook."""

        def uninstall(self) -> None:
            raise ValueError("odd")

    first = z4j_agent.start(url=URL, spool=tmp_path)
    assert first is not None
    assert z4j_agent.start(Plain(), url=URL, spool=tmp_path) is first
    assert [adapter.engine for adapter in first.adapters] == ["plain"]
    assert z4j_agent.start(Broken(), url=URL, spool=tmp_path) is first
    assert "start" in faults.by_operation
    z4j_agent.stop()
    assert "uninstalling plain" in faults.by_operation


def test_import_is_light() -> None:
    code = (
        "import sys, time; b = time.process_time(); import z4j_agent; import z4j_agent.agent; c = time.process_time() - b;"
        "print(c, [m for m in ('websockets', 'cryptography', 'ssl', 'asyncio') if m in sys.modules])"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split(" ", 1) for _ in range(3)]
    assert {run[1].strip() for run in runs} == {"[]"}
    assert min(float(run[0]) for run in runs) < 0.3  # 20 ms are the budget; coverage and a busy machine take their part


# -- the agent ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def agent(make_settings: Make) -> Agent:
    return Agent(make_settings(), ())


def test_payload_is_redacted_and_sealed(agent: Agent) -> None:
    [plain] = decoded(agent.payload("fake", "t", 0, "n", "q", 2, [1], {"k": "v"}, {"body": "b"}))
    assert plain[8:11] == [2, '[1] {"k": "v"}', False]
    assert agent.settings.seal_key is not None
    assert (plain[11][0], plain[12]) == (agent.settings.seal_key.key_id, "plain")
    data = agent.payload("fake", "t", 0, "n", "q", 1, ["ada", "hunter2"], {}, {"body": "hunter2"}, ("name", "password"))
    [sealed] = decoded(data)
    assert b"hunter2" not in data
    assert sealed[9:11] == ['["ada", "•••"]', True]
    assert (len(sealed[11][0]), sealed[12]) == (8, "sealed")
    assert decoded(agent.payload("fake", "t", 0, "n", "q", 1, [], {}, None))[0][11:] == [None, "none", ""]
    assert agent.show({"token": "x"}) == '{"token": "•••"}'


def test_an_error_of_a_fire_is_masked(agent: Agent, segments: Callable[[], list[bytes]]) -> None:
    agent.fired("beat", "nightly", 1, outcome="failed", error="OperationalError: amqp://ada:hunter2-9x@broker// " + "x" * 1_000)
    text = b"".join(segments())
    assert b"hunter2" not in text
    assert b"OperationalError: amqp://\\u2022" in text


@pytest.mark.parametrize("is_secret", [True, False])
def test_an_original_is_sealed_where_anything_in_it_is_secret(agent: Agent, is_secret: bool) -> None:
    """What an adapter shows may hold less than what it keeps."""
    record = agent.shown_payload(
        "celery", "t", 0, "f", "q", 2, ("[1]", False), {"headers": {"x": "hunter2-9x"}}, is_secret=is_secret, broker="redis:h"
    )  # fmt: skip
    fields = json.loads(record[1:] if record[:1] == b"\x1e" else record)
    assert (b"hunter2" in base64.b64decode(fields[11][1])) is not is_secret
    assert fields[10:] == [False, fields[11], "sealed" if is_secret else "plain", "redis:h"]
    assert json.loads(agent.shown_payload("celery", "t", 0, "f", "q", 2, ("[1]", False), None).lstrip(b"\x1e"))[11:13] == [
        None,
        "too_large",
    ]


def test_a_job_that_is_offered_by_a_job_waits_for_the_next_time(agent: Agent) -> None:
    def again() -> None:
        agent.offer(again)

    agent._connection = object()  # type: ignore[assignment]
    again()
    assert not agent.drain_offered(), "it made no record: the thread need not hurry"
    assert len(agent._offered) == 1
    agent._connection = None


def test_offered_jobs_are_bounded(agent: Agent, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "OFFERED_AT_MOST", 2)
    agent._connection = object()  # type: ignore[assignment]
    agent._offered = type(agent._offered)(maxlen=2)
    for _ in range(3):
        agent.offer(lambda: records.started(*HEAD))
    agent._connection = None
    assert (len(agent._offered), agent.spool.dropped_total) == (2, 1)
    assert not agent.flush(0.1)
    assert agent.drain_offered()
    assert not agent.drain_offered()


def test_faults_are_reported_as_records(agent: Agent, segments: Callable[[], list[bytes]]) -> None:
    faults.report("testing", ValueError("secret"))
    faults.report("testing", ValueError("secret"))
    agent.append(records.started(*HEAD))
    reported = [record for record in decoded(segments()[0]) if record[0] == "fault"]
    assert [record[3] for record in reported] == [{"where": "testing", "error": "ValueError", "count": 1}]
    assert b"secret" not in segments()[0]


# -- guard -------------------------------------------------------------------------------------------------------------
class SoftLimit(Exception):
    pass


def test_guard_keeps_ours_and_passes_the_engines() -> None:
    def act(error: BaseException | None) -> int:
        if error is not None:
            raise error
        return 7

    guarded = guard.guard("acting", (SoftLimit,))(act)
    assert guarded(None) == 7
    assert guarded(ValueError()) is None
    assert faults.by_operation["acting"] == (1, "ValueError")
    for error in (SoftLimit(), KeyboardInterrupt(), SystemExit()):
        with pytest.raises(type(error)):
            guarded(error)
    before = interrupts._host_exceptions
    guard.never_swallow(SoftLimit)
    try:
        with pytest.raises(SoftLimit):
            guard.guard("acting")(act)(SoftLimit())
    finally:
        interrupts._host_exceptions = before


def test_faults_without_anybody_to_tell(caplog: pytest.LogCaptureFixture) -> None:
    own = Faults()
    own.report("a", ValueError())
    own.report("a", ValueError())

    def full(where: str, kind: str, count: int) -> None:
        raise OSError("full")

    own.attach(full)
    own.report("b", ValueError())
    assert (own.total, len(caplog.messages)) == (3, 2)


# -- places ------------------------------------------------------------------------------------------------------------
MOUNTS = """22 1 0:20 / / rw - ext4 /dev/root rw
30 22 0:30 / /mnt/share\\040one rw shared:1 - nfs4 server:/x rw
31 22 0:31 / /srv rw - cifs //server/x rw
32 22 0:32 / /srv rw - tmpfs none rw
nonsense
"""


def test_network_file_systems_are_found(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    for folder, kind in (("/mnt/share one/x", "nfs4"), ("/mnt/share", "ext4"), ("/srv/a", "tmpfs"), ("/", "ext4")):
        assert spool_location.file_system_of(Path(folder), mounts) == kind
    assert spool_location.is_network(Path("/mnt/share one"), mounts)
    assert spool_location.file_system_of(Path("/"), tmp_path / "absent") == ""
    assert spool_location.file_system_of(tmp_path) != ""


def test_a_folder_keeps_its_name(tmp_path: Path, monkeypatch: Any) -> None:
    first = spool_location.folder_name(tmp_path)
    assert spool_location.folder_name(tmp_path) == first
    (tmp_path / "other").mkdir()
    true_link = os.link

    def link(source: Path, target: Path) -> None:
        target.write_text("firstcame")
        true_link(source, target)

    monkeypatch.setattr(os, "link", link)
    assert spool_location.folder_name(tmp_path / "other") == "firstcame"


def test_steps_down_are_noted(make_settings: Make, tmp_path: Path, monkeypatch: Any, caplog: Any) -> None:
    monkeypatch.setattr(module, "SHARED_MEMORY", tmp_path / "shm")
    monkeypatch.setattr(module, "is_network", lambda folder: "spool" in str(folder.relative_to(tmp_path)))
    made = Agent(make_settings(), ())
    assert made.spool.folder is not None
    assert made.spool.folder.parent == tmp_path / "shm"
    assert made.settings.spool.name in made.spool.folder.name
    assert len(made.notes) == 2
    assert "network file system" in made.notes[0]
    assert caplog.messages == [redact_text(note) for note in made.notes], "the name of a folder may look like a token"

    def unusable(folder: Path) -> None:
        raise SpoolUnusable(f"{folder} is read-only")

    monkeypatch.setattr(module, "prepare_folder", unusable)
    last = Agent(make_settings(), ())
    assert isinstance(last.spool, MemorySpool)
    assert last.spool_name == last.boot
    assert "in memory" in last.notes[-1]
    last.stop()


def test_without_any_folder_events_still_arrive(gateway: Any, make_settings: Make, monkeypatch: Any, until: Any) -> None:
    def unusable(folder: Path) -> None:
        raise SpoolUnusable("read-only")

    monkeypatch.setattr(module, "prepare_folder", unusable)
    made = z4j_agent.start(url=gateway.url)
    assert made is not None
    made.become_worker("w")
    made.connect()
    until(lambda: gateway.hellos)
    if (pid := os.fork()) == 0:
        made.append(records.started(*HEAD))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    until(lambda: [record for record in gateway.records if record[0] == "started"])
    assert made.flush(5)
    assert any("in memory" in sentence for sentence in gateway.hellos[0]["notes"])
    gateway.command("c1", "cancel_task", task_id="t")
    until(lambda: gateway.answers("c1") == ["accepted", "unsupported"])


# -- small ones --------------------------------------------------------------------------------------------------------
def test_what_an_adapter_does_not_implement() -> None:
    bare = Adapter()
    for act in (bare.engine_version, bare.install, bare.uninstall):
        with pytest.raises(NotImplementedError):
            act()
    assert (bare.list_tasks(), bare.list_queues(), bare.worker(), bare.list_running()) == ([], [], None, [])
    for ask in (bare.cancel_task, bare.terminate_task, bare.lookup_task):
        with pytest.raises(Unsupported):
            ask("t")
    with pytest.raises(Unsupported):
        bare.retry_task(None, new_id="n")  # type: ignore[arg-type]


def test_native_primitives_where_python_is_patched(monkeypatch: Any) -> None:
    """Stand-ins for gevent and eventlet: only those functions of theirs that are called."""
    started: list[Any] = []
    has_patched = True

    class Patched(types.ModuleType):
        @staticmethod
        def get_original(module_name: str, name: str) -> Any:
            return lambda *args: started.append((module_name, name, args))

        @staticmethod
        def original(module_name: str) -> Any:
            return types.SimpleNamespace(start_new_thread=lambda *args: started.append(("eventlet", *args)))

        @staticmethod
        def is_module_patched(module_name: str) -> bool:
            return has_patched

        @staticmethod
        def is_monkey_patched(module_name: str) -> bool:
            return has_patched

    assert native_threads.native("time", "sleep") is time.sleep
    for name in ("gevent.monkey", "eventlet.patcher"):
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, name, Patched(name))
            native_threads.start_native_thread(print)
    assert started == [("_thread", "start_new_thread", (print, ())), ("eventlet", print, ())]
    has_patched = False  # imported, as a library may do, and no more
    for name in ("gevent.monkey", "eventlet.patcher"):
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, name, Patched(name))
            before, names = set(threading.enumerate()), queue.SimpleQueue[str]()
            native_threads.start_native_thread(lambda names=names: names.put(threading.current_thread().name))  # type: ignore[misc]
            assert names.get(timeout=30) == "z4j-agent"
            wait_for(lambda before=before: set(threading.enumerate()) == before, "nothing of the thread is left")  # type: ignore[misc]
    assert len(started) == 2


def test_close_codes_have_sentences() -> None:
    assert all(4400 <= code < 4600 and re.fullmatch(r"[a-z0-9 ]+", text) for code, text in wire.CLOSE.items())


def test_a_process_says_what_it_cannot_do_and_its_class_keeps_what_the_engine_can() -> None:
    class Able(Adapter):
        engine = "able"
        capabilities = tuple(Capability(action, "any", "exact") for action in ("retry_task", "terminate_task", "resize_worker"))

    def actions(adapter: Any) -> list[str]:
        return [able.action for able in adapter.capabilities]

    narrow, whole = Able(), Able()
    narrow.narrow({"terminate_task", "resize_worker"})
    assert actions(narrow) == ["retry_task"]
    narrow.narrow(["terminate_task"])
    assert actions(narrow) == ["retry_task", "resize_worker"], "said again"
    narrow.narrow(ACTION_LEVEL)
    assert actions(narrow) == []
    assert actions(whole) == actions(Able) == ["retry_task", "terminate_task", "resize_worker"]


AT_EXIT = """
import atexit, sys
import z4j_agent
from z4j_agent.contract.adapter import Adapter
from z4j_agent.agent import Agent

class Plain(Adapter):
    engine = "plain"
    def install(self): z4j_agent.current().close_at_exit()
    def uninstall(self): pass

Agent.flush = lambda self, timeout_s: print("flush", timeout_s)
Agent.is_connected_process = property(lambda self: True)
z4j_agent.start(plain := Plain(), Plain(), url=sys.argv[1], spool=sys.argv[2])
"""


@pytest.mark.parametrize(
    ("then", "printed"),
    [
        ("", ["flush 1.0"]),
        ("z4j_agent.stop(0.1)", []),
        ("z4j_agent.remove(plain)", ["flush 1.0"]),
        ("[z4j_agent.remove(part) for part in z4j_agent.current().adapters]", []),
        ("z4j_agent.current().close()", ["flush 1.0"]),
    ],
)
def test_what_is_left_is_sent_at_the_end_of_a_process_once(then: str, printed: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT + then, URL, str(tmp_path / "spool")], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout.splitlines(), done.stderr) == (printed, "")


def test_what_fails_at_the_end_of_a_process_is_counted(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: Agent, _timeout_s: float) -> None:
        raise OSError("no")

    monkeypatch.setattr(Agent, "is_connected_process", property(lambda self: True))
    monkeypatch.setattr(Agent, "flush", fail)
    before = faults.total
    agent.close()
    assert faults.total == before + 1
