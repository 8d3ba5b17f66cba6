# SPDX-License-Identifier: AGPL-3.0-or-later
"""Results of the engines' own tests: kept as files under .venvs/upstream/results, compared, and written into docs/proof.md as a table."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.support.upstream.upstream_environment import CACHE, ROOT, locked_version
from tests.support.upstream.upstream_suites import SUITES, Suite

RESULTS = CACHE / "results"
PROOF = ROOT / "docs/proof.md"
BEGIN, END = "<!-- upstream: written by tests/upstream.py --table -->", "<!-- upstream: end -->"
PLAIN, SERVER, UNREACHABLE = "plain", "with a server", "server unreachable"
ARMS = (PLAIN, SERVER, UNREACHABLE)
RANK = {"passed": 0, "skipped": 1, "failed": 2}


def now() -> str:
    """The day, UTC."""
    return datetime.now(UTC).date().isoformat()


def commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True)
    return found.stdout.strip()


@dataclass(slots=True)
class Result:
    """How one part of a suite ended in one arm."""

    version: str
    outcomes: dict[str, str]
    """Test → passed, failed, skipped, or `cut` where the run ended within it."""
    seconds: float
    date: str = field(default_factory=now)
    commit: str = field(default_factory=commit)
    records: int = 0
    """Records the server received."""
    differing: list[str] = field(default_factory=list)
    """Tests that end otherwise than plain."""
    passing_again: list[str] = field(default_factory=list)
    """Tests that failed once and passed when their class was run again."""

    def count(self, kind: str) -> int:
        return list(self.outcomes.values()).count(kind)

    def __str__(self) -> str:
        cut = f", {self.count('cut')} cut off" if self.count("cut") else ""
        return ", ".join(f"{self.count(kind)} {kind}" for kind in RANK if kind == "passed" or self.count(kind)) + cut


def has_ended(file: Path) -> bool:
    """Whether pytest has written of all tests."""
    return file.exists() and file.read_text().endswith('["ended", ""]\n')


def read_outcomes(file: Path) -> dict[str, str]:
    """The worst of set-up, call and tear-down of each test in what the plugin wrote."""
    outcomes: dict[str, str] = {}
    running = ""
    for line in file.read_text().splitlines() if file.exists() else []:
        kind, test = json.loads(line)
        if kind == "started":
            running = test
        elif kind in ("finished", "ended"):
            running = ""
        else:
            outcomes[test] = max(outcomes.get(test, "passed"), kind, key=lambda each: RANK.get(each, 2))
    if running:
        outcomes[running] = "cut"
    return outcomes


def differing(plain: dict[str, str], ours: dict[str, str]) -> set[str]:
    return {test for test in plain.keys() | ours.keys() if plain.get(test) != ours.get(test)}


# -- kept results ----------------------------------------------------------------------------------------------------------------
def _file(suite: Suite, part: str, arm: str) -> Path:
    name = "".join(letter if letter.isalnum() else "-" for letter in f"{suite.engine} {part} {arm}")
    return RESULTS / f"{name}.json"


def keep(suite: Suite, part: str, arm: str, result: Result) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    _file(suite, part, arm).write_text(json.dumps(asdict(result), indent=1))


def kept(suite: Suite, part: str, arm: str) -> Result | None:
    """The last result, None where there is none or it is of another version of the engine."""
    file = _file(suite, part, arm)
    if not file.exists():
        return None
    result = Result(**json.loads(file.read_text()))
    return result if result.version == locked_version(suite.engine) else None


# -- the table -------------------------------------------------------------------------------------------------------------------
def _row(suite: Suite, part: str) -> str:
    results = [kept(suite, part, arm) for arm in ARMS]
    plain, *ours = results
    cells = [f"{result}" if result else "not run" for result in (plain,)]
    cells += [f"{result}; **{len(result.differing)} differ**" if result else "not run" for result in ours]
    done = [result for result in results if result is not None]
    minutes = f"{sum(result.seconds for result in done) / 60:.1f}" if done else ""
    when = ", ".join(sorted({f"{result.date} {result.commit}" for result in done[-2:]}))
    return f"| {suite.engine} {locked_version(suite.engine)} | {part} | " + " | ".join(cells) + f" | {minutes} | {when} |"


def table() -> str:
    """All results in Markdown, with every difference and every test that fails plain by name and cause."""
    lines = [
        "| engine | part | plain | with a server | server unreachable | minutes, three ways | date, commit |",
        "|---|---|---|---|---|---|---|",
    ]
    notes: list[str] = []
    for suite in SUITES:
        lines += [_row(suite, part) for part in suite.part_names()]
        notes += [f"- {suite.engine}, left out in every arm: {suite.left_out}."] if suite.left_out else []
        for part in suite.part_names():
            notes += _notes(suite, part)
    seconds = [result.seconds for suite in SUITES for part in suite.part_names() for arm in ARMS if (result := kept(suite, part, arm))]
    total = f"All of it took {sum(seconds) / 60:.0f} minutes, one part at a time, on two cores that did other work too."
    return "\n".join([*lines, "", total, "", *notes])


def _notes(suite: Suite, part: str) -> list[str]:
    notes = []
    for arm in ARMS:
        if (result := kept(suite, part, arm)) is None:
            continue
        failed = [test for test, outcome in result.outcomes.items() if outcome in ("failed", "cut")] if arm == PLAIN else []
        for test in sorted({*failed, *result.differing}):
            notes.append(f"- {suite.engine}, {arm}: `{test}`: {suite.explained.get(test, 'NOT EXPLAINED')}")
        if result.passing_again:
            tests = ", ".join(f"`{test.rpartition('::')[2]}`" for test in result.passing_again)
            notes.append(f"- {suite.engine}, {arm}: failed once and passed when run again with its class: {tests}.")
    return notes


def write_table() -> None:
    """Puts the table between its two marks in docs/proof.md. Raises ValueError where the marks are missing."""
    before, found, rest = PROOF.read_text().partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"{PROOF} has no {BEGIN} … {END}")
    PROOF.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}")
