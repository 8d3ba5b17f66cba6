# SPDX-License-Identifier: Apache-2.0
"""The agent's thread: one WebSocket to the gateway, opened again whenever it closes, until the process ends.

It sends the contents of the spool if no other process does, executes commands, and reports running tasks. Losing the server changes
nothing for the application: events are stored in the spool, and those without an acknowledgement are sent again. `websockets` and TLS are
imported here, in the thread, on first use.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
from typing import TYPE_CHECKING, Any

from z4j_agent import wire
from z4j_agent.capture.broker import brokers_of
from z4j_agent.capture.guard import faults, let_through
from z4j_agent.capture.import_locks import forget_imports_of, import_ahead, importing_thread
from z4j_agent.commands.commands import Commands
from z4j_agent.commands.schedule_sync import Scheduling
from z4j_agent.connection.audit_witness import Witness
from z4j_agent.connection.dial import dial
from z4j_agent.connection.poll_lease import PollLease
from z4j_agent.connection.reports import Reports
from z4j_agent.contract.scheduler import capabilities
from z4j_agent.doctor.checks import notes_of
from z4j_agent.runtime.agent_log import log
from z4j_agent.runtime.native_threads import SLEEP, start_native_thread, ticks
from z4j_agent.runtime.stacks import why_not
from z4j_agent.settings import agent_version
from z4j_agent.wire.redaction import RULES, redact_answer
from z4j_agent.wire.session import Acked, Command, Refusal, Session, State, Welcomed

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.sync.client import ClientConnection

    from z4j_agent.connection.agent_interface import AgentInterface
    from z4j_agent.contract.adapter import Adapter
    from z4j_agent.spool.shipper import Batch

POLL_MIN_S, POLL_MAX_S = 0.2, 0.5
"""How often the spool is read. Each read takes the interpreter lock from the application a few dozen times. Pages update twice a second."""
OFFERED_EVERY_S = 0.05
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.2, 30.0
REFUSED_BACKOFF_S = (60.0, 300.0)
"""A refused token will be refused again; a try every second would only flood the log."""
STABLE_AFTER_S = 5.0
"""A connection that ends sooner counts as failed: a server that accepts and closes is not called ten times a second."""
RENEW_S = 0.1
"""Pause before the new connection of a process that has become a worker."""
DISCOVERY_EVERY_S = 60.0
INCOMPLETE_EVERY_S = 5.0
"""The same after a discovery of which a part could not be read, such as the queues of a broker that is away."""
QUEUES_EVERY_S = 5.0
SCHEDULES_EVERY_S = 0.5
"""How often each scheduler is checked for a due list of its entries; `Scheduler.list_every_s` is the time between two lists."""


class Connection:
    """Owns the thread and the socket. Every method except `_run` and its callees may be called from any thread."""

    def __init__(self, agent: AgentInterface) -> None:
        self._agent = agent
        self.poll_lease = PollLease(agent.shipper.folder, agent.settings.environment)
        self.scheduling = Scheduling(
            agent.settings, lambda: agent.adapters, lambda: agent.schedulers, agent.override_store, self.poll_lease
        )
        self._commands = Commands(
            agent.settings, agent.shipper.folder, lambda: agent.adapters, agent.append, lambda: agent.schedulers, self.scheduling.execute
        )
        self._witness = Witness(agent.shipper.folder)
        # Plain flags and short sleeps: locks and events may be those of greenlets here, and this is a real thread.
        self._stopping = False
        self._stopped = False
        self._woken = False
        self._thread = 0
        """Identity of this connection's thread in Python's import locks, 0 before it runs."""
        self._socket: ClientConnection | None = None
        self._pause = 0.0
        self._opened_at = 0.0
        self._sent_boot = ""
        self.state = "not connected yet"
        """One sentence for the log and the doctor."""

    @property
    def is_open(self) -> bool:
        """Whether the server has accepted this process and the connection is open."""
        return self._opened_at > 0

    def start(self) -> None:
        """Starts the agent's thread; a worker or scheduler first imports what the thread needs, because it may fork. Call it once. Raises
        RuntimeError if no thread can be started."""
        if self._agent.role != "producer":
            with contextlib.suppress(ImportError):  # the thread will report it
                import_ahead()  # a worker may fork at any time; a producer rarely does, and its first request must not wait for this
        start_native_thread(self._run)

    def wake(self) -> None:
        """Makes the agent's thread read the spool at its next turn instead of at its next poll. Returns at once."""
        self._woken = True

    def stop(self, timeout_s: float) -> None:
        """Makes the thread send the goodbye and end, and waits for that at most `timeout_s` seconds. Never raises."""
        self._stopping = True
        ends = ticks() + timeout_s
        while not self._stopped and ticks() < ends:
            time.sleep(0.005)

    def after_fork_in_child(self) -> None:
        """Closes the inherited descriptors and frees imports, and nothing else: a close frame would end the parent's connection."""
        forget_imports_of(self._thread)
        self.poll_lease.give_up()
        inherited, self._socket = self._socket, None
        if inherited is not None:
            try:
                # Detached, so that no object closes this number again after it was reused.
                os.close(inherited.socket.detach())
            except OSError:
                pass  # the application has closed it

    # -- the thread ----------------------------------------------------------------------------------------------------
    def _run(self) -> None:
        self._thread = importing_thread()
        try:
            failures = 0
            while not self._stopping:
                self._pause = 0.0
                _guarded("looking after the spool", self._look_after_spool)
                failures = 0 if self._connect_once() >= STABLE_AFTER_S else failures + 1
                pause = self._pause or min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2.0 ** min(failures, 8))
                self._wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 -- jitter, no secret
        finally:
            self._agent.shipper.give_up()
            self.poll_lease.give_up()
            self._stopped = True

    def _wait(self, seconds: float) -> None:
        """Waits, and runs offered work meanwhile."""
        ends = ticks() + seconds
        tidied_at = 0.0
        while not self._stopping and (left := ends - ticks()) > 0:
            SLEEP(min(left, OFFERED_EVERY_S))
            self._agent.drain_offered()
            if ticks() - tidied_at >= 1.0:
                _guarded("looking after the spool", self._look_after_spool)
                tidied_at = ticks()

    def _look_after_spool(self) -> None:
        if self._agent.shipper.try_take():
            self._agent.shipper.tidy()

    def _connect_once(self) -> float:
        """Opens one connection and returns when it has ended, with the seconds it was open."""
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
        """Logs or counts the end of a connection: an absent server is ordinary, a refusal or an unverified server is not."""
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
        self._sent_boot = agent.boot
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
                if (able.scope != "worker" or agent.role == "worker") and (able.action != "inspect_task" or not why_not(settings, adapter))
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
            "pins": settings.shown_pins,
            "brokers": {adapter.engine: brokers_of(adapter, agent.fingerprints) for adapter in agent.adapters},
            "redaction": RULES,
            "shipper": agent.shipper.try_take(),
            "at": time.time_ns() // 1000,
            "notes": redact_answer([*agent.notes, *notes_of(settings, is_in_folder=agent.shipper.folder == settings.spool)][:50], "notes"),
            **self._witness.in_hello(),
        }

    def refused(self, refusal: Refusal) -> None:
        """Stores and logs the reason for which the server closes the connection. After a refusal that a new attempt does not change, such
        as that of a token, the next attempt is made 30 seconds to 5 minutes later."""
        self.state = f"refused: {refusal.message}"
        if refusal.code in (wire.BAD_TOKEN, wire.FORBIDDEN, wire.BAD_PROTOCOL, wire.TOO_MANY):
            self._pause = random.uniform(*REFUSED_BACKOFF_S)  # noqa: S311 -- jitter, no secret
            log.warning("z4j refused this process (%s); events are stored in the spool, next attempt in a few minutes", refusal.message)

    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping

    def is_outdated(self) -> bool:
        """Whether this process has changed its identity since its hello, for example has become a worker."""
        return self._agent.boot != self._sent_boot

    def reconnect_soon(self) -> None:
        """Makes the pause before the next connection at most RENEW_S seconds. The caller ends this connection."""
        self._pause = RENEW_S

    def welcomed(self) -> None:
        """Stores that the server has accepted this process: `is_open` is True from now on."""
        self._opened_at, self.state = ticks(), "connected"

    def witness(self, head: dict[str, Any] | None) -> None:
        """Checks that the server's audit log, of which `head` is the last row, extends the log that the server has shown before."""
        if wrong := self._witness.see(head):
            faults.report_problem(
                "audit head", wrong, f"the audit log of the z4j server was truncated or rewritten: {wrong}; inform its administrator"
            )
        elif row := self._witness.restored_by:
            log.warning("the z4j server has restored a backup; row %s of its audit log lists the abandoned rows", row)

    def audit_head(self) -> dict[str, Any]:
        """Returns the field of a heartbeat with the audit head that is stored in the spool folder, {} without one; the server looks for it
        in its log."""
        return self._witness.in_frame()

    def take_wake(self) -> bool:
        """Whether `wake` was called since the last call."""
        woken, self._woken = self._woken, False
        return woken


class _Exchange:
    """Sends and receives the frames of one connection, from the hello to the goodbye."""

    def __init__(
        self, connection: Connection, agent: AgentInterface, commands: Commands, session: Session, socket: ClientConnection
    ) -> None:
        self._connection = connection
        self._agent = agent
        self._commands = commands
        self._session = session
        self._socket = socket
        self._sent: dict[int, Batch] = {}
        self._heartbeat_s = 5.0
        self._next: dict[str, float] = {"scan": 0.0, "heartbeat": 0.0, "discovery": 0.0, "tidy": 0.0, "queues": 0.0, "schedules": 0.0}
        self._poll_s = POLL_MIN_S
        self._reports = Reports(agent, connection.poll_lease)
        self._offered_until = 0.0
        """Time until which more offered work is expected. Offered work is not on disk yet, so the queue is read more often until then."""
        self._is_window_full = False
        """Whether the window closed before the spool was empty."""

    def run(self) -> None:
        """Returns when the connection or the process ends. Raises the exceptions of the socket."""
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
            self._report(now)
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
                if self._is_window_full:
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
        while self._session.may_send_batch and (batch := self._next_batch()) is not None:
            did = True
            if not batch.data:  # a record that could not travel; its gap is in the spool
                shipper.acked(batch)
                continue
            seq, frame = self._session.send_batch(batch.data)
            self._sent[seq] = batch
            self._socket.send(frame)
        self._is_window_full = not self._session.may_send_batch
        return did

    def _next_batch(self) -> Batch | None:
        """The oldest unsent records. None if there are none or they cannot be read, which does not end the connection."""
        try:
            return self._agent.shipper.next_batch()
        except OSError as error:  # no descriptor left, for example
            faults.report("reading the spool", error)
            return None

    def _report(self, now: float) -> None:
        if now >= self._next["discovery"]:
            self._next["queues"] = now + QUEUES_EVERY_S
            whole = [self._send_discovery(adapter) for adapter in self._agent.adapters]
            self._next["discovery"] = now + (DISCOVERY_EVERY_S if all(whole) else INCOMPLETE_EVERY_S)
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
                _guarded("looking after the spool", self._agent.shipper.tidy)

    def _send_discovery(self, adapter: Adapter) -> bool:
        """Whether all of it could be read. A list that fills half a frame is sent without the signatures and documentation of its tasks."""
        report, is_whole = self._reports.discovery(adapter)
        frame = self._session.send_discovery(report)
        if len(frame) > wire.MAX_FRAME // 2:
            report["tasks"] = [(name, "", "", queue, proof) for name, _, _, queue, proof in report["tasks"]]
            frame = self._session.send_discovery(report)
        self._socket.send(frame)
        return is_whole

    def _send_schedules(self, facts: dict[str, Any]) -> None:
        """Sends as many entries as fit into a frame; a shortened list has `is_cut`."""
        frame = self._session.send_schedules(facts)
        while len(frame) > wire.MAX_FRAME and facts["entries"]:
            facts = {**facts, "entries": facts["entries"][: len(facts["entries"]) // 2], "is_cut": True}
            frame = self._session.send_schedules(facts)
        self._socket.send(frame)

    def _heartbeat(self, now: float) -> dict[str, Any]:
        is_queue_time = self._agent.role == "worker" and now >= self._next["queues"]
        if is_queue_time:
            self._next["queues"] = now + QUEUES_EVERY_S
        return self._reports.heartbeat(with_queues=is_queue_time) | self._connection.audit_head()


def _guarded(what: str, act: Callable[[], object]) -> None:
    try:
        act()
    except Exception as error:
        let_through(error)
        faults.report(what, error)


def _is_tls_failure(error: Exception) -> bool:
    """Whether the server's certificate failed verification. `ssl` is imported only when TLS is used."""
    ssl = sys.modules.get("ssl")
    return ssl is not None and isinstance(error, ssl.SSLCertVerificationError | _pin_mismatch())


def _pin_mismatch() -> type[Exception]:
    from z4j_agent.connection.tls import PinMismatch

    return PinMismatch
