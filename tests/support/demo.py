# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j demo` run for real: its processes, the visitor whom its link signs in, and a program with an API token."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tests.support.stack import ROOT, wait_for
from z4j_agent.conformance.harness import free_port

ENDED = frozenset({"done", "failed", "refused", "unsupported", "expired", "unknown"})


@dataclass
class RunningDemo:
    """One demo. `program` calls the API as an administrator; `visitor` has the session of the link."""

    data: Path
    log: Path
    process: subprocess.Popen[bytes]
    link: str
    started_s: float
    """From the start of the process to its first page."""
    started_processor_s: float
    """What its processes took of a processor until then, whatever else this machine does."""
    visitor: httpx.Client
    program: httpx.Client = field(default_factory=httpx.Client)

    @property
    def address(self) -> str:
        return self.link.partition("/login")[0]

    def page(self, path: str) -> str:
        answer = self.visitor.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        return answer.text

    def press(self, path: str, **form: str) -> str:
        answer = self.visitor.post(path, data=form)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:400]}"
        return answer.text

    def get(self, path: str, **query: Any) -> Any:
        answer = self.program.get(f"/api/v1{path}", params=query)
        assert answer.status_code == 200, f"{path}: {answer.text}"
        return answer.json()

    def post(self, path: str, **body: Any) -> Any:
        answer = self.program.post(f"/api/v1{path}", json=body)
        assert answer.status_code < 300, f"{path} {body}: {answer.text}"
        return answer.json()

    def tasks(self, **query: Any) -> list[dict[str, Any]]:
        """A page of tasks. If the server stopped at its time limit, as on a busy machine, the search is continued."""
        page = self.get("/tasks", **query)
        found = list(page["tasks"])
        while page["searched_to"] is not None:
            page = self.get("/tasks", **query, older=page["older"])
            found += page["tasks"]
        return found[: query.get("limit")]

    def settled(self, command: dict[str, Any]) -> dict[str, Any]:
        """The command with its result."""

        def find() -> dict[str, Any]:
            found: dict[str, Any] = self.get(f"/commands/{command['id']}")
            return found if found["status"] in ENDED else {}

        return wait_for(find, seconds=20, what=f"a result of {command['action']} of {command['engine']}")


def command_line(program: Sequence[str | Path], data: Path, *words: str) -> list[str]:
    return [*map(str, program), *words, "--data", str(data)]


@contextlib.contextmanager
def running_demo(
    folder: Path,
    *,
    program: Sequence[str | Path] = (sys.executable, "-m", "z4j"),
    cwd: Path = ROOT,
    tasks: int = 8_000,
    env: dict[str, str] | None = None,
    ends: tuple[int, ...] = (0, 130),
) -> Iterator[RunningDemo]:
    """Starts a demo in `folder`, follows its link, and ends it with Ctrl-C, as a person would. It must leave no process behind, and end
    with one of `ends`."""
    data, log, began = folder / "demo", folder / "demo.log", time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            command_line(program, data, "demo", "--port", str(free_port()), "--tasks", str(tasks)),
            cwd=cwd, env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        links = wait_for(lambda: re.findall(r"http://\S+/login\S+", log.read_text()), seconds=60, what=f"the demo's link in {log}")
        address = links[0].partition("/login")[0]
        # The port listens from the start: the request waits until the demo serves.
        with httpx.Client(base_url=address, headers={"Origin": address}, follow_redirects=True, verify=False, timeout=60) as visitor:
            first = visitor.get(links[0])
            assert first.status_code == 200, first.text[:300]
            demo = RunningDemo(data, log, process, links[0], time.monotonic() - began, processor_seconds(process.pid), visitor)
            done = subprocess.run(
                command_line(program, data, "token", "create", "--api", "walk", "--role", "admin"),
                cwd=cwd, env=env, capture_output=True, text=True, check=True,
            )  # fmt: skip
            headers = {"Authorization": f"Bearer {done.stdout.strip()}"}
            with httpx.Client(base_url=address, headers=headers, verify=False, timeout=60) as demo.program:
                yield demo
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        status = process.wait(30)
    assert status in ends, log.read_text()[-2_000:]
    wait_for(lambda: not processes_of(data), seconds=10, what="the end of the demo's processes")


def processor_seconds(session: int) -> float:
    """What the processes of a session took, with all that they waited for (proc(5))."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def processes_of(data: Path) -> str:
    """The processes that name the demo's folder on their command line."""
    return subprocess.run(["pgrep", "-af", str(data)], capture_output=True, text=True, check=False).stdout
