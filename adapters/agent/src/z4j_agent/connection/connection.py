# SPDX-License-Identifier: Apache-2.0
"""The agent's thread: one WebSocket to the gateway, kept up for the life of the process.

It ships the spool if nobody else does, carries out commands, and tells what runs here. Losing the server changes nothing for the
host: the spool goes on, and what is not acked is sent again. `websockets` and TLS are imported here, in the thread, on first use.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
from dataclasses import asdict, astuple
from typing import TYPE_CHECKING, Any

from z4j_agent import wire
from z4j_agent.capture.broker import brokers_of
from z4j_agent.capture.guard import faults, let_through
from z4j_agent.capture.import_locks import forget_imports_of, import_ahead, importing_thread
from z4j_agent.capture.originals import prove_name
from z4j_agent.commands.authority import is_known, queue_of
from z4j_agent.commands.commands import Commands
from z4j_agent.commands.schedule_sync import Scheduling
from z4j_agent.connection.audit_witness import Witness
from z4j_agent.connection.dial import dial
from z4j_agent.connection.poll_lease import PollLease
from z4j_agent.contract.adapter import QueueInfo
from z4j_agent.contract.scheduler import capabilities
from z4j_agent.doctor.checks import notes_of
from z4j_agent.runtime.log import log
from z4j_agent.runtime.native_threads import SLEEP, start_native_thread, ticks
from z4j_agent.settings import agent_version
from z4j_agent.wire.redaction import RULES, redact_answer
from z4j_agent.wire.session import Acked, Command, Refusal, Session, State, Welcomed

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.sync.client import ClientConnection

    from z4j_agent.connection.owner import Owner
    from z4j_agent.contract.adapter import TaskInfo
    from z4j_agent.spool.shipper import Batch

POLL_MIN_S, POLL_MAX_S = 0.2, 0.5
"""How often the spool is looked at. Every look takes the interpreter from the host a few dozen times; a page shows two a second."""
OFFERED_EVERY_S = 0.05
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.2, 30.0
REFUSED_BACKOFF_S = (60.0, 300.0)
"""A token that was refused will be refused again; asking every second would only hide it in a log."""
STABLE_AFTER_S = 5.0
"""A connection that ends sooner counts as a failed one: a server that welcomes and closes is not asked ten times a second."""
RENEW_S = 0.1
"""A process that has become a worker says so at once, on a new connection."""
DISCOVERY_EVERY_S = 60.0
QUEUES_EVERY_S = 5.0
SCHEDULES_EVERY_S = 0.5
"""How often a scheduler is asked whether it is time to list its entries; each says how often that is."""
MAX_TASKS, MAX_QUEUES, MAX_RUNNING = 2_000, 500, 1_000
"""Items of one discovery or heartbeat: a frame has a size limit, and a page would not list more either."""


class Connection:
    """Owns the thread and the socket. Every method but `_run` and what it calls may be called from any thread."""

    def __init__(self, agent: Owner) -> None:
        self._agent = agent
        self.turns = PollLease(agent.shipper.folder, agent.settings.environment)
        self.scheduling = Scheduling(agent.settings, lambda: agent.adapters, lambda: agent.schedulers, agent.override_store, self.turns)
        self._commands = Commands(
            agent.settings, agent.shipper.folder, lambda: agent.adapters, agent.append, lambda: agent.schedulers, self.scheduling.execute
        )
        self._witness = Witness(agent.shipper.folder)
        # Plain flags and short sleeps: locks and events may be greenlet ones here, and this is a real thread.
        self._stopping = False
        self._stopped = False
        self._woken = False
        self._thread = 0
        """Of this connection, once it runs, as Python's import locks know it."""
        self._socket: ClientConnection | None = None
        self._pause = 0.0
        self._opened_at = 0.0
        self._boot_said = ""
        self.state = "not connected yet"
        """One sentence for the log and the doctor."""

    @property
    def is_open(self) -> bool:
        """Whether the server has welcomed this process and the connection stands."""
        return self._opened_at > 0

    def start(self) -> None:
        """Raises RuntimeError when no thread can be started."""
        if self._agent.role != "producer":
            with contextlib.suppress(ImportError):  # the thread will report it
                import_ahead()  # a worker may fork at any time; a producer seldom does, and its first request does not wait for this
        start_native_thread(self._run)

    def wake(self) -> None:
        self._woken = True

    def stop(self, timeout_s: float) -> None:
        """Asks the thread to say goodbye and waits for it, at most `timeout_s`."""
        self._stopping = True
        ends = ticks() + timeout_s
        while not self._stopped and ticks() < ends:
            time.sleep(0.005)

    def after_fork_in_child(self) -> None:
        """Closes the inherited descriptors and frees imports, and nothing else: a close frame would end the parent's connection."""
        forget_imports_of(self._thread)
        self.turns.give_up()
        inherited, self._socket = self._socket, None
        if inherited is not None:
            with contextlib.suppress(OSError):
                # Detached, so that no object closes this number again when it has become somebody else's.
                os.close(inherited.socket.detach())

    # -- the thread ----------------------------------------------------------------------------------------------------
    def _run(self) -> None:
        self._thread = importing_thread()
        try:
            failures = 0
            while not self._stopping:
                self._pause = 0.0
                self._guarded("looking after the spool", self._look_after_spool)
                failures = 0 if self._connect_once() >= STABLE_AFTER_S else failures + 1
                pause = self._pause or min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2.0 ** min(failures, 8))
                self._wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 -- jitter, no secret
        finally:
            self._agent.shipper.give_up()
            self.turns.give_up()
            self._stopped = True

    def _wait(self, seconds: float) -> None:
        """Offered work goes on while there is no server."""
        ends = ticks() + seconds
        tidied_at = 0.0
        while not self._stopping and (left := ends - ticks()) > 0:
            SLEEP(min(left, OFFERED_EVERY_S))
            self._agent.drain_offered()
            if ticks() - tidied_at >= 1.0:
                self._guarded("looking after the spool", self._look_after_spool)
                tidied_at = ticks()

    def _look_after_spool(self) -> None:
        if self._agent.shipper.try_take():
            self._agent.shipper.tidy()

    def _connect_once(self) -> float:
        """One connection from handshake to its end. Returns the seconds it was open."""
        session = Session()
        try:
            with self._open() as socket:
                self._socket = socket
                socket.send(session.send_hello(self._hello()))
                _Exchange(self, self._agent, self._commands, session, socket).run()
            self.state = "closed"
        except Exception as error:
            let_through(error)
            self._failed(error)
        finally:
            self._socket = None
        session.closed()
        opened_at, self._opened_at = self._opened_at, 0.0
        return ticks() - opened_at if opened_at else 0.0

    def _failed(self, error: Exception) -> None:
        """What an ended connection means: an absent server is ordinary, a refusal or a foreign server is not."""
        before, self.state = self.state, f"not connected: {type(error).__name__}"
        close = getattr(error, "rcvd", None)  # of ConnectionClosed
        status = getattr(getattr(error, "response", None), "status_code", None)  # of InvalidStatus
        if close is not None and close.code in wire.CLOSE:
            self.refused(Refusal(close.code, close.reason or wire.CLOSE[close.code]))
        elif status in (401, 403):
            self.refused(Refusal(wire.BAD_TOKEN, f"the server responded with {status}"))
        elif _is_tls_failure(error):
            self._pause = random.uniform(*REFUSED_BACKOFF_S)  # noqa: S311 -- jitter, no secret
            faults.report("connection: the identity of the server could not be verified", error)
        elif not isinstance(error, OSError | EOFError) and "ConnectionClosed" not in type(error).__name__:
            faults.report("connection", error)
        elif before in ("not connected yet", "connected"):
            log.info("z4j is not reachable (%s); events are stored in the spool, nothing is lost", type(error).__name__)

    def _open(self) -> ClientConnection:
        return dial(self._agent.settings)

    def _hello(self) -> dict[str, Any]:
        agent, settings = self._agent, self._agent.settings
        self._boot_said = agent.boot
        return {
            "agent_version": agent_version(),
            "boot": agent.boot,
            "spool": agent.spool_name,
            "host": agent.host,
            "pid": os.getpid(),
            "role": agent.role,
            "worker": agent.worker,
            "seat": agent.seat or None,
            "app": settings.app,
            "environment": settings.environment,
            "release": settings.release,
            "engines": agent.engines(),
            "capabilities": [
                [adapter.engine, able.action, able.scope, able.certainty, list(able.states), able.note]
                for adapter in agent.adapters
                for able in adapter.capabilities
                if able.scope != "worker" or agent.role == "worker"
            ]
            + [
                [scheduler.scheduler, able.action, able.scope, able.certainty, [], ""]
                for scheduler in agent.schedulers
                for able in capabilities(scheduler)
            ],
            "allow": settings.allow,
            "denied": list(settings.denied),
            "seal_key": settings.seal_key.key_id if settings.seal_key else None,
            "authenticates_originals": True,
            "brokers": {adapter.engine: brokers_of(adapter, agent.fingerprints) for adapter in agent.adapters},
            "redaction": RULES,
            "shipper": agent.shipper.try_take(),
            "at": time.time_ns() // 1000,
            "notes": redact_answer([*agent.notes, *notes_of(settings, is_in_folder=agent.shipper.folder == settings.spool)][:50], "notes"),
            **self._witness.in_hello(),
        }

    def refused(self, refusal: Refusal) -> None:
        """The server said why it closes."""
        self.state = f"refused: {refusal.message}"
        if refusal.code in (wire.BAD_TOKEN, wire.FORBIDDEN, wire.BAD_PROTOCOL, wire.TOO_MANY):
            self._pause = random.uniform(*REFUSED_BACKOFF_S)  # noqa: S311 -- jitter, no secret
            log.warning("z4j refused this process (%s); events are stored in the spool, next attempt in a few minutes", refusal.message)

    def is_stopping(self) -> bool:
        return self._stopping

    def is_outdated(self) -> bool:
        """Whether this process has become something else since its hello: a worker, or another one."""
        return self._agent.boot != self._boot_said

    def reconnect_soon(self) -> None:
        self._pause = RENEW_S

    def welcomed(self) -> None:
        self._opened_at, self.state = ticks(), "connected"

    def witness(self, head: dict[str, Any] | None) -> None:
        """The server shows the end of its audit log, which must extend what it has shown before."""
        if wrong := self._witness.see(head):
            faults.tell(
                "audit head", wrong, f"the audit log of the z4j server was truncated or rewritten: {wrong}; inform its administrator"
            )

    def kept_head(self) -> dict[str, Any]:
        """What a heartbeat says of the audit log: the head kept here, for the server to find in its log."""
        return self._witness.in_frame()

    def take_wake(self) -> bool:
        woken, self._woken = self._woken, False
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

    def __init__(self, connection: Connection, agent: Owner, commands: Commands, session: Session, socket: ClientConnection) -> None:
        self._connection = connection
        self._agent = agent
        self._commands = commands
        self._session = session
        self._socket = socket
        self._sent: dict[int, Batch] = {}
        self._heartbeat_s = 5.0
        self._next: dict[str, float] = {"scan": 0.0, "heartbeat": 0.0, "discovery": 0.0, "tidy": 0.0, "queues": 0.0, "schedules": 0.0}
        self._poll_s = POLL_MIN_S
        self._turns = connection.turns
        self._offered_until = 0.0
        """Until when more work is expected to be offered: it is not on disk yet, so it is looked for more often."""
        self._is_held_back = False
        """Whether the window closed before the spool was empty."""

    def run(self) -> None:
        """Until the connection ends or the process does. Raises what the socket raises."""
        while not self._connection.is_stopping():
            self._listen()
            if self._session.state is State.CLOSED:
                return
            if self._session.state is not State.OPEN:
                continue
            did = self._agent.drain_offered()
            now = ticks()
            if did:
                self._offered_until = now + 1.0
            if now >= self._next["scan"] or self._connection.take_wake():
                did = self._ship() or did
                self._poll_s = POLL_MIN_S if did else min(POLL_MAX_S, self._poll_s * 2)
                self._next["scan"] = now + self._poll_s
            self._tell(now)
            if self._connection.is_outdated():
                self._connection.reconnect_soon()
                break
        if self._session.state is State.OPEN:
            self._ship()
            is_ending = self._connection.is_stopping()
            self._socket.send(
                self._session.send_goodbye("the process ends" if is_ending else "the process reconnects under its new identity")
            )

    def _listen(self) -> None:
        """Waits for one frame, at most until the next thing to do."""
        now = ticks()
        timeout = min(self._next["scan"], self._next["heartbeat"]) - now
        if now < self._offered_until:
            timeout = min(timeout, OFFERED_EVERY_S)
        if self._session.state is not State.OPEN:
            timeout = POLL_MAX_S  # nothing to do before the welcome
        try:  # never without waiting: where gevent has replaced threads, the one that reads the socket runs only meanwhile
            frame = self._socket.recv(timeout=min(max(timeout, 0.001), POLL_MAX_S))
        except TimeoutError:
            return
        match self._session.receive(frame):
            case Welcomed() as welcome:
                self._welcomed(welcome)
            case Acked(seq, head):
                if head is not None:
                    self._connection.witness(head)
                for number in [number for number in self._sent if number <= seq]:
                    self._agent.shipper.acked(self._sent.pop(number))
                if self._is_held_back:
                    self._next["scan"] = 0.0
            case Command() as command:
                self._commands.handle(command, time.time_ns() // 1000)
                self._next["scan"] = self._next["schedules"] = 0.0
            case Refusal() as refusal:
                self._connection.refused(refusal)

    def _welcomed(self, welcome: Welcomed) -> None:
        self._connection.welcomed()
        self._connection.witness(welcome.audit_head)
        self._heartbeat_s = max(0.5, welcome.heartbeat_s)
        self._connection.scheduling.forget()
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
        self._is_held_back = not self._session.may_send_batch
        return did

    def _tell(self, now: float) -> None:
        if now >= self._next["discovery"]:
            self._next["discovery"] = now + DISCOVERY_EVERY_S
            self._next["queues"] = now + QUEUES_EVERY_S
            for adapter in self._agent.adapters:
                self._guarded_discovery(adapter)
        if now >= self._next["schedules"]:
            for facts in self._connection.scheduling.frames(now):
                self._send_schedules(facts)
            self._next["schedules"] = now + SCHEDULES_EVERY_S
        if now >= self._next["heartbeat"]:
            self._next["heartbeat"] = now + self._heartbeat_s
            self._socket.send(self._session.send_heartbeat(self._heartbeat(now)))
        if now >= self._next["tidy"]:
            self._next["tidy"] = now + 1.0
            if self._agent.shipper.is_holder:
                self._agent.shipper.tidy()

    def _guarded_discovery(self, adapter: Any) -> None:
        found: dict[str, Any] = {"engine": adapter.engine, "tasks": [], "queues": [], "worker": None}
        asked: tuple[tuple[str, Any, int, str], ...] = (
            ("tasks", adapter.list_tasks, MAX_TASKS, adapter.engine),
            ("queues", adapter.list_queues, MAX_QUEUES, queue_of(adapter.engine)),
        )
        for key, ask, limit, of in asked:
            try:
                items = ask()[:limit]
                proofs = [self._proof(of, item.name) if is_known(adapter, key, item.name) else "" for item in items]
                found[key] = [_with_proof(item, proof) for item, proof in zip(items, proofs, strict=True)]
            except Exception as error:
                let_through(error)
                faults.report(f"discovery of {key} in {adapter.engine}", error)
        try:
            worker = adapter.worker()
            found["worker"] = redact_answer(asdict(worker)) if worker is not None else None
        except Exception as error:
            let_through(error)
            faults.report(f"discovery of the worker in {adapter.engine}", error)
        found["brokers"] = brokers_of(adapter, self._agent.fingerprints)
        frame = self._session.send_discovery(found)
        if len(frame) > wire.MAX_FRAME // 2:
            found["tasks"] = [(name, "", "", queue, proof) for name, _, _, queue, proof in found["tasks"]]
            frame = self._session.send_discovery(found)
        self._socket.send(frame)

    def _proof(self, engine: str, name: str) -> str:
        """That this application knows the task or queue: the server may show it to a process that does not, and to nobody else's."""
        key = self._agent.settings.seal_key
        return prove_name(key, engine, name) if key is not None else ""

    def _send_schedules(self, facts: dict[str, Any]) -> None:
        """As many entries as fit into a frame; a longer list says so."""
        frame = self._session.send_schedules(facts)
        while len(frame) > wire.MAX_FRAME and facts["entries"]:
            facts = {**facts, "entries": facts["entries"][: len(facts["entries"]) // 2], "is_cut": True}
            frame = self._session.send_schedules(facts)
        self._socket.send(frame)

    def _heartbeat(self, now: float) -> dict[str, Any]:
        """`running` is null when an engine could not be asked: an incomplete list would make the server call tasks lost."""
        running: list[list[Any]] | None = []
        queues: list[list[Any]] = []
        is_queue_time = self._agent.role == "worker" and now >= self._next["queues"]
        if is_queue_time:
            self._next["queues"] = now + QUEUES_EVERY_S
        for adapter in self._agent.adapters:
            found = self._asked(f"what runs in {adapter.engine}", adapter.list_running)
            if found is None:
                running = None
            elif running is not None:
                running += [[adapter.engine, *_clipped(astuple(task))] for task in found[:MAX_RUNNING]]
            if is_queue_time and self._turns.take(adapter.engine, brokers_of(adapter, self._agent.fingerprints)):
                waiting = self._asked(f"what waits in {adapter.engine}", adapter.list_queues) or []
                queues += [[adapter.engine, *_clipped(astuple(queue))] for queue in waiting[:MAX_QUEUES]]
        facts = {
            "at": time.time_ns() // 1000,
            "running": running,
            "spool_bytes": self._agent.shipper.bytes,
            "dropped": self._agent.spool.dropped_total,
            "faults": faults.total,
            "shipper": self._agent.shipper.is_holder,
        }
        return facts | ({"queues": queues} if is_queue_time else {}) | self._connection.kept_head()

    @staticmethod
    def _asked(what: str, ask: Callable[[], list[Any]]) -> list[Any] | None:
        """An adapter's answer, or None when it could not give one, which is counted."""
        try:
            return ask()
        except Exception as error:
            let_through(error)
            faults.report(f"finding out {what}", error)
            return None


def _with_proof(item: TaskInfo | QueueInfo, proof: str) -> tuple[Any, ...]:
    """A queue's broker stands behind the proof: servers read by position, and older ones know nothing of it."""
    if isinstance(item, QueueInfo):
        *facts, broker = _clipped(astuple(item))
        return (*facts, proof, broker)
    return (*_clipped(astuple(item)), proof)


def _clipped(item: tuple[Any, ...]) -> tuple[Any, ...]:
    """Texts within what the protocol allows for a name."""
    return tuple(value[:255] if isinstance(value, str) else value for value in item)


def _is_tls_failure(error: Exception) -> bool:
    """Whether the server's certificate was wrong; `ssl` is only there when TLS is spoken."""
    ssl = sys.modules.get("ssl")
    return ssl is not None and isinstance(error, ssl.SSLCertVerificationError | _pin_mismatch())


def _pin_mismatch() -> type[Exception]:
    from z4j_agent.connection.tls import PinMismatch

    return PinMismatch
