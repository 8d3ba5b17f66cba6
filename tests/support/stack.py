# SPDX-License-Identifier: AGPL-3.0-or-later
"""The product run for real: a server process, a Valkey, Celery workers, each started and ended by the test that needs it."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.support import forked
from z4j_agent.conformance.harness import END_S, StartedProcess, free_port, is_open, valkey_command

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
CELERY_PYTHON = ROOT / ".venvs/celery/bin/python"
SERVER_PYTHON = ROOT / ".venvs/server/bin/python"


PATIENCE_S = float(os.environ.get("Z4J_PATIENCE", "0"))
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.03, 0.25


def wait_for(probe: Callable[[], T], *, seconds: float = 20, what: str | Callable[[], str]) -> T:
    """Asks until the answer is true; raises AssertionError naming `what`, or what it returns then, after `seconds`, and PATIENCE_S more
    where suites run together. Asks less and less often: most questions cost a query or a request."""
    seconds += PATIENCE_S
    ends, pause = time.monotonic() + seconds, SHORTEST_PAUSE_S
    while True:
        if answer := probe():
            return answer
        assert time.monotonic() < ends, f"not within {seconds} s: {what if isinstance(what, str) else what()}"
        time.sleep(pause)
        pause = min(pause * 1.2, LONGEST_PAUSE_S)


STALL_S = 60.0


def wait_for_count(probe: Callable[[], int], count: int, *, what: str) -> None:
    """Waits as long as the answer grows, up to `count`. Raises AssertionError naming `what` when it is more, or the same for STALL_S."""
    seen, ends = -1, 0.0
    while (found := probe()) != count:
        assert found < count, f"{found}, and {count} were expected: {what}"
        if found > seen:
            seen, ends = found, time.monotonic() + STALL_S
        assert time.monotonic() < ends, f"{found} of {count}, and no more for {STALL_S} s: {what}"
        time.sleep(0.05)


def is_seen_within(seconds: float, probe: Callable[[], object]) -> bool:
    """Whether the answer becomes true so soon: for what is expected not to happen, which no patience makes more certain."""
    ends = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


@dataclass
class Child:
    """A started process with its output in a file; ended with its whole group."""

    name: str
    process: StartedProcess
    log: Path

    def kill(self) -> None:
        """SIGKILL to the process alone, as an out-of-memory killer would."""
        self.process.kill()
        self.process.wait(60)

    def end(self, seconds: float = END_S) -> int:
        """Its exit status. A Celery worker may need 30 s, with and without z4j (see `StartedProcess` of the adapters' tests)."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                return self.process.wait_exactly(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait(60)


@dataclass
class Stack:
    """One server, one broker and their workers in a folder of their own."""

    folder: Path
    children: list[Child] = field(default_factory=list)
    at_end: list[Callable[[], object]] = field(default_factory=list)
    """What else has to be closed when the test is over."""
    port: int = field(default_factory=free_port)
    broker_port: int = field(default_factory=free_port)
    url: str = ""
    tls: tuple[str, ...] = ()
    """Variables of the server for TLS, as NAME=value."""
    variables: dict[str, str] = field(default_factory=dict)
    """Other variables of every program."""
    is_fresh: bool = False
    """Whether each program is a new interpreter. Otherwise it is forked from one that has imported its libraries."""

    # -- processes -----------------------------------------------------------------------------------------------------
    def start(self, name: str, command: Sequence[str | Path], env: Mapping[str, str] | None = None, *, is_fresh: bool = False) -> Child:
        log, environment = self.folder / f"{name}.log", {**os.environ, **self.environment(), **(env or {})}
        is_fresh = is_fresh or self.is_fresh or not forked.is_forkable(command)
        start_process = StartedProcess if is_fresh else forked.start
        with log.open("ab") as out:
            process = start_process(
                [str(part) for part in command],
                cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        child = Child(name, process, log)
        self.children.append(child)
        return child

    def run(self, python: Path, module: str, *words: str, env: Mapping[str, str] | None = None, stdin: str = "") -> forked.Ended:
        """`python -m MODULE WORDS` to its end."""
        environment = {**os.environ, **self.environment(), **(env or {})}
        if not self.is_fresh:
            return forked.run(python, module, *words, environment=environment, stdin=stdin)
        command = [str(python), "-m", module, *words]
        done = subprocess.run(command, cwd=ROOT, env=environment, input=stdin, capture_output=True, text=True, timeout=120, check=False)
        return forked.Ended(done.returncode, done.stdout, done.stderr)

    def environment(self) -> dict[str, str]:
        return {
            "Z4J_DATA": str(self.data),
            "Z4J_URL": self.url,
            "Z4J_SPOOL": str(self.folder / "spool"),
            "BROKER_URL": f"redis://127.0.0.1:{self.broker_port}/0",
            "WITNESS": str(self.folder / "witness"),
            "PYTHONPATH": str(ROOT),
            **dict(variable.split("=", 1) for variable in self.tls),
            **self.variables,
        }

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def address(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def command(self, *words: str, stdin: str = "") -> str:
        """Runs `z4j WORDS` and returns what it printed; raises AssertionError with its output."""
        done = self.run(SERVER_PYTHON, "z4j", *words, stdin=stdin)
        assert done.returncode == 0, f"z4j {words} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def start_server(self, executable: list[str | Path] | None = None, *, is_fresh: bool = False) -> Child:
        program: list[str | Path] = executable or [SERVER_PYTHON, "-m", "z4j"]
        server = self.start("server", [*program, "serve", "--port", str(self.port)], is_fresh=is_fresh)
        wait_for(lambda: self.answers(server), what=f"the server answers, see {server.log}")
        return server

    def answers(self, server: Child) -> bool:
        assert server.process.poll() is None, server.log.read_text()[-3000:]
        return is_open(self.port)

    def add_app(self, name: str = "shop") -> str:
        """Makes an app with its first token; from here on every worker of this stack reports to it."""
        printed = self.command("token", "create", "--app", name)
        self.url = next(word.strip("'") for word in printed.split("Z4J_URL=")[1].split())
        before, _, after = self.url.rpartition("@")
        self.url = f"{before}@127.0.0.1:{self.port}{after[after.find('?') :] if '?' in after else ''}"
        return self.url

    def copy(self, prepared: Stack) -> None:
        """Begins with the data folder and the app of a stack that never ran."""
        shutil.copytree(prepared.data, self.data)
        self.url = f"{prepared.url.rpartition('@')[0]}@127.0.0.1:{self.port}"

    def start_broker(self) -> Child:
        broker = self.start("broker", valkey_command(self.broker_port, self.folder))
        wait_for(lambda: is_open(self.broker_port), what=f"the broker answers, see {broker.log}")
        return broker

    def start_worker(self, *words: str, name: str = "worker", env: dict[str, str] | None = None, log_says: bytes = b" ready.") -> Child:
        """A prefork worker of two; returns once its log says `log_says` (empty: at once)."""
        worker = self.start(
            name,
            [
                CELERY_PYTHON, "-m", "celery", "-A", "tests.support.witness_app", "worker",
                "--loglevel", "INFO", "--concurrency", "2", "-Q", "work", "-n", f"{name}@test", *words,
            ],
            env,
        )  # fmt: skip
        wait_for(lambda: log_says in worker.log.read_bytes(), seconds=30, what=f"the worker is ready, see {worker.log}")
        return worker

    def produce(self, kind: str, amount: int, *words: str) -> list[str]:
        done = self.run(CELERY_PYTHON, "tests.support.produce", kind, str(amount), *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def end(self) -> None:
        for close in self.at_end:
            close()
        for child in reversed(self.children):
            child.end(15)

    # -- what the store holds ------------------------------------------------------------------------------------------
    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.data / 'z4j.db'}?mode=ro", uri=True, timeout=10)) as db:
            return db.execute(sql, parameters).fetchall()

    def states(self) -> dict[str, int]:
        """Task id → state code, for every task the store knows."""
        from uuid import UUID

        return {str(UUID(bytes=row[0])): int(row[1]) for row in self.rows("SELECT task_id, state FROM task")}

    def testimony(self) -> list[list[str]]:
        witness = self.folder / "witness"
        return [line.split() for line in witness.read_text().splitlines()] if witness.exists() else []


@contextmanager
def stack(folder: Path, *, is_fresh: bool = False) -> Iterator[Stack]:
    made = Stack(folder, is_fresh=is_fresh)
    try:
        yield made
    finally:
        made.end()


@contextmanager
def running_shop(folder: Path, prepared: Stack) -> Iterator[Stack]:
    """A server with the app of a stack that never ran, a broker, and no worker yet."""
    with stack(folder) as made:
        made.start_broker()
        made.copy(prepared)
        made.start_server()
        yield made
