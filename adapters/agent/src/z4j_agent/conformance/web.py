# SPDX-License-Identifier: Apache-2.0
"""Harness of the tests of a web framework's package: real servers of a real application, with requests over HTTP."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import sys
from pathlib import Path

from z4j_agent.conformance.gateway import Gateway, Link, Record
from z4j_agent.conformance.harness import Harness, free_port, is_open, wait_for
from z4j_agent.runtime.agent_log import FILE


class Site(Harness):
    """One web application in `cwd`; `variables` are added to the environment of its processes."""

    def __init__(self, folder: Path, url: str, *, cwd: Path | None = None, **variables: str) -> None:
        super().__init__(folder, url)
        self.cwd = cwd
        self.variables = variables
        self.port = 0

    @property
    def python(self) -> str:
        return sys.executable

    def environment(self) -> dict[str, str]:
        """The environment of a monitored process, without the variables that a framework's own settings may contain."""
        variables = super().environment() | {"PYTHONUNBUFFERED": "1"} | self.variables
        return {name: value for name, value in variables.items() if name not in ("Z4J_ALLOW", "Z4J_ENVIRONMENT")}

    def serve(self, *command: str, is_asked: bool = True) -> subprocess.Popen[bytes]:
        """Starts `python -m command…`, with a free port for `{port}`, and waits until that port is open."""
        self.port = free_port()
        process = self.start("server", [sys.executable, "-m", *(part.replace("{port}", str(self.port)) for part in command)], cwd=self.cwd)
        wait_for(lambda: process.poll() is not None or is_open(self.port), "the server answers")
        assert process.poll() is None, self.log("server")[-3000:]
        if is_asked:
            wait_for(self._answers, "the application answers")
        return process

    def run(self, *command: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Runs one command of the project to its end. Returns it with its output."""
        return subprocess.run(
            [sys.executable, *command], env=self.environment(), cwd=self.cwd, capture_output=True, text=True, timeout=seconds, check=False
        )

    def ask(self, path: str, method: str = "GET") -> tuple[int, str]:
        """(status, body) of one request on a separate connection, so that the kernel chooses the process again."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def _answers(self) -> bool:
        try:
            return self.ask("/")[0] == 200
        except (OSError, http.client.HTTPException):
            return False  # a reloader has opened the port before its child can answer

    def agent_log(self) -> str:
        """The log of this application's agents, which is not in the application's own output."""
        return "".join(path.read_text("utf-8", "replace") for path in sorted(self.spool.rglob(FILE)))

    # -- the contract---------------------------------------------------------------------------------------------
    def links(self, gateway: Gateway, count: int, path: str = "/") -> list[Link]:
        """Sends requests until `count` processes have connected, and some more after that. Returns the connections."""

        def enough() -> bool:
            self.ask(path)
            return len(gateway.open_links()) >= count

        wait_for(enough, f"{count} processes are connected")
        for _ in range(20):
            self.ask(path)
        return gateway.open_links()

    def enqueued(self, gateway: Gateway, task_id: str) -> Record:
        """The `enqueued` record of this task, once it has arrived."""
        return wait_for(lambda: [r for r in gateway.records(task_id) if r.kind == "enqueued"], f"{task_id} is reported")[0]

    def end(self, process: subprocess.Popen[bytes], seconds: float = 15) -> int:
        """Ends a server like its supervisor, and returns its exit code."""
        process.terminate()
        return process.wait(seconds)
