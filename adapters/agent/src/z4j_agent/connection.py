# SPDX-License-Identifier: Apache-2.0
"""The agent's thread: one WebSocket to the gateway, kept up for the life of the process.

It ships the spool if nobody else does, carries out commands, and tells what runs here. Losing the server changes nothing for the
host: the spool goes on, and what is not acked is sent again. `websockets` and TLS are imported here, in the thread, on first use.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from dataclasses import asdict, astuple
from typing import TYPE_CHECKING, Any

from z4j_agent import wire
from z4j_agent.commands import Commands
from z4j_agent.guard import faults, let_through
from z4j_agent.native import start_native_thread
from z4j_agent.session import Acked, Command, ProtocolError, Refusal, Session, Welcomed
from z4j_agent.settings import agent_version

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

    from z4j_agent.agent import Agent
    from z4j_agent.shipper import Batch

POLL_MIN_S, POLL_MAX_S = 0.05, 0.5
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.2, 30.0
REFUSED_BACKOFF_S = (60.0, 300.0)
"""A token that was refused will be refused again; asking every second would only hide it in a log."""
DISCOVERY_EVERY_S = 60.0
QUEUES_EVERY_S = 5.0
CONNECT_TIMEOUT_S = 10.0


class Connection:
    """Owns the thread and the socket. Every method but `_run` and what it calls may be called from any thread."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._commands = Commands(agent.settings, agent.shipper.folder, agent.adapters, agent.append)
        self._stopping = False
        self._stopped = threading.Event()
        self._woken = threading.Event()
        self._socket: ClientConnection | None = None
        self._pause = 0.0
        self.state = "not connected yet"
        """One sentence for the log and the doctor."""

    def start(self) -> None:
        start_native_thread(self._run)

    def wake(self) -> None:
        self._woken.set()

    def stop(self, timeout_s: float) -> None:
        """Asks the thread to say goodbye and waits for it, at most `timeout_s`."""
        self._stopping = True
        self._woken.set()
        self._stopped.wait(timeout_s)

    def after_fork_in_child(self) -> None:
        """Closes the inherited descriptor and nothing else: a close frame would end the parent's connection."""
        inherited = self._socket
        if inherited is not None:
            with contextlib.suppress(OSError):
                os.close(inherited.socket.fileno())

    # -- the thread ----------------------------------------------------------------------------------------------------
    def _run(self) -> None:
        try:
            failures = 0
            while not self._stopping:
                self._pause = 0.0
                was_open = self._connect_once()
                failures = 0 if was_open else failures + 1
                pause = self._pause or min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2 ** min(failures, 8))
                self._wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 -- jitter, no secret
        finally:
            self._agent.shipper.give_up()
            self._stopped.set()

    def _wait(self, seconds: float) -> None:
        """Offered work goes on while there is no server."""
        ends = time.monotonic() + seconds
        while not self._stopping and (left := ends - time.monotonic()) > 0:
            self._woken.wait(min(left, POLL_MAX_S))
            self._woken.clear()
            self._agent.drain_offered()
            if self._agent.shipper.try_take():
                self._guarded("tidying the spool", self._agent.shipper.tidy)

    def _connect_once(self) -> bool:
        """One connection from handshake to its end; True when the server had welcomed us."""
        session = Session()
        try:
            with self._open() as socket:
                self._socket = socket
                socket.send(session.send_hello(self._hello()))
                _Exchange(self, self._agent, self._commands, session, socket).run()
        except Exception as error:
            let_through(error)
            self.state = f"not connected: {type(error).__name__}"
            if not isinstance(error, (OSError, TimeoutError, ProtocolError)) and "ConnectionClosed" not in type(error).__name__:
                faults.report("connection", error)
        finally:
            self._socket = None
        was_open = session.acked > 0 or session.seq > 0
        session.closed()
        return was_open

    def _open(self) -> ClientConnection:
        from websockets.sync.client import connect

        settings = self._agent.settings
        options: dict[str, Any] = {}
        if settings.is_tls:
            from z4j_agent.tls import make_context

            options["ssl"] = make_context(settings.pin)
        socket: ClientConnection = connect(
            settings.uri,
            additional_headers={"Authorization": f"Bearer {settings.token}"},
            compression=None,
            max_size=wire.MAX_FRAME,
            open_timeout=CONNECT_TIMEOUT_S,
            close_timeout=1,
            ping_interval=20,
            ping_timeout=20,
            user_agent_header=f"z4j-agent/{agent_version()}",
            **options,
        )
        return socket

    def _hello(self) -> dict[str, Any]:
        agent, settings = self._agent, self._agent.settings
        return {
            "agent_version": agent_version(),
            "boot": agent.boot,
            "spool": settings.spool.name,
            "host": agent.host,
            "pid": os.getpid(),
            "role": agent.role,
            "worker": agent.worker,
            "app": settings.app,
            "environment": settings.environment,
            "release": settings.release,
            "engines": {adapter.engine: adapter.engine_version() for adapter in agent.adapters},
            "capabilities": [
                [adapter.engine, able.action, able.scope, able.certainty, list(able.states), able.note]
                for adapter in agent.adapters
                for able in adapter.capabilities
            ],
            "allow": settings.allow,
            "denied": list(settings.denied),
            "seal_key": settings.seal_key.key_id if settings.seal_key else None,
            "shipper": agent.shipper.try_take(),
            "at": time.time_ns() // 1000,
            "notes": list(agent.notes),
        }

    def refused(self, refusal: Refusal) -> None:
        """The server said why it closes."""
        self.state = f"refused: {refusal.message}"
        if refusal.code in (wire.BAD_TOKEN, wire.FORBIDDEN, wire.BAD_PROTOCOL, wire.TOO_MANY):
            self._pause = random.uniform(*REFUSED_BACKOFF_S)  # noqa: S311 -- jitter, no secret
            faults.report(f"connection ({refusal.message}; {refusal.hint})", ConnectionRefusedError())

    def is_stopping(self) -> bool:
        return self._stopping

    def is_woken(self) -> bool:
        woken = self._woken.is_set()
        self._woken.clear()
        return woken

    @staticmethod
    def _guarded(what: str, act: Any) -> None:
        try:
            act()
        except Exception as error:
            let_through(error)
            faults.report(what, error)


class _Exchange:
    """What happens between welcome and goodbye on one connection."""

    def __init__(self, connection: Connection, agent: Agent, commands: Commands, session: Session, socket: ClientConnection) -> None:
        self._connection = connection
        self._agent = agent
        self._commands = commands
        self._session = session
        self._socket = socket
        self._sent: dict[int, Batch] = {}
        self._heartbeat_s = 5.0
        self._next: dict[str, float] = {"scan": 0.0, "heartbeat": 0.0, "discovery": 0.0, "tidy": 0.0, "queues": 0.0}
        self._poll_s = POLL_MIN_S

    def run(self) -> None:
        """Until the connection ends or the process does. Raises what the socket raises."""
        while not self._connection.is_stopping():
            self._listen()
            if self._session.state.value != "open":
                if self._session.state.value == "closed":
                    return
                continue
            did = self._agent.drain_offered()
            now = time.monotonic()
            if now >= self._next["scan"] or self._connection.is_woken():
                did = self._ship() or did
                self._poll_s = POLL_MIN_S if did else min(POLL_MAX_S, self._poll_s * 2)
                self._next["scan"] = now + self._poll_s
            self._tell(now)
        self._ship()
        self._socket.send(self._session.send_goodbye("the process ends"))

    def _listen(self) -> None:
        """Waits for one frame, at most until the next thing to do."""
        timeout = max(0.0, min(self._next["scan"], self._next["heartbeat"]) - time.monotonic())
        try:
            frame = self._socket.recv(timeout=min(timeout, POLL_MAX_S))
        except TimeoutError:
            return
        match self._session.receive(frame):
            case Welcomed() as welcome:
                self._welcomed(welcome)
            case Acked(seq):
                for number in [number for number in self._sent if number <= seq]:
                    self._agent.shipper.acked(self._sent.pop(number))
            case Command() as command:
                self._commands.handle(command, time.time_ns() // 1000)
                self._next["scan"] = 0.0
            case Refusal() as refusal:
                self._connection.refused(refusal)

    def _welcomed(self, welcome: Welcomed) -> None:
        self._connection.state = "connected"
        self._heartbeat_s = max(0.5, welcome.heartbeat_s)
        self._agent.shipper.rewind()

    def _ship(self) -> bool:
        shipper = self._agent.shipper
        if not shipper.try_take():
            return False
        did = False
        while self._session.may_send_batch and (batch := shipper.next_batch()) is not None:
            did = True
            if not batch.data:  # a record that could not travel; its gap is in the spool
                shipper.acked(batch)
                continue
            seq, frame = self._session.send_batch(batch.data)
            self._sent[seq] = batch
            self._socket.send(frame)
        return did

    def _tell(self, now: float) -> None:
        if now >= self._next["discovery"]:
            self._next["discovery"] = now + DISCOVERY_EVERY_S
            self._next["queues"] = now + QUEUES_EVERY_S
            for adapter in self._agent.adapters:
                self._guarded_discovery(adapter)
        if now >= self._next["heartbeat"]:
            self._next["heartbeat"] = now + self._heartbeat_s
            self._socket.send(self._session.send_heartbeat(self._heartbeat(now)))
        if now >= self._next["tidy"]:
            self._next["tidy"] = now + 1.0
            if self._agent.shipper.is_holder:
                self._agent.shipper.tidy()

    def _guarded_discovery(self, adapter: Any) -> None:
        found: dict[str, Any] = {"engine": adapter.engine, "tasks": [], "queues": [], "worker": None}
        for key, ask in (("tasks", adapter.list_tasks), ("queues", adapter.list_queues)):
            try:
                found[key] = [astuple(item) for item in ask()]
            except Exception as error:
                let_through(error)
                faults.report(f"discovery of {key} in {adapter.engine}", error)
        try:
            worker = adapter.worker()
            found["worker"] = asdict(worker) if worker is not None else None
        except Exception as error:
            let_through(error)
            faults.report(f"discovery of the worker in {adapter.engine}", error)
        self._socket.send(self._session.send_discovery(found))

    def _heartbeat(self, now: float) -> dict[str, Any]:
        running: list[list[Any]] = []
        queues: list[list[Any]] = []
        is_queue_time = self._agent.shipper.is_holder and now >= self._next["queues"]
        if is_queue_time:
            self._next["queues"] = now + QUEUES_EVERY_S
        for adapter in self._agent.adapters:
            try:
                running += [[adapter.engine, *astuple(task)] for task in adapter.list_running()]
                if is_queue_time:
                    queues += [[adapter.engine, *astuple(queue)] for queue in adapter.list_queues()]
            except Exception as error:
                let_through(error)
                faults.report(f"heartbeat of {adapter.engine}", error)
        facts = {
            "at": time.time_ns() // 1000,
            "running": running,
            "spool_bytes": self._agent.shipper.bytes,
            "dropped": self._agent.spool.dropped,
            "faults": faults.total,
            "shipper": self._agent.shipper.is_holder,
        }
        return facts | ({"queues": queues} if is_queue_time else {})
