# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs one shard in a pytest process with a time limit, and reads from its report what each test did."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.suite.folders import ROOT
from tests.suite.shards import Shard

SLACK: Final = 4
SHORTEST_LIMIT_S: Final = 900.0
"""A shard is ended after SLACK times what it should take, but not before this; pytest-timeout has ended a single test long before."""
LONG_LIMIT_S: Final = 3_600.0
PATIENCE_S: Final = "60"
"""How long tests wait for real workers and browsers that share two cores with others: what they wait for ends the wait, not this."""
REPORT: Final = "report.xml"
USAGE: Final = "usage.txt"
MEMORY: Final = Path("/dev/shm")
MEMORY_NEEDED: Final = 4 << 30
"""Bytes free in memory from which temporary folders are made there: most of what tests wait for on a disk is its fsync."""
RUNNING = re.compile(r"^(\S+::.+?) *$")
"""A line of `pytest -v` whose result has not come yet."""

ENDED = re.compile(r"^(\S+::.+?) (PASSED|FAILED|SKIPPED|ERROR)\b", re.MULTILINE)


@dataclass(slots=True)
class Result:
    name: str
    folder: str
    is_passed: bool
    status: int | None
    """How its process exited: pytest's exit code, the negative number of a signal, None at the time limit."""
    seconds: float
    cpu_seconds: float
    """Of its process and of all those below it that ended in order; what was killed with its parent is not counted."""
    outcomes: dict[str, str] = field(default_factory=dict)
    """Test id → "passed", "failed" or "skipped"."""
    reasons: list[str] = field(default_factory=list)
    """Why tests were skipped."""
    file_seconds: dict[str, float] = field(default_factory=dict)
    """Test file → how long its tests took."""
    file_cpu_seconds: dict[str, float] = field(default_factory=dict)
    """Test file → what they took of a processor, as far as it is known."""
    output: str = ""
    hung: str = ""
    """The test that ran when the time limit ended the shard."""
    flaky: list[str] = field(default_factory=list)
    """Tests that failed, and passed when they were run alone."""

    def count(self, outcome: str) -> int:
        return sum(1 for each in self.outcomes.values() if each == outcome)


def command(shard: Shard, marks: Sequence[str], scratch: Path, *, is_covered: bool) -> list[str]:
    folder = shard.folder
    tool = ["-m", "coverage", "run", "-p", "--source=z4j,z4j_agent"] if is_covered else []
    options = ["-v", "--tb=short", "-p", "no:cacheprovider", f"--junitxml={scratch / REPORT}", "-o", "junit_family=xunit1"]
    options += [f"--basetemp={scratch / 't'}", "-p", "tests.suite.heap", "-p", "tests.suite.usage", f"--usage={scratch / USAGE}"]
    part = ["-p", "tests.suite.part", "--part", shard.part] if shard.part else []
    return [folder.python, *tool, "-m", "pytest", *options, *marks, *part, *folder.arguments, *shard.files]


def variables() -> dict[str, str]:
    """The environment of pytest and of the processes it starts. They write bytecode: else each of the thousands of processes of a run
    compiles all that it imports, which costs a Celery worker 1.2 s of a processor and its producer 0.8 s."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"COLUMNS": "160", "Z4J_PATIENCE": PATIENCE_S}


def run(shard: Shard, marks: Sequence[str], *, is_long: bool = False, is_covered: bool = False) -> Result:
    """Runs it to its end or to its time limit, then kills whatever is left of its process group."""
    limit = LONG_LIMIT_S if is_long else max(SHORTEST_LIMIT_S, SLACK * shard.seconds)
    home = MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_NEEDED else None
    with tempfile.TemporaryDirectory(prefix="z4j-tests-", dir=home, ignore_cleanup_errors=True) as scratch:
        report, usage, output = (Path(scratch, name) for name in (REPORT, USAGE, "output.txt"))
        began = time.monotonic()
        with output.open("wb") as log:
            process = subprocess.Popen(
                command(shard, marks, Path(scratch), is_covered=is_covered),
                cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                env=variables() | {"TMPDIR": scratch},
            )  # fmt: skip
        status, cpu_seconds = wait(process, limit)
        end_stragglers(scratch)
        result = Result(shard.name, shard.folder.name, status in (0, 5), status, time.monotonic() - began, cpu_seconds)
        result.output = output.read_text("utf-8", "replace")
        if status is None:
            result.hung = last_begun(result.output)
        if report.exists():
            read_report(result, shard, report.read_text("utf-8", "replace"))
        else:
            result.outcomes = {found[1]: found[2].lower() for found in ENDED.finditer(result.output)}
        if usage.exists():
            for line in usage.read_text("utf-8").splitlines():
                seconds, file = line.split(" ", 1)
                result.file_cpu_seconds[file] = result.file_cpu_seconds.get(file, 0.0) + float(seconds)
        return result


def wait(process: subprocess.Popen[bytes], limit: float) -> tuple[int | None, float]:
    """Its exit status, None where the limit ended it; and the processor seconds it took."""
    ends = time.monotonic() + limit
    pid, status, usage = 0, 0, None
    while not pid and time.monotonic() < ends:
        time.sleep(0.1)
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if not pid:
        _, _, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status) if pid else -signal.SIGKILL
    assert usage is not None
    return (process.returncode if pid else None), usage.ru_utime + usage.ru_stime


def end_stragglers(scratch: str) -> None:
    """Kills what the shard started in sessions of their own and did not end, as when it was ended itself: all have its TMPDIR."""
    mark = b"TMPDIR=" + scratch.encode()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if mark in environment.read_bytes().split(b"\0"):
                os.kill(int(environment.parent.name), signal.SIGKILL)


def failed_ids(output: str) -> list[str]:
    """The ids, as `pytest -v` prints them, of what did not pass."""
    return list(dict.fromkeys(found[1] for found in ENDED.finditer(output) if found[2] in ("FAILED", "ERROR")))


def last_begun(output: str) -> str:
    """The test that `pytest -v` named without a result, or "" where all that began had ended."""
    lines = output.rstrip("\n").splitlines()
    found = RUNNING.match(lines[-1]) if lines else None
    return found[1] if found else ""


def read_report(result: Result, shard: Shard, text: str) -> None:
    """A JUnit report as pytest writes it: one `testcase` for each test, with its seconds, and a child for a bad end. Its `file` is where
    the test is written, which may be a contract; the file that was run is in its `classname`."""
    by_module = {file.partition("::")[0].removesuffix(".py").replace("/", "."): file.partition("::")[0] for file in shard.files}
    for case in ET.fromstring(text).iter("testcase"):
        name = case.get("classname", "")
        module = max((module for module in by_module if f"{name}.".startswith(f"{module}.")), key=len, default="")
        file = by_module.get(module, str(case.get("file")))
        inner = name.removeprefix(module).strip(".").replace(".", "::") if module else ""
        test = "::".join(part for part in (file, inner, str(case.get("name"))) if part)
        outcome = "passed"
        for child in case:
            if child.tag in ("failure", "error"):
                outcome = "failed"
            elif child.tag == "skipped" and outcome == "passed":
                outcome = "skipped"
                result.reasons.append(f"{result.folder}: {child.get('message', '')}"[:200])
        result.outcomes[test] = "failed" if result.outcomes.get(test) == "failed" else outcome
        result.file_seconds[file] = result.file_seconds.get(file, 0.0) + float(case.get("time", 0))
