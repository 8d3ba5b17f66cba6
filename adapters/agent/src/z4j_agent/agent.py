# SPDX-License-Identifier: Apache-2.0
"""One agent per process tree: its identity, its spool, and the few things adapters call.

Everything an adapter calls from the application's threads is synchronous, takes no lock and never raises. Work that may take time is done
in the agent's own thread (`connection.py`), which exists only in long-lived processes.
"""

from __future__ import annotations

import atexit
import collections
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from z4j_agent.capture import current_run, display, log_lines, originals, run_usage
from z4j_agent.capture.guard import faults, guard, let_through
from z4j_agent.connection.connection import Connection  # here, so that the first request of an application does not wait for it
from z4j_agent.contract.overrides import OverrideStore, open_store
from z4j_agent.runtime import stacks
from z4j_agent.runtime.agent_log import log, sink
from z4j_agent.runtime.native_threads import ticks
from z4j_agent.settings import Settings
from z4j_agent.spool import file_lock
from z4j_agent.spool.memory import MemorySpool
from z4j_agent.spool.shipper import Shipper
from z4j_agent.spool.spool import Spool, SpoolUnusable, prepare_folder
from z4j_agent.spool.spool_location import folder_name, is_network
from z4j_agent.wire import MAX_RECORD, encode_record, records
from z4j_agent.wire.credentials import lazy_patterns
from z4j_agent.wire.redaction import RULES, redact_text

if TYPE_CHECKING:
    from z4j_agent.contract.adapter import Adapter
    from z4j_agent.contract.scheduler import Scheduler

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 -- prepare_folder checks owner and mode
SHARED_MEMORY_LIMIT = 16 * 1024 * 1024
OFFERED_AT_MOST = 10_000
TOGETHER = 64 * 1024
"""Bytes of two records that are written at once: more would not fit into a datagram, nor into a batch beside others."""
EXIT_WAIT_S = 1.0
"""Seconds that a process waits at its end for the remaining events to be sent, and again for the goodbye."""


class Agent:
    """The agent of a process tree, created by `z4j_agent.start`. `run` names this process in every record ("boot.pid"); it changes
    automatically in a forked child. Methods that append, offer or show may be called in any thread."""

    def __init__(self, settings: Settings, adapters: tuple[Adapter, ...]) -> None:
        self.settings = settings
        self.adapters = adapters
        self.schedulers: tuple[Scheduler, ...] = ()
        self.role = "producer"
        self.worker = ""
        self.seat = ""
        self.host = socket.gethostname()
        self.notes: list[str] = []
        self.fingerprints: dict[str, str] = {}
        """Fingerprints of this process's brokers by identity; filled by the agent's thread, see `Adapter.brokers`."""
        self.boot = ""
        self.run = ""
        self._boot_pid = 0
        self._engines: dict[str, str] = {}
        self._override_stores: dict[str, OverrideStore] = {}
        self._new_boot()
        self.spool_name = ""
        """Name of this spool on the server: a command that was sent to one spool folder is sent to no other."""
        self.spool, self.shipper = self._open_spool()
        self._offered: collections.deque[Callable[[], bytes | None]] = collections.deque(maxlen=OFFERED_AT_MOST)
        self._connection: Connection | None = None
        self._connecting = threading.Lock()
        """Acquired without waiting: two threads that serve their first request at once create one connection."""
        self._is_worker_child = False
        faults.attach(self._report_fault)
        logged = () if settings.log_level is None else (log_lines.begin,)
        watched = ((stacks.begin,), (stacks.end,)) if settings.are_children_watched else ((), ())
        current_run.observe((*watched[0], *logged, run_usage.begin), (run_usage.end, *watched[1]))

    # -- what adapters call --------------------------------------------------------------------------------------------
    def append(self, record: bytes) -> bool:
        """Appends one record to the spool. Returns False if it could not be written, or is longer than MAX_RECORD bytes; that is counted
        and reported later. Never raises OSError."""
        if len(record) > MAX_RECORD:  # a reader would refuse it; adapters shorten every text, so only a name can be that long
            self.spool.dropped += 1
            self.spool.dropped_total += 1
            return False
        if not self.spool.append(record):
            return False
        if self.spool.dropped:
            self._report_refused()
        return True

    def append_together(self, first: bytes, second: bytes) -> bool:
        """Appends two records with one write, or with two above TOGETHER bytes; an empty `second` is none. Returns False if one of them
        could not be written."""
        if not second or len(first) + len(second) > TOGETHER:
            is_first = self.append(first)
            return (not second or self.append(second)) and is_first  # both: each counts its own loss
        if not self.spool.append(first + second, 2):
            return False
        if self.spool.dropped:
            self._report_refused()
        return True

    def append_with(self, record: bytes, make: Callable[[], bytes]) -> None:
        """Appends `record` and the one that `make` returns with one write. If `make` raises, `record` is appended alone, and the exception
        is raised."""
        other = b""
        try:
            other = make()
        finally:
            self.append_together(record, other)

    def offer(self, job: Callable[[], bytes | None]) -> None:
        """Queues `job` for the agent's thread, which appends the record that it returns. Without such a thread, runs it at once in the
        calling one. Of more than OFFERED_AT_MOST jobs the oldest is dropped and counted. An exception of `job` is counted as a fault."""
        if self._connection is None:
            self._do(job)
        else:
            if len(self._offered) == OFFERED_AT_MOST:
                self.spool.dropped += 1
                self.spool.dropped_total += 1
            self._offered.append(job)

    def payload(
        self,
        engine: str,
        task_id: str,
        attempt: int,
        name: str,
        queue: str,
        rank: int,
        args: Any,
        kwargs: Any,
        original: dict[str, Any] | None,
        names: tuple[str, ...] = (),
    ) -> bytes:
        """Returns the record of a task's arguments (redacted) and its original (sealed where something was masked). `rank` is 2 for the
        producer, 1 for a worker. `original` is JSON-able, None if there is none.

        `names` are the positional parameters of the task, so that a secret passed by position is masked by its name."""
        shown = display.show_arguments(args, kwargs, self.settings.redact, names)
        return self.shown_payload(engine, task_id, attempt, name, queue, rank, shown, original, missing="none")

    def shown_payload(
        self,
        engine: str,
        task_id: str,
        attempt: int,
        name: str,
        queue: str,
        rank: int,
        shown: tuple[str, bool],
        original: dict[str, Any] | None,
        *,
        is_secret: bool = False,
        missing: str = "too_large",
        broker: str = "",
    ) -> bytes:
        """Like `payload`, for redacted arguments: `shown` is their text and whether anything in it was masked.

        Every original is authenticated or sealed here. It is sealed if `shown` was masked, or if the caller sets `is_secret` because the
        original contains more than `shown`. `missing` is the state where `original` is None. `broker` is the identity of the broker that
        the original belongs to, where the engine can have several.
        """
        text, is_masked = shown
        closed, state = None, missing
        if original is not None:
            server = self.fingerprints.get(broker, "") if broker else ""
            binding = originals.Binding(engine, task_id, self.settings.environment, name, queue, broker, server)
            closed, state = originals.close_original(original, binding, is_masked=is_masked or is_secret, key=self.settings.seal_key)
        return records.payload(
            engine,
            task_id,
            attempt,
            time.time_ns() // 1000,
            self.run,
            name,
            queue,
            rank=rank,
            args=text,
            is_masked=is_masked,
            original=closed,
            original_state=state,
            broker=broker,
        )

    def show(self, value: Any) -> str:
        """Returns a result as redacted display text of at most 2,000 characters."""
        return display.show(value, self.settings.redact)[0]

    def become_worker(self, worker: str, seat: str = "") -> None:
        """Makes this process a worker of that name. Call it before the worker forks.

        `seat` is a name that stays the same when the worker restarts, for an engine that gives a restarted worker another name.
        """
        lazy_patterns.compile_all()  # 15 ms, which a worker that forks for each task would pay with each of them
        self.role, self.worker, self.seat = "worker", worker, seat[:200]
        self._new_boot()
        self.spool.new_segment()

    def become_child(self, worker: str, boot: str) -> None:
        """Makes this process a child of the worker with that boot, for a child that was spawned and not forked. It writes records under
        that boot and never connects."""
        self.role, self.worker, self._is_worker_child = "worker", worker, True
        self.boot, self._boot_pid = boot, os.getpid()
        self.run = f"{boot}.{self._boot_pid}"
        self.spool.new_segment()

    def become_scheduler(self, name: str) -> None:
        """Makes this process a scheduler. It opens its own connection, even if a worker forked it."""
        self.role, self.worker, self._is_worker_child = "scheduler", name, False
        self._new_boot()
        self.spool.new_segment()
        self.connect()

    def fired(self, scheduler: str, key: str, due_at: int | None, *, task_id: str = "", outcome: str = "sent", error: str = "") -> None:
        """Records a fire of a schedule with its outcome, see `contract.scheduler.Outcome`. `due_at` is in microseconds UTC, None if the
        scheduler does not report it."""
        facts = {
            "scheduler": scheduler,
            "schedule": key,
            "due_at": due_at,
            "task_id": task_id,
            "outcome": outcome,
            "error": display.shorten(redact_text(error), 500),
        }
        self.append(encode_record(["fired", self.run, time.time_ns() // 1000, facts]))

    def override_store(self, scheduler: str) -> OverrideStore:
        """Returns the stored overrides of a scheduler whose entries are defined in code."""
        if scheduler not in self._override_stores:
            self._override_stores[scheduler] = open_store(self.settings, self.shipper.folder, scheduler)
        return self._override_stores[scheduler]

    def connect(self) -> None:
        """Starts the agent's thread if this process has none. Does nothing in the children of a worker, which only write. May be called in
        any thread; never waits. Raises RuntimeError if no thread can be started."""
        if self._is_worker_child or self._connection is not None or not self._connecting.acquire(blocking=False):
            return
        try:
            if self._connection is not None:
                return
            if self._boot_pid != os.getpid():
                self._new_boot()
                self.spool.new_segment()
            connection = Connection(self)
            connection.start()
            self._connection = connection
        finally:
            self._connecting.release()

    @property
    def is_worker_child(self) -> bool:
        """Whether a worker forked or spawned this process to execute tasks."""
        return self._is_worker_child

    @property
    def is_connected_process(self) -> bool:
        """Whether this process has the agent's thread; children of a worker and idle producers have none."""
        return self._connection is not None

    def flush(self, timeout_s: float) -> bool:
        """Waits at most `timeout_s` seconds until everything captured so far is acknowledged, or another process is responsible for sending
        it.

        Returns False if that takes longer, or at once if this process has no connection or the spool folder cannot be read, which is
        counted as a fault. The events are then sent later."""
        ends = ticks() + timeout_s
        try:
            while self._offered or not (self.shipper.is_elsewhere or self.shipper.is_empty()):
                if self._connection is None or ticks() >= ends:
                    return False
                self._connection.wake()
                time.sleep(0.02)
        except OSError as error:  # no descriptor left, for example
            faults.report("waiting for the spool", error)
            return False
        return True

    def stop(self, timeout_s: float = 2.0) -> None:
        """Sends the remaining events and the goodbye, each in `timeout_s` seconds at most, and lets another process send the spool. Events
        that are still in the spool are not lost. Never raises OSError."""
        if self._connection is not None and self._connection.is_open:
            self.flush(timeout_s)
        atexit.unregister(self.close)
        log_lines.attached.remove()
        current_run.observe((), ())
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.stop(timeout_s)
        self.drain_offered()
        self.spool.close()

    def close_at_exit(self) -> None:
        """Registers `close` for the end of this process, until `stop`. Adapters call it when they are installed."""
        atexit.unregister(self.close)
        atexit.register(self.close)

    @guard("exit")
    def close(self) -> None:
        """Sends the remaining events and the goodbye, in about two seconds at most, even without a server. Events that were not sent stay
        in the spool, and the next process sends them. Call it where a process ends without `atexit`. Does nothing where this process has no
        connection."""
        if self.is_connected_process:
            self.flush(EXIT_WAIT_S)
            self.stop(EXIT_WAIT_S)

    # -- for the connection --------------------------------------------------------------------------------------------
    def drain_offered(self) -> bool:
        """Runs the offered jobs. Returns True if one made a record: then more are likely. What a job offers waits for the next time."""
        did = False
        for _ in range(len(self._offered)):
            try:
                job = self._offered.popleft()
            except IndexError:  # `stop` and a thread that did not end in time empty the queue together
                break
            did = self._do(job) or did
        return did

    def _do(self, job: Callable[[], bytes | None]) -> bool:
        """Returns whether it made a record."""
        try:
            record = job()
            if record is not None:
                self.append(record)
                return True
        except Exception as error:
            let_through(error)
            faults.report("arguments", error)
        return False

    def origin(self) -> bytes:
        """Returns the `origin` record, the first of every segment, which identifies the writing process. Called by the spool, in the thread
        that appends. Never raises."""
        facts = {
            "host": self.host,
            "pid": self._boot_pid,
            "role": self.role,
            "worker": self.worker,
            "app": self.settings.app,
            "environment": self.settings.environment,
            "release": self.settings.release,
            "engines": self.engines(),
            "redaction": RULES,
        }
        return encode_record(["origin", self.boot, time.time_ns() // 1000, facts])

    def engines(self) -> dict[str, str]:
        """Returns engine → version, "" if it cannot be read. Each is read once, because this is in the path of appending. Never raises."""
        for adapter in self.adapters:
            if adapter.engine not in self._engines:
                try:
                    self._engines[adapter.engine] = adapter.engine_version()
                except Exception as error:
                    let_through(error)
                    self._engines[adapter.engine] = ""
                    faults.report(f"finding the version of {adapter.engine}", error)
        return {adapter.engine: self._engines[adapter.engine] for adapter in self.adapters}

    def _report_fault(self, where: str, kind: str, count: int) -> None:
        at = time.time_ns() // 1000
        self.spool.append(encode_record(["fault", f"{self.run}:{where}"[:255], at, {"where": where, "error": kind, "count": count}]))

    # -- processes -----------------------------------------------------------------------------------------------------
    def after_fork_in_child(self) -> None:
        """Called in every forked child: resets the state and drops inherited locks and the inherited connection."""
        self.run = f"{self.boot}.{os.getpid()}"
        current_run.after_fork_in_child()
        self.spool.after_fork_in_child()
        self.shipper.after_fork_in_child()
        file_lock.after_fork_in_child()
        # Only what has to be is replaced: a memory page that is written here is copied for each child, and RQ forks one for each task.
        if self._offered:
            self._offered = collections.deque(maxlen=OFFERED_AT_MOST)
        if self._connecting.locked():
            self._connecting = threading.Lock()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.after_fork_in_child()
        self._is_worker_child = self.role == "worker"

    def _new_boot(self) -> None:
        self.boot, self._boot_pid = secrets.token_hex(6), os.getpid()
        self.run = f"{self.boot}.{self._boot_pid}"

    def _report_refused(self) -> None:
        count = self.spool.take_dropped()
        at = time.time_ns() // 1000
        facts = {"count": count, "bytes": 0, "first_at": at, "last_at": at, "cause": "the spool refused writes"}
        if not self.spool.append(encode_record(["gap", f"{self.run}:{at}", at, facts])):  # it counts the report, which is no loss
            self.spool.dropped += count - 1
            self.spool.dropped_total -= 1

    def _open_spool(self) -> tuple[Spool | MemorySpool, Shipper | MemorySpool]:
        """The spool in the configured folder, else in shared memory, else in this process's memory. Each fallback is noted."""
        name = self.settings.spool.name
        shared = SHARED_MEMORY / f"z4j-{os.geteuid()}-{name}"
        for folder, limit in ((self.settings.spool, self.settings.spool_limit), (shared, SHARED_MEMORY_LIMIT)):
            try:
                prepare_folder(folder)
                if is_network(folder):
                    raise SpoolUnusable(f"spool folder {folder} is on a network file system, which is not reliable")
                self.spool_name = folder_name(folder)
            except (SpoolUnusable, OSError, ValueError) as error:  # ValueError: a path that contains NUL
                self._note(str(error))
                continue
            if self.notes:
                self._note(f"events are stored in {folder} instead, {limit >> 20} MB at most, and are lost when the host restarts")
            sink.use(folder)
            spool = Spool(folder, self.origin)
            return spool, Shipper(folder, limit, spool.append)
        self._note("events are stored in memory and are lost when this process ends; set Z4J_SPOOL to a writable folder")
        self.spool_name = self.boot
        memory = MemorySpool(self.origin)
        return memory, memory

    def _note(self, sentence: str) -> None:
        """Logs a sentence once, and sends it in every hello for the Workers page."""
        self.notes.append(sentence)
        log.warning("%s", sentence)
