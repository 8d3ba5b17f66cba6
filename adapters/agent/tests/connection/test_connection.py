# SPDX-License-Identifier: Apache-2.0
"""The agent against a real WebSocket server on loopback."""

from __future__ import annotations

import faulthandler
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

import z4j_agent
from z4j_agent import wire
from z4j_agent.agent import Agent
from z4j_agent.capture.guard import faults
from z4j_agent.connection import connection as module
from z4j_agent.connection import reports
from z4j_agent.connection.tls import PinMismatch, make_context
from z4j_agent.contract.adapter import Adapter, Capability, QueueInfo, RunningTask, TaskInfo, WorkerInfo
from z4j_agent.wire import records

Until = Callable[..., Any]


class Fake(Adapter):
    engine: ClassVar[str] = "fake"
    capabilities = (Capability("cancel_task", "any", "best_effort", ("queued",)),)

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.is_installed = False
        self.doc = ""

    def engine_version(self) -> str:
        if self.error:
            raise self.error
        return "1.0"

    def install(self) -> None:
        self.is_installed = True

    def uninstall(self) -> None:
        self.is_installed = False
        if self.error:
            raise self.error

    def list_tasks(self) -> list[TaskInfo]:
        if self.error:
            raise self.error
        return [TaskInfo(f"shop.ship{n}", "(order)", self.doc) for n in range(reports.MAX_TASKS + 5)]

    def list_queues(self) -> list[QueueInfo]:
        return [QueueInfo("q" * 300, 3)]

    def worker(self) -> WorkerInfo | None:
        if self.error:
            raise self.error
        return WorkerInfo("w", "solo", 1, ("q",), options={f"option {n}": "x" * 300 for n in range(25)})

    def list_running(self) -> list[RunningTask]:
        if self.error:
            raise self.error
        return [RunningTask("t", 0, "n", "q", 5)]

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        return {"asked": task_id}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_MIN_S", 0.02)
    monkeypatch.setattr(module, "BACKOFF_MAX_S", 0.05)
    monkeypatch.setattr(module, "QUEUES_EVERY_S", 0.1)


@pytest.fixture
def start(gateway: Any, tmp_path: Path) -> Callable[..., Agent]:
    def started(*adapters: Adapter, **options: Any) -> Agent:
        agent = z4j_agent.start(*adapters, url=options.pop("url", gateway.url), spool=tmp_path / "spool", **options)
        assert agent is not None
        return agent

    return started


def test_an_unanswered_question_is_null_not_an_empty_list(gateway: Any, start: Any, until: Until) -> None:
    fake = Fake()
    agent = start(fake)
    agent.become_worker("w@host")
    agent.connect()
    until(lambda: [frame for frame in gateway.frames_of("heartbeat") if frame["running"]])
    fake.error = OSError("the broker is away")
    beat = until(lambda: [frame for frame in gateway.frames_of("heartbeat") if frame["running"] is None])[0]
    assert beat["faults"] >= 1


def note(agent: Agent, number: int) -> None:
    assert agent.append(records.started("fake", f"t{number}", 0, 1, agent.run, "n", "q"))


def ids(gateway: Any) -> list[str]:
    return [record[2] for record in gateway.records if record[0] == "started"]


def test_hello_events_and_goodbye(gateway: Any, start: Any, until: Until) -> None:
    fake = Fake()
    agent = start(fake, app="shop", environment="staging")
    note(agent, 1)
    agent.become_worker("w@host")
    note(agent, 2)
    agent.connect()
    agent.connect()
    assert agent.is_connected_process
    assert agent.flush(8)
    assert ids(gateway) == ["t1", "t2"]
    [hello] = gateway.hellos
    assert (hello["role"], hello["worker"], hello["app"], hello["environment"]) == ("worker", "w@host", "shop", "staging")
    assert hello["engines"] == {"fake": "1.0"}
    assert hello["capabilities"] == [["fake", "cancel_task", "any", "best_effort", ["queued"], ""]]
    assert hello["spool"] == agent.spool_name
    assert hello["shipper"] is True
    token = "z4a_" + "t" * 43
    assert gateway.tokens == [f"Bearer {token}"]  # the seal key stays here
    origins = [record for record in gateway.records if record[0] == "origin"]
    assert [origin[2 + 1]["role"] for origin in origins] == ["producer", "worker"]
    until(lambda: gateway.frames_of("discovery"))
    [discovery] = gateway.frames_of("discovery")
    assert len(discovery["tasks"]) == reports.MAX_TASKS
    [[*queue, proof, broker]] = discovery["queues"]
    assert (queue, broker) == (["q" * 255, 3, None, None, None, None], "")
    assert proof.startswith(f"{hello['seal_key']}."), "the proof that this application uses the queue"
    assert discovery["worker"]["pool"] == "solo"
    assert discovery["worker"]["options"] == {f"option {n}": "x" * 255 for n in range(20)}
    beat = until(lambda: [frame for frame in gateway.frames_of("heartbeat") if "queues" in frame])[0]
    assert beat["running"] == [["fake", "t", 0, "n", "q", 5, 0]]
    assert (beat["dropped"], beat["faults"], beat["shipper"]) == (0, 0, True)
    z4j_agent.stop()
    assert until(lambda: gateway.frames_of("goodbye"))
    assert not fake.is_installed
    assert z4j_agent.current() is None


def test_a_long_discovery_leaves_out_documentation(gateway: Any, start: Any, until: Until) -> None:
    fake = Fake()
    fake.doc = "d" * 400
    start(fake).connect()
    [discovery] = until(lambda: gateway.frames_of("discovery"))
    assert discovery["tasks"][0][:4] == ["shop.ship0", "", "", ""]
    assert len(discovery["tasks"][0][4]) == len("01234567.") + 32, "the proof that this application knows the name stays"


def test_lost_acks_and_lost_connections(gateway: Any, start: Any, until: Until) -> None:
    agent = start()
    gateway.is_acking = False
    note(agent, 1)
    agent.connect()
    until(lambda: gateway.sockets)
    assert not agent.flush(0.3)
    gateway.is_acking = True
    gateway.sockets[-1].close(4503, "stopping")
    assert agent.flush(8)
    assert ids(gateway) == ["t1"]
    assert len(gateway.hellos) == 2


def test_an_application_whose_clock_stands_still_waits_no_longer(gateway: Any, start: Any, monkeypatch: Any, until: Until) -> None:
    """Its tests freeze the time, and the server answers nothing."""
    agent, has_ended = start(), threading.Event()
    gateway.is_acking = False
    note(agent, 1)
    agent.connect()
    until(lambda: agent._connection is not None and agent._connection.is_open)
    monkeypatch.setattr(time, "monotonic", lambda: 5.0)

    def leave() -> None:
        agent.flush(0.3)
        agent.stop(0.3)
        has_ended.set()

    threading.Thread(target=leave, daemon=True).start()
    assert has_ended.wait(20), "a limit that never comes"


def test_a_server_that_is_away_for_a_while(start: Any, gateway: Any, caplog: pytest.LogCaptureFixture, until: Until) -> None:
    caplog.set_level(logging.INFO)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    agent = start(url=gateway.url.rpartition(":")[0] + f":{port}")
    agent.offer(lambda: records.started("fake", "at once", 0, 1, agent.run, "n", "q"))
    agent.connect()
    agent.offer(lambda: records.started("fake", "later", 0, 1, agent.run, "n", "q"))
    agent.offer(lambda: None)
    agent.offer(lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    until(lambda: not agent._offered)
    until(lambda: "not reachable" in caplog.text)
    assert caplog.text.count("not reachable") == 1
    assert not agent.flush(0.05)
    until(lambda: agent.shipper.is_holder)


def test_commands_are_carried_out_and_answered(gateway: Any, start: Any, until: Until) -> None:
    start(Fake()).connect()
    until(lambda: gateway.sockets)
    gateway.command("c1", "cancel_task", task_id="t9")
    until(lambda: gateway.answers("c1") == ["accepted", "done"])
    gateway.command("c1", "cancel_task", task_id="t9")
    until(lambda: gateway.answers("c1") == ["accepted", "done", "done"])
    gateway.command("c2", "terminate_task", task_id="t9")
    until(lambda: gateway.answers("c2") == ["refused"])


@pytest.mark.parametrize("how", ["error frame", "close code", "http"])
def test_a_refused_token_waits_for_minutes(gateway: Any, start: Any, until: Until, how: str, caplog: Any) -> None:
    from http import HTTPStatus

    if how == "error frame":
        gateway.refuse = {"code": wire.BAD_TOKEN, "message": "token unknown", "hint": "make one"}
    elif how == "close code":
        gateway.close_at_once = (wire.BAD_TOKEN, "")
    else:
        gateway.server.shutdown()
        made = type(gateway)(process_request=lambda c, r: c.respond(HTTPStatus.UNAUTHORIZED, "no"))
        gateway.port, gateway.server = made.port, made.server
    agent = start()
    agent.connect()
    until(lambda: "refused this process" in caplog.text)
    tries = len(gateway.tokens)
    note(agent, 1)
    time.sleep(0.3)
    assert len(gateway.tokens) == tries
    assert agent._connection is not None
    assert agent._connection._pause >= module.REFUSED_BACKOFF_S[0]
    began = time.monotonic()
    z4j_agent.stop(5)
    assert time.monotonic() - began < 1


def test_a_server_that_speaks_nonsense_is_a_fault(gateway: Any, start: Any, until: Until) -> None:
    gateway.answer_hello = '{"type":"dance"}'
    start().connect()
    until(lambda: len(gateway.hellos) > 1)
    from z4j_agent.capture.guard import faults

    assert faults.by_operation["connection"][1] == "ProtocolError"


def test_stop_before_welcome_is_quick(gateway: Any, start: Any, until: Until) -> None:
    gateway.answer_hello = '{"type":"ack","seq":0}'
    start().connect()
    until(lambda: gateway.hellos)
    z4j_agent.stop(2)


def test_an_idle_agent_keeps_the_checkpoint_it_is_shown_and_reports_it(gateway: Any, start: Any, until: Until) -> None:
    agent = start(Fake())
    agent.connect()
    until(lambda: gateway.frames_of("heartbeat"))
    gateway.send_frame({"type": "ack", "seq": 0, "audit_head": {"seq": 4, "at": 1, "digest": "d" * 64, "key_id": "k", "signature": "00"}})
    beat = until(lambda: [frame for frame in gateway.frames_of("heartbeat") if "audit_head" in frame])[0]
    assert beat["audit_head"] == {"seq": 4, "digest": "d" * 64}
    assert set(beat) - {"type"} <= {field.rstrip("?") for field in wire.AGENT_FRAMES["heartbeat"]}


def test_a_broken_adapter_harms_nobody(gateway: Any, start: Any, until: Until) -> None:
    agent = start(Fake(ValueError("odd")))
    note(agent, 1)
    agent.connect()
    assert agent.flush(8)
    until(lambda: gateway.frames_of("heartbeat"))
    [discovery] = gateway.frames_of("discovery")
    assert (discovery["tasks"], discovery["worker"]) == ([], None)
    assert gateway.hellos[0]["engines"] == {"fake": ""}
    faults_reported = until(lambda: [record for record in gateway.records if record[0] == "fault"])
    assert faults_reported[0][3]["error"] == "ValueError"


def test_a_forked_child_takes_nothing_along(gateway: Any, start: Any, until: Until) -> None:
    agent = start(Fake())
    agent.become_worker("w")
    agent.connect()
    until(lambda: agent._connection is not None and agent._connection.is_open)
    assert agent._connection is not None
    assert agent._connection._socket is not None
    number = agent._connection._socket.socket.fileno()
    parent_run = agent.run
    if (pid := os.fork()) == 0:
        is_closed = False
        try:
            os.fstat(number)
        except OSError:
            is_closed = True
        agent.connect()
        is_right = is_closed and agent.run != parent_run and not agent.is_connected_process and agent.shipper.lock_fd == -1
        note(agent, 7)
        os._exit(0 if is_right else 1)
    assert os.waitpid(pid, 0)[1] == 0
    note(agent, 8)
    assert agent.flush(8)
    assert sorted(ids(gateway)) == ["t7", "t8"]
    assert len(gateway.hellos) == 1
    runs = {record[2]: record[5] for record in gateway.records if record[0] == "started"}
    assert runs["t7"] == f"{agent.boot}.{pid}"


def test_a_forked_producer_dials_in_itself(gateway: Any, start: Any, until: Until) -> None:
    agent = start(Fake())
    agent.connect()
    until(lambda: gateway.hellos)
    if (pid := os.fork()) == 0:
        faulthandler.dump_traceback_later(30, exit=True)  # should a lock have come along, this says which
        agent.connect()
        note(agent, 7)
        is_sent = agent.flush(5)
        ends = time.monotonic() + 5
        while agent._connection is not None and not agent._connection.is_open and time.monotonic() < ends:
            time.sleep(0.01)
        os._exit(0 if is_sent else 1)
    assert os.waitpid(pid, 0)[1] == 0
    until(lambda: ids(gateway) == ["t7"])
    assert len({hello["boot"] for hello in gateway.hellos}) == 2


def test_the_next_process_adopts_what_was_left(gateway: Any, start: Any, until: Until) -> None:
    if (pid := os.fork()) == 0:
        note(start(), 3)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    agent = start()
    agent.connect()
    assert agent.flush(8)
    assert ids(gateway) == ["t3"]


# -- TLS ---------------------------------------------------------------------------------------------------------------
def test_the_right_key_is_trusted_without_a_ca(tls_gateway: Any, certificate: Any, start: Any) -> None:
    import base64

    pin = base64.urlsafe_b64encode(certificate[1]).decode().rstrip("=")
    agent = start(url=f"z4j://tok@127.0.0.1:{tls_gateway.port}?pin={pin}")
    note(agent, 1)
    agent.connect()
    assert agent.flush(8)
    assert ids(tls_gateway) == ["t1"]


@pytest.mark.parametrize("query", ["?pin=" + "A" * 43, ""])
def test_another_key_never_sees_the_token(tls_gateway: Any, start: Any, until: Until, query: str) -> None:
    from z4j_agent.capture.guard import faults

    agent = start(url=f"z4j://tok@127.0.0.1:{tls_gateway.port}{query}")
    agent.connect()
    operation = until(lambda: [operation for operation in faults.by_operation if "identity of the server" in operation])[0]
    assert faults.by_operation[operation][1] == ("PinMismatch" if query else "SSLCertVerificationError")
    assert tls_gateway.tokens == []
    assert agent._connection is not None
    assert agent._connection._pause > 10


def test_there_is_no_unverified_mode() -> None:
    assert make_context(None).verify_mode is ssl.CERT_REQUIRED
    assert issubclass(PinMismatch, ssl.SSLError)


def test_a_discovery_that_could_not_be_read_whole_is_sent_again_soon(
    gateway: Any, start: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away(Fake):
        is_away = True

        def list_queues(self) -> Any:
            if self.is_away:
                raise ConnectionError("the broker is away")
            return super().list_queues()

    monkeypatch.setattr(module, "INCOMPLETE_EVERY_S", 0.2)
    fake = Away()
    start(fake).connect()
    until(lambda: len(gateway.frames_of("discovery")) > 1)
    assert [frame["queues"] for frame in gateway.frames_of("discovery")[:2]] == [[], []]
    fake.is_away = False
    until(lambda: gateway.frames_of("discovery")[-1]["queues"])
    count = len(gateway.frames_of("discovery"))
    time.sleep(0.6)
    assert len(gateway.frames_of("discovery")) == count, "one that is whole is sent once a minute"


def test_a_segment_that_cannot_be_read_is_a_fault_and_neither_ends_the_connection_nor_delays_other_events(
    gateway: Any, start: Any, until: Until
) -> None:
    agent = start(Fake())
    agent.connect()
    until(lambda: gateway.hellos)
    (agent.shipper.folder / "0-unreadable.seg").mkdir()
    note(agent, 1)
    until(lambda: ids(gateway) == ["t1"])
    until(lambda: {"reading the spool", "looking after the spool"} <= faults.by_operation.keys())
    note(agent, 2)
    until(lambda: ids(gateway) == ["t1", "t2"])
    assert agent._connection is not None
    assert agent._connection.is_open
    assert len(gateway.hellos) == 1
