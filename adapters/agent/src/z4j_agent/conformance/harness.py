# SPDX-License-Identifier: Apache-2.0
"""What an engine must bring: how to start a worker and a producer. Everything else the suite does itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar

import psutil

from z4j_agent.adapter import Capability
from z4j_agent.conformance.gateway import Gateway, wait_for


@dataclass
class Process:
    """A process of the host application, leading a group of its own."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.popen.pid

    def tree(self) -> list[psutil.Process]:
        """This process and all below it that are alive."""
        try:
            main = psutil.Process(self.pid)
            return [main, *main.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def cpu_s(self) -> float:
        """Seconds of CPU the tree has used, dead children included."""
        used = 0.0
        for process in self.tree():
            times = process.cpu_times()
            used += times.user + times.system
        return used

    def stop(self, seconds: float = 20.0) -> int:
        """Asks it to end (SIGTERM) and returns its exit status; whatever is left of its group is killed."""
        if self.popen.poll() is None:
            self.popen.terminate()
        try:
            status = self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            status = -signal.SIGKILL
        self.kill_group()
        return status

    def kill(self) -> None:
        """SIGKILL to this one process, as the kernel does when memory runs out."""
        self.popen.kill()
        self.popen.wait(10)

    def kill_group(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        if self.popen.poll() is None:
            self.popen.wait(10)

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")


class Harness:
    """Subclass it for an engine.

    The worker knows these tasks, whatever the engine calls them (`name_of`):

    `succeed(value)` returns value · `fail(message)` raises ValueError(message) · `flaky()` asks once to be retried, then returns "ok" ·
    `wait(seconds)` sleeps · `crash()` kills its own process with SIGKILL · `login(user, password)` returns whether the password is the one
    in the environment variable SECRET · `ignore()` where the engine has such an outcome.

    The producer reads one JSON object per line from standard input and answers each with one line. `{"send": role, "args": [...],
    "kwargs": {...}, "options": {...}}` → `{"id": task id}`; options are `delay` and `expires` in seconds. `{"send": "unreadable"}` sends
    `succeed` with an argument whose `__repr__` raises, `{"send": "unknown"}` a task no worker knows, and `{"lookup": id}` → what the
    adapter's `lookup_task` returns. `{"many": role, "count": n}` sends n at once → `{"ids": [...]}`.
    """

    engine: ClassVar[str]
    capabilities: ClassVar[tuple[Capability, ...]] = ()
    queue: ClassVar[str] = ""
    """Where the tasks go; "" when the engine has no queues."""
    can_expire: ClassVar[bool] = True
    can_delay: ClassVar[bool] = True
    can_lookup: ClassVar[bool] = True
    can_tell_received: ClassVar[bool] = True
    survives_crash: ClassVar[bool] = True
    """Whether a worker outlives a task that kills its own process (it runs tasks in children)."""

    def name_of(self, role: str) -> str:
        """The engine's name of a role."""
        raise NotImplementedError

    def worker_command(self) -> list[str]:
        raise NotImplementedError

    def producer_command(self) -> list[str]:
        raise NotImplementedError

    def environment(self, stack: Stack) -> dict[str, str]:
        """What its processes need beside z4j's own variables; each stack should have queues of its own."""
        raise NotImplementedError

    def is_ready(self, worker: Process) -> bool:
        """Whether the worker takes tasks, for runs without z4j."""
        raise NotImplementedError


@dataclass
class Stack:
    """One gateway, one spool, one producer and the workers of one test or class."""

    harness: Harness
    folder: Path
    gateway: Gateway
    env: dict[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    _producer: Process | None = None

    SECRET: ClassVar[str] = "correct-horse-battery-7f3a91"

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    def start(self, name: str, command: list[str], *, is_piped: bool = False, **env: str) -> Process:
        log = self.folder / f"{name}-{len(self.processes)}.log"
        own = {
            "Z4J_URL": self.gateway.url, "Z4J_SPOOL": str(self.spool), "Z4J_ENVIRONMENT": "conformance", "Z4J_ALLOW": "all",
            "Z4J_RELEASE": "1", "SECRET": self.SECRET,
        }  # fmt: skip
        pipe = subprocess.PIPE if is_piped else subprocess.DEVNULL
        with log.open("wb") as out:
            popen = subprocess.Popen(
                command,
                env={**os.environ, **own, **self.harness.environment(self), **self.env, **env},
                stdin=pipe, stdout=pipe if is_piped else out, stderr=out, start_new_session=True, cwd=self.folder,
            )  # fmt: skip
        process = Process(popen, log)
        self.processes.append(process)
        return process

    def start_worker(self, *, is_told: bool = True, **env: str) -> Process:
        """Starts a worker; waits until it has connected, or (`is_told` false) until the engine says it is ready."""
        known = len(self.gateway.links)
        worker = self.start("worker", self.harness.worker_command(), **env)

        def is_up() -> bool:
            assert worker.popen.poll() is None, f"the worker ended: {worker.said()[-3000:]}"
            return not is_told or any(link.is_worker and link.discoveries for link in self.gateway.links[known:])

        wait_for(is_up, "the worker connects", 30)
        wait_for(lambda: self.harness.is_ready(worker), "the worker is ready", 30)
        return worker

    # -- the producer --------------------------------------------------------------------------------------------------
    def send(self, role: str, *args: Any, options: dict[str, Any] | None = None, **kwargs: Any) -> str:
        """Enqueues a task in the producer process and returns its id."""
        return str(self._say({"send": role, "args": args, "kwargs": kwargs, "options": options or {}})["id"])

    def send_many(self, role: str, count: int) -> list[str]:
        return list(self._say({"many": role, "count": count})["ids"])

    def lookup(self, task_id: str) -> dict[str, Any]:
        return self._say({"lookup": task_id})

    def _say(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._producer is None:
            self._producer = self.start("producer", self.harness.producer_command(), is_piped=True)
        producer = self._producer.popen
        stdin, stdout = _piped(producer.stdin), _piped(producer.stdout)
        stdin.write(json.dumps(request).encode() + b"\n")
        stdin.flush()
        line = stdout.readline()
        assert line, f"the producer ended: {self._producer.said()[-3000:]}"
        answer: dict[str, Any] = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer

    def close(self) -> None:
        for process in reversed(self.processes):
            if process is self._producer:
                _piped(process.popen.stdin).close()
                try:
                    process.popen.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill_group()
                _piped(process.popen.stdout).close()
            else:
                process.stop()
        self.gateway.stop()


def _piped(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def settle(seconds: float) -> None:
    """Gives something that must not happen the time to happen."""
    time.sleep(seconds)
