# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs every test folder in the environment it belongs to, and says how long each took and what was not run.

`--fast`: what a save deserves (unit and contract). `--long`: also what is marked long, and the engines' own tests with our adapters
(`upstream.py`, longer than an hour by itself on two busy cores, see docs/proof.md), and `mutation.py`. Exit status 1 if anything failed.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.support import shifted_clock

ROOT = Path(__file__).resolve().parent.parent
SERVER = str(ROOT / ".venvs/server/bin/python")
CELERY = str(ROOT / ".venvs/celery/bin/python")
COVERED = "z4j/rules/*,z4j/wire/*,z4j/agents/session.py,adapters/agent/src/z4j_agent/*"
COVERED_BUT = "*/conformance/*,*/__main__.py,*/runtime/gevent_bridge.py"  # gevent: in the suites of Celery and Huey
FLOOR = 95
AT_ONCE = 4
FEW = 6
"""So many failures of one folder may be bad luck; more are not."""
LOSS = "tests/e2e/test_loss.py"
BEAT = "adapters/celery/tests/test_schedules.py"
"""As long as the rest of their folders, and mostly waiting."""
UPSTREAM = "tests/upstream.py"
"""The engines' own tests, plain and with our adapters."""
MUTATION = "tests/mutation.py"
"""Whether the tests of the rules notice a change of any line."""
OTHERS = "examples/third_party_adapter"


@dataclass(frozen=True, slots=True)
class Folder:
    name: str
    python: str
    is_fast: bool = False
    is_covered: bool = False
    is_shared: bool = False
    """Whether it may run beside others: suites of real workers and browsers mostly wait."""
    words: tuple[str, ...] = ()

    def command(self, marks: list[str]) -> list[str]:
        tool = ["-m", "coverage", "run", "-p", "--source=z4j,z4j_agent"] if self.is_covered else []
        cache = f"cache_dir={ROOT / '.pytest_cache' / self.name.replace('/', '-')}"  # of its own: suites run side by side
        patience = ["-o", "timeout=600"] if self.is_shared else []
        return [self.python, *tool, "-m", "pytest", "-q", "-o", cache, *patience, *marks, *self.words, self.name]


@dataclass(frozen=True, slots=True)
class Result:
    passed: bool
    minutes: float
    skipped: list[str]
    failed: list[str]
    """Tests that failed, whole lines."""


def of_adapter(name: str) -> Folder:
    return Folder(f"adapters/{name}/tests", str(ROOT / f".venvs/{name}/bin/python"), is_shared=True)


FOLDERS = (
    Folder("tests/unit", SERVER, is_fast=True, is_covered=True),
    Folder("tests/contract", SERVER, is_fast=True, is_covered=True),
    # The longest first, so that none is left for the end.
    Folder("tests/e2e", SERVER, is_shared=True, words=("--ignore", LOSS)),
    Folder("adapters/celery/tests", CELERY, is_shared=True, words=("--ignore", BEAT)),
    of_adapter("taskiq"),
    Folder("adapters/agent/tests", SERVER, is_fast=True, is_covered=True, is_shared=True),
    Folder("tests/browser", SERVER, is_shared=True),
    *map(of_adapter, ("rq", "huey", "arq")),
    Folder(LOSS, SERVER, is_shared=True),
    Folder(BEAT, CELERY, is_shared=True),
    *map(of_adapter, ("dramatiq", "django", "apscheduler", "flask", "fastapi")),
    Folder(OTHERS, str(ROOT / ".venvs/saq/bin/python"), is_shared=True, words=("-c", f"{OTHERS}/pyproject.toml")),
)


def run(folder: Folder, marks: list[str]) -> Result:
    """Runs one folder. Alone it prints as it goes; beside others it prints when it is done."""
    if not folder.is_shared:
        print(f"\n== {folder.name}", flush=True)
    began = time.monotonic()
    with subprocess.Popen(
        folder.command(marks),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "160", **({"Z4J_PATIENCE": "60"} if folder.is_shared else {})},
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if not folder.is_shared:
                print(line, end="", flush=True)
    if folder.is_shared:
        print(f"\n== {folder.name}\n{''.join(lines)}", end="", flush=True)
    skipped = [f"{folder.name}: {found[1]}" for line in lines if (found := re.match(r"SKIPPED \[\d+\] (.*)", line))]
    failed = [line.strip()[:200] for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return Result(process.returncode == 0, (time.monotonic() - began) / 60, skipped, failed)


def run_again(folder: Folder, marks: list[str], first: Result) -> Result:
    """What failed, once more and alone: a real worker that two busy cores kept waiting is no defect. The report names it all the same."""
    print(f"\n== {folder.name}: what failed, once more", flush=True)
    again = run(replace(folder, is_shared=False), [*marks, "--last-failed", "--last-failed-no-failures", "none"])
    return replace(first, passed=again.passed, minutes=first.minutes + again.minutes)


def run_all(folders: list[Folder], marks: list[str]) -> dict[str, Result]:
    """One after another, but those that are shared AT_ONCE at a time. In the order of FOLDERS."""
    results: dict[str, Result] = {}
    for is_shared, group in itertools.groupby(folders, key=lambda folder: folder.is_shared):
        with ThreadPoolExecutor(AT_ONCE if is_shared else 1) as pool:
            members = list(group)
            results |= dict(zip((f.name for f in members), pool.map(lambda f: run(f, marks), members), strict=True))
    for folder in folders:
        if not folder.name.startswith("tests/unit") and not results[folder.name].passed and len(results[folder.name].failed) <= FEW:
            results[folder.name] = run_again(folder, marks, results[folder.name])
    return results


def run_tool(path: str, *words: str) -> Result:
    """A program beside the folders of tests."""
    began = time.monotonic()
    ended = subprocess.run([SERVER, str(ROOT / path), *words], cwd=ROOT, check=False)
    return Result(ended.returncode == 0, (time.monotonic() - began) / 60, [], [])


def coverage_is_enough() -> bool:
    subprocess.run([SERVER, "-m", "coverage", "combine", "-q"], cwd=ROOT, check=False)
    report = [
        SERVER,
        "-m",
        "coverage",
        "report",
        f"--include={COVERED}",
        f"--omit={COVERED_BUT}",
        f"--fail-under={FLOOR}",
    ]
    return subprocess.run([*report, "--skip-covered"], cwd=ROOT, check=False).returncode == 0


def main() -> int:
    is_fast, is_long = "--fast" in sys.argv, "--long" in sys.argv
    marks = [] if is_long else ["-m", "not long"]
    folders = [f for f in FOLDERS if f.is_fast or not is_fast]
    for stale in ROOT.glob(".coverage*"):
        stale.unlink()
    began = time.monotonic()
    results = run_all(folders, marks)
    if is_long and not is_fast:
        results[UPSTREAM] = run_tool(UPSTREAM, "--jobs", "2")
        results[MUTATION] = run_tool(MUTATION, "--jobs", "2")
    enough = coverage_is_enough()
    shifted = shifted_clock.run_all() if is_long else []

    print("\n== minutes per folder")
    for name, result in results.items():
        print(f"{result.minutes:6.1f}  {name}{'' if result.passed else '   FAILED'}")
    print(f"{(time.monotonic() - began) / 60:6.1f}  all, those with real workers {AT_ONCE} at a time")
    if again := [line for result in results.values() if result.passed for line in result.failed]:
        print("\n== passed at the second try only, alone")
        print("\n".join(again))
    if skipped := [reason for result in results.values() for reason in result.skipped]:
        print("\n== not run on this machine")
        print("\n".join(skipped))
    if not enough:
        print(f"\nBranch coverage of rules, session and agent is below {FLOOR} %.")
    if is_long:
        print(f"\n== the unit and web suites at {len(shifted_clock.MOMENTS)} moments: {len(shifted)} failed")
        print("\n".join(shifted), end="\n" if shifted else "")
    return 0 if enough and not shifted and all(result.passed for result in results.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
