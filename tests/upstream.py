# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs the engines' own tests three times: plain, with our adapter and a server, with our adapter and a server that cannot be reached.

    .venvs/server/bin/python tests/upstream.py [celery dramatiq huey …] [--part NAME …] [--arm NAME …] [--jobs N] [--resume] [--table]

Every test must end in all three as it ends plain. The tests come from the source distribution of the locked version; it and what the
tests need beside the engine are under .venvs/upstream. A test that fails is run up to twice more with its class, in all three arms: under
load, an engine's own timing tests fail without the adapter, too. Results are kept for each part and arm: `--arm` runs only that arm and
uses kept results of the others, `--resume` uses all kept results of this commit, `--table` runs nothing and writes the table in
docs/proof.md. Exit status 1 where any test differs without a cause named in `upstream_suites.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.support.upstream import upstream_environment as environment
from tests.support.upstream.upstream_report import (
    ARMS,
    PLAIN,
    SERVER,
    UNREACHABLE,
    Result,
    commit,
    differing,
    has_ended,
    keep,
    kept,
    read_outcomes,
    write_table,
)  # fmt: skip
from tests.support.upstream.upstream_suites import SUITES, Suite
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import free_port

LONGEST_S = 1500
LEAVES_S = 20
SHOWN = 40_000
"""Characters of pytest's output, where a test failed."""
RETRIES = 2
AGAIN_AT_MOST = 60
"""So many differences may be bad luck and are looked at again; more are not."""


def run(suite: Suite, part: str, url: str | None, tests: list[str] | None = None) -> Result:
    """Runs a part, or only `tests` of it; without a `url` plain. Raises RuntimeError where no test was run at all."""
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        environment.redis() as redis_port,
        environment.rabbitmq(suite, part) as rabbitmq_port,
    ):
        place = Path(folder)
        copy = place / "sources"  # tests leave files behind, and two arms may run at once
        shutil.copytree(environment.sources(suite), copy)
        (place / "pytest.ini").write_text(f"[pytest]\n{suite.config}\n")  # else pytest would read this project's
        command = [
            *environment.as_user(suite), str(environment.environment_of(suite)), "-m", "pytest", "-q", "--tb=short",
            "-p", "upstream_plugin", "-p", "no:cacheprovider", "-c", str(place / "pytest.ini"), "--rootdir", str(copy), *suite.options,
        ]  # fmt: skip
        with (place / "log").open("w") as log:
            pytest = subprocess.Popen(
                [*command, *(tests or suite.files(part, copy))], cwd=copy, stdout=log, stderr=log, start_new_session=True,
                env=environment.variables(suite, url, place, redis_port, rabbitmq_port),
            )  # fmt: skip
            _wait(pytest, place / "outcomes")
        output = (place / "log").read_text()
        outcomes = read_outcomes(place / "outcomes")
        if outcomes and not has_ended(place / "outcomes"):
            outcomes["pytest itself"] = "cut"
    if not outcomes:
        raise RuntimeError(f"no test of {suite.engine} was run:\n{output[-3000:]}")
    if set(outcomes.values()) & {"failed", "cut"}:
        print(output if len(output) < SHOWN else f"{output[: SHOWN // 2]}\n…\n{output[-SHOWN // 2 :]}", flush=True)
    return Result(environment.locked_version(suite.engine), outcomes, time.monotonic() - began)


def _wait(pytest: subprocess.Popen[bytes], outcomes: Path) -> None:
    """Until pytest ends, LONGEST_S at most. Python would wait for good for a process that a failed test has left behind."""
    ends = time.monotonic() + LONGEST_S
    while pytest.poll() is None and time.monotonic() < ends:
        if has_ended(outcomes):
            ends = min(ends, time.monotonic() + LEAVES_S)
        time.sleep(0.5)
    with contextlib.suppress(ProcessLookupError):  # nothing is left
        os.killpg(pytest.pid, signal.SIGKILL)
    pytest.wait(20)


def _with_class(tests: set[str]) -> list[str]:
    """What to run again: a test alone may pass where it does not after its neighbours."""
    return sorted({test.partition("[")[0].rpartition("::")[0] for test in tests})


def run_and_retry(suite: Suite, part: str, url: str | None) -> Result:
    """Runs a part, and what failed up to RETRIES times more: the same rule for all arms."""
    result = run(suite, part, url)
    for _ in range(RETRIES):
        failed = {test for test, outcome in result.outcomes.items() if outcome == "failed"} - suite.explained.keys()
        if not 0 < len(failed) <= AGAIN_AT_MOST:
            break
        again = run(suite, part, url, _with_class(failed))
        passing = [test for test in failed if again.outcomes.get(test) == "passed"]
        result.passing_again += sorted(passing)
        result.outcomes |= dict.fromkeys(passing, "passed")
        result.seconds += again.seconds
    return result


def run_part(suite: Suite, part: str, *, arms: tuple[str, ...], resume: bool) -> list[str]:
    """A line for each test that ends otherwise with our adapter and has no named cause."""
    gateway = Gateway()
    gateway.start()
    unreachable = gateway.url.replace(f":{gateway.port}", f":{free_port()}")
    urls = {PLAIN: None, SERVER: gateway.url, UNREACHABLE: unreachable}
    results: dict[str, Result] = {}
    lines = []
    for arm in ARMS:
        found = kept(suite, part, arm)
        if found is None or not (arm not in arms or (resume and found.commit == commit())):
            gateway.clear()
            found = run_and_retry(suite, part, urls[arm])
            found.records = len(gateway.raw)
        results[arm] = found
        found.differing = sorted(differing(results[PLAIN].outcomes, found.outcomes))
        keep(suite, part, arm, found)
        differs = "" if arm == PLAIN else f"; {len(found.differing)} differ; {found.records} records"
        print(f"{suite.engine} {found.version}, {part}, {arm}: {found} in {found.seconds:.0f} s{differs}", flush=True)
        lines += [
            f"{suite.engine} {arm}: {test}: plain {results[PLAIN].outcomes.get(test, 'not run')}, {found.outcomes.get(test, 'not run')}"
            for test in found.differing
            if test not in suite.explained
        ]
    gateway.stop()
    return lines


def main() -> int:
    words = argparse.ArgumentParser()
    words.add_argument("engines", nargs="*", metavar="engine", help="celery, rq, …; all without any")
    words.add_argument("--part", action="append", default=[])
    words.add_argument("--arm", action="append", default=[], choices=ARMS)
    words.add_argument("--jobs", type=int, default=1, help="parts that run side by side")
    words.add_argument("--resume", action="store_true")
    words.add_argument("--table", action="store_true")
    wanted = words.parse_args()
    if wanted.table:
        write_table()
        return 0
    suites = [suite for suite in SUITES if not wanted.engines or suite.engine in wanted.engines]
    for suite in suites:  # one after another, before parts of it run side by side
        environment.sources(suite)
        environment.environment_of(suite)
    parts = [(suite, part) for suite in suites for part in suite.part_names() if not wanted.part or part in wanted.part]
    with ThreadPoolExecutor(wanted.jobs) as pool:
        found = pool.map(lambda each: run_part(*each, arms=tuple(wanted.arm) or ARMS, resume=wanted.resume), parts)
        lines = [line for part_lines in found for line in part_lines]
    for suite in suites if not wanted.part else ():
        results = [kept(suite, part, SERVER) for part in suite.part_names()]
        if not any(result.records for result in results if result is not None):
            lines.append(f"{suite.engine}: nothing was reported, so the adapter was not there")
    print("\n".join(lines))
    return 1 if lines else 0


if __name__ == "__main__":
    raise SystemExit(main())
