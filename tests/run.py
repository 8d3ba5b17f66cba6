# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs every test folder in the environment it belongs to, and reports how long each took and what was not run.

    tests/run.py [--fast] [--record] [--times N] [FOLDER …]
    tests/run.py --long [--part NAME …] [FOLDER …]

`--fast`: what a save deserves (unit, contract, agent). `--record` keeps how long each file took, and, if all folders ran, writes the table
of docs/proof.md. `--times 10` runs the folders so often and
names every test that both passed and failed. `--again` runs what failed in a shard, if it is little, once more and alone, and names what
passes then: CI does that until no folder has a flaky test. Exit status 1 if anything failed.

`--long`: what the above leaves out, in parts that can run on different days or machines: `tests` (marked long), `coverage` (whether unit,
contract and agent run nearly every branch of rules, session and agent: twice their time), `upstream` (the engines' own tests with our
adapters, see upstream.py), `mutation` (whether the tests notice a change of any line, see mutation.py), `clocks` (the suites that read a
clock, at 30 moments, see support/shifted_clock.py).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import Counter, defaultdict, deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.suite.folders import FOLDERS, ROOT, Folder
from tests.suite.processes import Result, failed_ids, run, variables
from tests.suite.processors import MOST, Processors, Ticks, read_ticks
from tests.suite.report import Stretch, print_table, write_table
from tests.suite.shards import UNKNOWN_S, Shard, Taken, shards_of, write_seconds

SERVER = str(ROOT / ".venvs/server/bin/python")
COVERED = "z4j/rules/*,z4j/wire/*,z4j/agents/session.py,adapters/agent/src/z4j_agent/*"
COVERED_BUT = "*/conformance/*,*/__main__.py,*/runtime/gevent_bridge.py"  # gevent: in the suites of Celery and Huey
FLOOR = 95
SOON_S = 0.5
"""How often the processors are looked at."""
FEW = 6
"""So many failures of one shard may be bad luck; more are not."""
NEVER_AGAIN = ("tests/unit", "tests/contract")
"""Folders without workers and browsers, which nothing but their code can make fail."""
LONG_TEST_S = 3_000
"""A single long test may take this long."""
PARTS = ("tests", "coverage")
PROGRAMS = {"upstream": "tests/upstream.py", "mutation": "tests/mutation.py", "clocks": "tests/support/shifted_clock.py"}
"""Parts of the long run beside PARTS."""


def run_all(
    folders: list[Folder],
    marks: list[str],
    stretches: list[Stretch],
    *,
    is_long: bool = False,
    is_again: bool = False,
    is_covered: bool = False,
) -> list[Result]:
    """All shards, as many at a time as the processors have room for; each is reported when it has ended, with its whole output if it
    failed. Appends the time in which shards waited for their turn, and the time after that, to `stretches`."""
    since = time.monotonic(), read_ticks()
    results: list[tuple[Shard, Result]] = []
    waiting, running, processors = deque(shards_of(folders)), dict[Future[Result], Shard](), Processors()
    with ThreadPoolExecutor(MOST) as pool:
        while waiting or running:
            while waiting and processors.has_room(len(running)):
                shard = waiting.popleft()
                running[pool.submit(run, shard, marks, is_long=is_long, is_covered=is_covered)] = shard
                processors.begin()
                if not waiting:
                    since = end_stretch(stretches, *since)
            for future in wait(running, SOON_S, FIRST_COMPLETED).done:
                results.append((running.pop(future), future.result()))
                print_result(results[-1][1])
    end_stretch(stretches, *since)
    for shard, result in results if is_again else ():
        run_again(shard, marks, result)
    return [result for _, result in results]


def end_stretch(stretches: list[Stretch], began: float, before: Ticks) -> tuple[float, Ticks]:
    """Appends the time since `began`. Returns where the next stretch begins."""
    at, ticks = time.monotonic(), read_ticks()
    stretches.append(Stretch(at - began, Ticks(ticks.all - before.all, ticks.idle - before.idle)))
    return at, ticks


def run_again(shard: Shard, marks: list[str], first: Result) -> None:
    """Runs what failed, if it is little, once more and alone: the tests, or the shard where none failed and its process ended badly all
    the same. The report names what passes then: it is to be mended."""
    failed = failed_ids(first.output)
    if first.is_passed or first.hung or len(failed) > FEW or (failed and shard.folder.name in NEVER_AGAIN):
        return
    second = run(Shard(shard.folder, tuple(failed), UNKNOWN_S) if failed else shard, marks)
    if second.is_passed and second.count("passed"):
        first.is_passed = True
        first.flaky = failed or [f"{shard.name}: its process ended with status {first.status}\n{first.output[-4000:]}"]
        first.outcomes |= second.outcomes
    else:
        print(failures_of(second.output), flush=True)


def print_result(result: Result) -> None:
    counts = f"{result.count('passed')} passed, {result.count('failed')} failed, {result.count('skipped')} skipped"
    ending = "" if result.is_passed else f"   FAILED, exit status {result.status}"
    print(f"{result.seconds:6.1f} s  processor {result.cpu_seconds:6.1f} s  {result.name}: {counts}{ending}", flush=True)
    if result.hung:
        print(f"        ended at its time limit while this test ran: {result.hung}", flush=True)
    if not result.is_passed:
        print(failures_of(result.output), flush=True)


def failures_of(output: str) -> str:
    """What pytest printed from its first failure on; without one, as where it was ended, the last lines that name no passed test."""
    lines = output.splitlines()
    begins = next(
        (number for number, line in enumerate(lines) if line.startswith("=") and (" FAILURES " in line or " ERRORS " in line)), None
    )
    shown = [line for line in lines if " PASSED " not in line][-40:] if begins is None else lines[begins:][-400:]
    return "\n".join(shown)


def print_skipped(results: list[Result]) -> None:
    reasons = Counter(reason for result in results for reason in result.reasons)
    if reasons:
        print("\n== not run on this machine")
        print("\n".join(f"{reason} ({count})" for reason, count in sorted(reasons.items())))


def print_flaky(results: list[Result]) -> None:
    """Of several runs: every test that both passed and failed."""
    ends: dict[str, Counter[str]] = defaultdict(Counter)
    for result in results:
        for test, outcome in result.outcomes.items():
            ends[test][outcome] += 1
    flaky = {test: counts for test, counts in ends.items() if counts["failed"] and counts["passed"]}
    print(f"\n== {len(flaky)} tests both passed and failed")
    for test, counts in sorted(flaky.items()):
        print(f"{counts['failed']} of {counts.total()} failed  {test}")


def record(results: list[Result], seconds: float, times: int, *, is_whole: bool) -> None:
    """Keeps what each file took, and writes the table of docs/proof.md after a single run of everything."""
    taken, computed = Counter[str](), Counter[str]()  # of all parts of a file
    for result in results:
        taken.update(result.file_seconds)
        computed.update(result.file_cpu_seconds)
    write_seconds({file: Taken(taken[file] / times, computed[file] / times) for file in taken})
    if is_whole and times == 1:
        write_table(results, seconds, again=sum(len(result.flaky) for result in results))


def run_program(name: str) -> bool:
    """A part of the long run. Whether it passed."""
    began = time.monotonic()
    ended = subprocess.run([SERVER, str(ROOT / PROGRAMS[name]), "--jobs", "2"], cwd=ROOT, env=variables(), check=False)
    print(f"{(time.monotonic() - began) / 60:6.1f} minutes  {name}{'' if ended.returncode == 0 else '   FAILED'}", flush=True)
    return ended.returncode == 0


def run_covered() -> tuple[list[Result], bool]:
    """Runs what is_fast with its branches counted. The results, and whether enough of them were taken."""
    for stale in ROOT.glob(".coverage*"):
        stale.unlink()
    results = run_all([folder for folder in FOLDERS if folder.is_fast], ["-m", "not long"], [], is_covered=True)
    subprocess.run([SERVER, "-m", "coverage", "combine", "-q"], cwd=ROOT, check=False)
    report = [SERVER, "-m", "coverage", "report", f"--include={COVERED}", f"--omit={COVERED_BUT}", f"--fail-under={FLOOR}"]
    return results, subprocess.run([*report, "--skip-covered"], cwd=ROOT, check=False).returncode == 0


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--fast", action="store_true", help="unit, contract and agent only")
    which.add_argument("--long", action="store_true", help="what is left out otherwise")
    parser.add_argument("--part", action="append", choices=(*PARTS, *PROGRAMS), help="of the long run: only this part")
    parser.add_argument("--record", action="store_true", help="keep how long each file took")
    parser.add_argument("--again", action="store_true", help="run what failed once more and alone, and name what passes then")
    parser.add_argument("--times", type=int, default=1, help="run so often, and name what both passed and failed")
    parser.add_argument("folders", nargs="*", help="only these, by the beginning of their path")
    return parser.parse_args()


def choose_folders(options: argparse.Namespace) -> list[Folder]:
    """Raises SystemExit where none is meant."""
    folders = [folder for folder in FOLDERS if folder.is_fast or not options.fast]
    if options.folders:
        folders = [folder for folder in folders if any(folder.name.startswith(name.rstrip("/")) for name in options.folders)]
        if not folders:
            raise SystemExit(f"No test folder begins with {' or '.join(options.folders)}.")
    return folders


def main() -> int:
    options = read_arguments()
    folders = choose_folders(options)
    parts = options.part or (["tests"] if options.folders or not options.long else [*PARTS, *PROGRAMS])
    began = time.monotonic()
    results: list[Result] = []
    stretches: list[Stretch] = []
    is_enough = True
    if "tests" in parts:
        marks = ["-m", "long", "-o", f"timeout={LONG_TEST_S}"] if options.long else ["-m", "not long"]
        for _ in range(options.times):
            results += run_all(folders, marks, stretches, is_long=options.long, is_again=options.again)
    if "coverage" in parts:
        covered, is_enough = run_covered()
        results += covered
    seconds = time.monotonic() - began
    if options.record:
        record(results, seconds, options.times, is_whole=folders == list(FOLDERS) and not options.long)
    programs = [run_program(name) for name in parts if name in PROGRAMS]

    print_skipped(results)
    if options.times > 1:
        print_flaky(results)
    print_table(results, seconds, stretches)
    if flaky := sorted(test for result in results for test in result.flaky):
        print("\n== passed at the second try only, alone: to be mended")
        print("\n".join(flaky))
    failed = sorted({test for result in results for test, outcome in result.outcomes.items() if outcome == "failed"})
    print("".join(f"\nFAILED {test}" for test in failed))
    for result in results:
        if not result.is_passed and not result.count("failed"):
            print(f"FAILED {result.name}: no test failed, but its process ended with status {result.status}")
            print(failures_of(result.output))
    if not is_enough:
        print(f"FAILED: the branch coverage of rules, session and agent is below {FLOOR} %, or was not measured")
    print(f"{sum(result.count('passed') for result in results)} passed, {len(failed)} failed")
    return 0 if is_enough and all(programs) and all(result.is_passed for result in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
