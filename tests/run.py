# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs every test folder in the environment it belongs to, and says how long each took and what was not run.

`--fast`: what a save deserves (unit and contract). `--long`: also what is marked long. Exit status 1 if anything failed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVER = str(ROOT / ".venvs/server/bin/python")
ENGINES = ("celery", "rq", "dramatiq", "huey", "arq", "taskiq")
FRAMEWORKS = ("django", "flask", "fastapi")
COVERED = "z4j/rules/*,z4j/gateway/session.py,adapters/agent/src/z4j_agent/*"
COVERED_BUT = "*/conformance/*,*/__main__.py"
FLOOR = 95


@dataclass(frozen=True, slots=True)
class Folder:
    name: str
    python: str
    is_fast: bool
    is_covered: bool


FOLDERS = (
    Folder("tests/unit", SERVER, is_fast=True, is_covered=True),
    Folder("tests/contract", SERVER, is_fast=True, is_covered=True),
    Folder("adapters/agent/tests", SERVER, is_fast=True, is_covered=True),
    *(
        Folder(f"adapters/{engine}/tests", str(ROOT / f".venvs/{engine}/bin/python"), is_fast=False, is_covered=False)
        for engine in ENGINES + FRAMEWORKS
    ),
    Folder("tests/e2e", SERVER, is_fast=False, is_covered=False),
    Folder("tests/browser", SERVER, is_fast=False, is_covered=False),
)


def run(folder: Folder, marks: list[str]) -> tuple[bool, float, list[str]]:
    """Runs one folder; returns whether it passed, its minutes, and the reasons of what it skipped."""
    tool = ["-m", "coverage", "run", "-p", "--source=z4j,z4j_agent"] if folder.is_covered else []
    command = [folder.python, *tool, "-m", "pytest", "-q", *marks, folder.name]
    print(f"\n== {folder.name}", flush=True)
    began = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "160"},
    ) as process:
        assert process.stdout is not None
        skipped = []
        for line in process.stdout:
            print(line, end="", flush=True)
            if found := re.match(r"SKIPPED \[\d+\] (.*)", line):
                skipped.append(f"{folder.name}: {found[1]}")
    return process.returncode == 0, (time.monotonic() - began) / 60, skipped


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
    results = {f.name: run(f, marks) for f in folders}
    enough = coverage_is_enough()

    print("\n== minutes per folder")
    for name, (passed, minutes, _) in results.items():
        print(f"{minutes:6.1f}  {name}{'' if passed else '   FAILED'}")
    print(f"{sum(minutes for _, minutes, _ in results.values()):6.1f}  all")
    if skipped := [reason for _, _, reasons in results.values() for reason in reasons]:
        print("\n== not run on this machine")
        print("\n".join(skipped))
    if not enough:
        print(f"\nBranch coverage of rules, session and agent is below {FLOOR} %.")
    return 0 if enough and all(passed for passed, _, _ in results.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
