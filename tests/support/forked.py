# SPDX-License-Identifier: AGPL-3.0-or-later
"""Starts Python programs by forking a process of their environment that has imported their libraries (`fork_server.py`), one for each
environment and test run."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from tests.support.fork_server import LONGEST
from z4j_agent.conformance.harness import StartedProcess

ROOT: Final = Path(__file__).resolve().parents[2]
AGENT: Final = (
    "z4j_agent.agent", "z4j_agent.spool.spool", "z4j_agent.connection.connection", "z4j_agent.connection.tls",
    "z4j_agent.commands.commands", "z4j_agent.doctor.checks", "websockets.sync.client", "redis", "asyncio", "zoneinfo", "decimal",
    "encodings.idna",
)  # fmt: skip
PRELOADED: Final[dict[str, tuple[str, ...]]] = {
    "server": ("tests.support.warm_server", "z4j.cli", "z4j.app", "uvicorn.lifespan.on", "uvicorn.loops.asyncio", "websockets.sync.client"),
    "celery": (
        *AGENT, "z4j_celery.adapter", "z4j_celery.schedulers.beat", "celery.bin.celery", "celery.bin.worker", "celery.bin.beat",
        "celery.apps.worker", "celery.apps.beat", "celery.concurrency.prefork", "celery.concurrency.solo", "celery.worker.components",
        "celery.worker.consumer", "celery.worker.strategy", "celery.worker.autoscale", "celery.events.state", "celery.app.amqp",
        "celery.app.log", "celery.app.control", "celery.app.events", "celery.backends.redis", "celery.fixups.django",
        "celery.loaders.app", "kombu.transport.redis", "kombu.pools",
    ),
    "rq": (*AGENT, "z4j_rq.adapter", "z4j_rq.schedulers.rqcron", "rq", "rq.worker", "rq.cron"),
    "huey": (*AGENT, "z4j_huey.adapter", "huey.consumer"),
    "arq": (*AGENT, "z4j_arq.adapter", "arq", "arq.cli", "arq.worker", "uvloop"),
    "dramatiq": (*AGENT, "z4j_dramatiq.adapter", "dramatiq.cli", "dramatiq.brokers.redis", "multiprocessing.sharedctypes"),
    "apscheduler": (*AGENT, "z4j_apscheduler.scheduler", "apscheduler.schedulers.blocking"),
    "taskiq": (*AGENT, "z4j_taskiq.adapter", "taskiq.cli.worker.run", "taskiq.cli.worker.cmd", "taskiq_redis", "uvloop"),
}  # fmt: skip
"""Libraries that the programs of each environment import. What is missing here is imported by each child: that costs time only."""
PATCHING: Final = frozenset({"gevent", "eventlet", "greenlet"})
"""Words of commands that do."""


class Ended(NamedTuple):
    """How a program ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class Forked(StartedProcess):
    """A program that runs. It is a child of the process that forked it, which reports how it ended."""

    def __init__(self, server: ForkServer, pid: int, args: Sequence[str], stdin: IO[bytes] | None, stdout: IO[bytes] | None) -> None:
        # without Popen's own, which would start a process
        self.args, self.pid, self.stdin, self.stdout, self.stderr = list(args), pid, stdin, stdout, None
        self.returncode: int | None = None
        self._server = server

    def poll(self) -> int | None:
        """Its exit status as of `Popen`, None while it runs."""
        if self.returncode is None:
            self._server.read(0)
        return self.returncode

    def wait_exactly(self, timeout: float | None) -> int:
        """Waits for what the forking process reports. Raises TimeoutExpired."""
        ends = time.monotonic() + (timeout if timeout is not None else 1e9)
        while self.returncode is None:
            left = ends - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self._server.read(min(left, 60))
        return self.returncode

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sig)


class ForkServer:
    """The forking process of one environment."""

    def __init__(self, python: Path) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [str(python), "-m", "tests.support.fork_server", str(theirs.fileno()), *PRELOADED[name_of(python)]]
            environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True
            )
        self._running: dict[int, Forked] = {}
        self._started: list[int] = []
        atexit.register(self.close)

    def start(self, command: Sequence[str], environment: Mapping[str, str], folder: Path, stdin: int, stdout: int, stderr: int) -> Forked:
        source: IO[bytes] | None = None
        output: IO[bytes] | None = None
        with contextlib.ExitStack() as theirs:

            def given(file: int) -> int:
                theirs.callback(os.close, file)
                return file

            if stdin == subprocess.PIPE:
                end, ours = os.pipe()
                stdin, source = given(end), os.fdopen(ours, "wb")
            if stdout == subprocess.PIPE:
                ours, end = os.pipe()
                stdout, output = given(end), os.fdopen(ours, "rb")
            stderr = stdout if stderr == subprocess.STDOUT else stderr
            files = [given(os.open(os.devnull, os.O_RDWR)) if file == subprocess.DEVNULL else file for file in (stdin, stdout, stderr)]
            message = json.dumps({"command": list(command), "environment": dict(environment), "folder": str(folder)}).encode()
            assert len(message) <= LONGEST, "the command and the environment are too long"
            socket.send_fds(self._socket, [message], files)
        while not self._started:
            self.read(60)
        pid = self._started.pop()
        made = self._running[pid] = Forked(self, pid, command, source, output)
        return made

    def read(self, seconds: float) -> None:
        """Reads what it reports, and waits up to so long for something."""
        while select.select([self._socket], [], [], seconds)[0]:
            received = self._socket.recv(LONGEST)
            assert received, f"the process that forks has ended: {self._process.poll()}"
            self._take(json.loads(received))
            seconds = 0

    def _take(self, reported: dict[str, Any]) -> None:
        if "started" in reported:
            self._started.append(reported["started"])
        else:
            self._running.pop(reported["ended"]).returncode = os.waitstatus_to_exitcode(reported["status"])

    def close(self) -> None:
        self._socket.close()
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(60)


_servers: dict[Path, ForkServer] = {}


def name_of(python: Path) -> str:
    """Of an interpreter's environment."""
    return python.parent.parent.name


def interpreted(command: Sequence[str | Path]) -> list[str]:
    """The command of an interpreter that does what `command` does: a script of an environment's `bin` is run by its interpreter."""
    program, *words = map(str, command)
    if Path(program).name.startswith("python"):
        return [program, *words]
    return [str(Path(program).with_name("python")), program, *words]


def is_forkable(command: Sequence[str | Path]) -> bool:
    """Whether it is a command of an environment whose libraries are known, without options of the interpreter, and does not change modules
    of the standard library before the others are imported."""
    program, *words = map(str, command)
    if Path(program).parent.name != "bin" or name_of(Path(program)) not in PRELOADED or set(words) & PATCHING:
        return False
    if not Path(program).name.startswith("python"):
        with open(program, "rb") as file:
            return file.readline().rstrip().endswith(b"/python")
    return bool(words) and (words[0] in ("-m", "-c") or words[0].endswith(".py"))


def start(
    command: Sequence[str | Path], *, env: Mapping[str, str], stdout: int | IO[bytes], stderr: int | IO[bytes] = subprocess.STDOUT,
    stdin: int | IO[bytes] = subprocess.DEVNULL, cwd: Path | None = None, start_new_session: bool = True,
) -> Forked:  # fmt: skip
    """Runs a forkable command, with the arguments of `Popen`. The process that forks starts at the first call."""
    assert start_new_session, "each forked program has a session of its own"
    python, *words = interpreted(command)
    if Path(python) not in _servers:
        _servers[Path(python)] = ForkServer(Path(python))
    files = [file if isinstance(file, int) else file.fileno() for file in (stdin, stdout, stderr)]
    return _servers[Path(python)].start(words, env, cwd or Path.cwd(), *files)


def run(python: Path, module: str, *words: str, environment: Mapping[str, str], stdin: str = "", seconds: float = 120) -> Ended:
    """`python -m MODULE WORDS` to its end, in the folder of the project. Raises TimeoutExpired, and kills it then."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as source:
        source.write(stdin.encode())
        source.seek(0)
        process = start([python, "-m", module, *words], env=environment, stdin=source, stdout=output, stderr=errors, cwd=ROOT)
        try:
            status = process.wait_exactly(seconds)
        finally:
            process.kill()
        for file in (output, errors):
            file.seek(0)
        return Ended(status, output.read().decode("utf-8", "replace"), errors.read().decode("utf-8", "replace"))
