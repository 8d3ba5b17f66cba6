# SPDX-License-Identifier: AGPL-3.0-or-later
"""Starts Python programs by forking a process of their environment that has imported their libraries (`fork_server.py`), one for each
environment and test run."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

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


@dataclass(frozen=True, slots=True)
class Program:
    """`python -m MODULE WORDS`, its whole environment, and its files. What it prints is appended."""

    module: str
    words: Sequence[str]
    environment: Mapping[str, str]
    output: Path
    errors: Path
    stdin: Path = Path(os.devnull)


class Ended(NamedTuple):
    """How a program ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class Forked:
    """A program that runs, with the part of the interface of `subprocess.Popen` that tests use."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server

    def poll(self) -> int | None:
        """Its exit status as of `Popen`, None while it runs."""
        if self.returncode is None:
            self._server.read(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises TimeoutExpired."""
        ends = time.monotonic() + (timeout if timeout is not None else 1e9)
        while self.returncode is None:
            left = ends - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            self._server.read(min(left, 60))
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """The forking process of one environment."""

    def __init__(self, python: Path) -> None:
        command = [str(python), "-m", "tests.support.fork_server", *PRELOADED[python.parent.parent.name]]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._running: dict[int, Forked] = {}
        self._started: list[Forked] = []
        self._text = b""
        atexit.register(self.close)

    def start(self, program: Program) -> Forked:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(program), default=str).encode() + b"\n")
        self._process.stdin.flush()
        while not self._started:
            self.read(60)
        return self._started.pop()

    def read(self, seconds: float) -> None:
        """Reads what it reports, and waits up to so long for something."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while select.select([descriptor], [], [], seconds)[0]:
            received = os.read(descriptor, 1 << 16)
            assert received, f"the process that forks has ended: {self._process.poll()}"
            *lines, self._text = (self._text + received).split(b"\n")
            for line in lines:
                self._take(json.loads(line))
            seconds = 0

    def _take(self, reported: dict[str, Any]) -> None:
        if "started" in reported:
            made = self._running[reported["started"]] = Forked(self, reported["started"])
            self._started.append(made)
        else:
            self._running.pop(reported["ended"]).returncode = os.waitstatus_to_exitcode(reported["status"])

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(60)
        self._process.stdout.close()


_servers: dict[Path, ForkServer] = {}


def start(python: Path, program: Program) -> Forked:
    """Runs it in the environment of this interpreter, whose forking process starts at the first call."""
    if python not in _servers:
        _servers[python] = ForkServer(python)
    return _servers[python].start(program)


def run(python: Path, module: str, *words: str, environment: Mapping[str, str], stdin: str = "", seconds: float = 120) -> Ended:
    """`python -m MODULE WORDS` to its end. Raises TimeoutExpired, and kills it then."""
    with tempfile.TemporaryDirectory() as folder:
        output, errors, source = (Path(folder, name) for name in ("output", "errors", "stdin"))
        source.write_text(stdin, "utf-8")
        process = start(python, Program(module, words, environment, output, errors, source))
        try:
            status = process.wait(seconds)
        finally:
            process.kill()
        return Ended(status, output.read_text("utf-8", "replace"), errors.read_text("utf-8", "replace"))
