# SPDX-License-Identifier: AGPL-3.0-or-later
"""Changes each module of `z4j/rules` and `z4j/wire`, and the outbox, in one place at a time and reports which changes no test notices.

    python tests/mutation.py                    # every module
    python tests/mutation.py plans access       # these
    python tests/mutation.py fold:17 fold:18    # single mutants, by their number
    python tests/mutation.py --jobs 2 --every 5 # two at a time; every fifth mutant, always the same ones

The tests of a module are `tests/unit/<folder>/test_<module>.py` and those in MORE. A survivor that means the same as the original is listed
in `equal_mutants.toml` with the reason. Exit status 1 if fewer than FLOOR percent of a module's mutants are killed or listed there, or if
a listed one is killed.

Each mutant runs in a forked child that has imported pytest and the agent's modules but none of the server's, so every module that imports
the changed one gets the changed one. Tests that need no fixture are called directly, which takes a fifth of the time; pytest runs a file
only where it holds others too. A mutant's tests stop at the first that fails, and those that take more than SLOW without any change, such
as properties, come last. Hypothesis neither chooses its examples at random nor simplifies the one that fails. Nothing is written to the
source tree.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import json
import os
import resource
import sys
import tempfile
import time
import tomllib
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.support.mutations import Mutant, apply, find_mutants

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("z4j/rules", "z4j/wire")
FILES = ("z4j/agents/outbox.py",)
"""Modules of other folders whose laws matter as much."""
EQUAL = ROOT / "tests/equal_mutants.toml"
FLOOR = 95
SLOWER = 6
"""A mutant that needs this many times the processor time of the unchanged module is in an endless loop: its tests count as failed."""
SLOW = 0.05
"""Seconds of processor time."""
OPTIONS = ["-x", "-q", "-p", "no:cacheprovider", "--assert=plain", "--timeout=0", "--tb=no", "-m", "not long", "--hypothesis-seed=1"]
PLUGINS = ("anyio.pytest_plugin", "pytest_timeout", "_hypothesis_pytestplugin")

#: Imported once, for all children: what does not import a module of the rules.
EARLY = (
    "asyncio", "concurrent.futures", "croniter", "cron_descriptor", "hypothesis.strategies", "msgspec.json", "_pytest.junitxml",
    "_pytest.unittest", "z4j_agent.contract.adapter", "z4j_agent.contract.scheduler", "z4j_agent.wire", "z4j_agent.wire.cron",
    "z4j_agent.wire.redaction",
)  # fmt: skip

#: module → further tests, each with an expression for pytest's -k. They run only where the module's own tests pass.
MORE: dict[str, list[tuple[str, str]]] = {
    "executions": [("tests/unit/rules/tasks/reused_ids/test_executions_limits.py", "")],
    "outbox": [("tests/unit/agents/test_outbox_laws.py", "")],
    **{
        module: [("tests/unit/rules/findings/test_every_finding.py", "")]
        for module in (
            "activity", "agents", "backlog", "errors", "failure_rate", "finding", "missing_heartbeats", "queue_losses",
            "run_and_retry_rates", "runtimes", "schedules", "server", "stuck_tasks", "unregistered_tasks", "worker_differences",
            "worker_restarts",
        )
    },
}  # fmt: skip


@dataclass(slots=True)
class Tally:
    """What became of a module's mutants."""

    module: str
    killed: int = 0
    equal: list[Mutant] = field(default_factory=list)
    survived: list[Mutant] = field(default_factory=list)
    wrongly_listed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def total(self) -> int:
        return self.killed + len(self.equal) + len(self.survived)

    @property
    def share(self) -> float:
        """Killed or explained, of a hundred."""
        return 100 * (1 - len(self.survived) / self.total) if self.total else 100.0


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from code that was changed in memory."""

    def __init__(self, name: str, path: Path, code: types.CodeType) -> None:
        self.name, self.path, self.code = name, path, code

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def exec_module(self, module: types.ModuleType) -> None:
        exec(self.code, module.__dict__)


def modules() -> list[str]:
    return sorted(sources())


def sources() -> dict[str, Path]:
    """Stem of a module → its file. Raises ValueError where two modules have one stem."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if path.stem != "__init__"]
    paths += [ROOT / file for file in FILES]
    if len({path.stem for path in paths}) < len(paths):
        raise ValueError("two modules have one stem, and each needs its own here")
    return {path.stem: path for path in paths}


def run_tests(tests: list[tuple[str, str]], seconds: dict[str, float]) -> int:
    """0 when every test passed. `seconds`: the processor time of each test that is called directly, which is added where it is missing."""
    import pytest

    slow, files = [], []
    for path, only in tests:
        called, is_whole = ([], False) if only else called_tests(path)
        if not is_whole:
            files.append((path, only))
        for name, test, cases in called:
            if seconds.get(name, 0.0) > SLOW:
                slow.append((seconds[name], name, test, cases))
            elif not passes(name, test, cases, seconds):
                return 1
    if not all(passes(name, test, cases, seconds) for _, name, test, cases in sorted(slow, key=lambda each: each[0])):
        return 1
    return next((int(status) for path, only in files if (status := pytest.main([*OPTIONS, *(["-k", only] if only else []), path]))), 0)


def called_tests(path: str) -> tuple[list[tuple[str, Callable[..., None], list[dict[str, Any]]]], bool]:
    """The tests of a file that need nothing but their parameters, each with its name and cases, and whether these are all of its tests."""
    module, is_whole = importlib.import_module(path.removesuffix(".py").replace("/", ".")), True
    found: list[tuple[str, Callable[..., None], list[dict[str, Any]]]] = []
    for name, test in vars(module).items():
        if name.startswith("Test"):
            is_whole = False
        if not (name.startswith("test_") and inspect.isfunction(test)):
            continue
        marks = getattr(test, "pytestmark", [])
        cases: list[dict[str, Any]] = [{}]
        for mark in marks:
            if mark.name == "parametrize":
                cases = [case | given for case in cases for given in parameters(*mark.args[:2])]
        needed = set(inspect.signature(test).parameters)
        is_async = inspect.iscoroutinefunction(test)
        if is_async or any(mark.name != "parametrize" for mark in marks) or any(set(case) != needed for case in cases):
            is_whole = False
        else:
            found.append((f"{path}::{name}", test, cases))
    return found, is_whole


def passes(name: str, test: Callable[..., None], cases: list[dict[str, Any]], seconds: dict[str, float]) -> bool:
    import pytest

    began = time.process_time()
    try:
        for case in cases:
            test(**case)
    except (Exception, pytest.fail.Exception):
        return False
    seconds.setdefault(name, time.process_time() - began)
    return True


def parameters(names: str | Sequence[str], values: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """The arguments of each case of a `parametrize`."""
    keys = [key.strip() for key in names.split(",")] if isinstance(names, str) else list(names)
    for value in values:
        given = value.values if type(value).__name__ == "ParameterSet" else value if len(keys) > 1 else (value,)
        yield dict(zip(keys, given, strict=True))


def start(module: str, mutant: Mutant | None, tests: list[tuple[str, str]], seconds: dict[str, float], limit: int, out: int = -1) -> int:
    """Starts the tests of a module against a mutant, or against the module as it is. Returns the process id of the child, which is ended
    when it has used `limit` seconds of processor time, and writes those of each test to the file `out`."""
    if early := [name for name in sys.modules if name.startswith("z4j.")]:
        raise RuntimeError(f"imported before the change: {early[0]}")
    path = sources()[module]
    code = None if mutant is None else compile(apply(path.read_text("utf-8"), mutant), str(path), "exec")
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        if code is not None:
            sys.meta_path.insert(0, Finder(".".join(path.relative_to(ROOT).with_suffix("").parts), path, code))
        status = run_tests(tests, seconds)
        if out >= 0:
            os.write(out, json.dumps(seconds).encode())
    finally:
        os._exit(1 if status else 0)


def tests_of(module: str) -> list[tuple[str, str]]:
    own = f"tests/unit/{sources()[module].relative_to(ROOT / 'z4j').parent}/test_{module}.py"
    return [*([(own, "")] if (ROOT / own).exists() else []), *MORE.get(module, [])]


def try_unchanged(module: str) -> tuple[dict[str, float], float]:
    """Runs the tests of a module without any change. Returns the processor seconds of each test and of all. Raises SystemExit where one
    fails or there is none."""
    tests, used = tests_of(module), None
    with tempfile.TemporaryFile() as measured:
        if tests:
            _, status, used = os.wait4(start(module, None, tests, {}, 600, measured.fileno()), 0)
        if used is None or status:
            raise SystemExit(f"{module}: its tests are missing or fail without any change. No mutants were tried.")
        measured.seek(0)
        return json.load(measured), used.ru_utime + used.ru_stime


def try_all(module: str, mutants: list[Mutant], jobs: int, seconds: dict[str, float], limit: int) -> Iterator[tuple[Mutant, bool]]:
    """Each mutant and whether the tests passed with it."""
    tests, waiting = tests_of(module), list(reversed(mutants))
    running: dict[int, Mutant] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            running[start(module, mutant, tests, seconds, limit)] = mutant
        ended, status = os.wait()
        if ended in running:
            yield running.pop(ended), status == 0


def listed() -> dict[str, set[tuple[str, str]]]:
    """module → line and change of those that mean the same as the original."""
    found = tomllib.loads(EQUAL.read_text("utf-8"))
    return {module: {(entry["line"], entry["change"]) for entry in entries} for module, entries in found.items()}


def try_module(module: str, wanted: Callable[[Mutant], bool], jobs: int) -> Tally:
    began, tally, equal = time.monotonic(), Tally(module), listed().get(module, set())
    seconds, used = try_unchanged(module)
    every = find_mutants(sources()[module].read_text("utf-8"))
    mutants = list(filter(wanted, every))
    left_out = {(of.line, of.what) for of in every if of not in mutants}
    killed: set[tuple[str, str]] = set()
    alive: set[tuple[str, str]] = set()
    for mutant, is_alive in try_all(module, mutants, jobs, seconds, 5 + int(SLOWER * used)):
        (alive if is_alive else killed).add((mutant.line, mutant.what))
        if not is_alive:
            tally.killed += 1
        elif (mutant.line, mutant.what) in equal:
            tally.equal.append(mutant)
        else:
            tally.survived.append(mutant)
            print(f"survived {module}:{mutant.number}, line {mutant.lineno}: {mutant.what}\n    {mutant.line}", flush=True)
    # Of two equal changes of one line, such as two zeros, the entry may mean either.
    tally.wrongly_listed = [f"{module}: {what}" for line, what in sorted(equal & killed - alive - left_out)]
    tally.seconds = time.monotonic() - began
    return tally


def report(tallies: list[Tally]) -> int:
    print("\n| module | mutants | killed | equal | survived | killed or explained | seconds |\n|---|---|---|---|---|---|---|")
    for of in tallies:
        print(f"| {of.module} | {of.total} | {of.killed} | {len(of.equal)} | {len(of.survived)} | {of.share:.1f} % | {of.seconds:.0f} |")
    whole = Tally("all")
    for of in tallies:
        whole.killed += of.killed
        whole.equal += of.equal
        whole.survived += of.survived
        whole.seconds += of.seconds
    print(
        f"| all | {whole.total} | {whole.killed} | {len(whole.equal)} | {len(whole.survived)} | {whole.share:.1f} % | {whole.seconds:.0f} |"
    )
    wrong = [what for of in tallies for what in of.wrongly_listed]
    for what in wrong:
        print(f"listed in {EQUAL.name} as equal, but a test fails with it: {what}")
    return 1 if wrong or any(of.share < FLOOR for of in tallies) else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Tries changes to the rules and the outbox, and reports those that no test notices.")
    parser.add_argument("names", nargs="*", metavar="module[:number]")
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=1)
    parser.add_argument("--every", type=int, default=1, help="try only every so many mutants of each module, always the same ones")
    asked = parser.parse_args()
    os.chdir(ROOT)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ["PYTEST_ADDOPTS"] = " ".join(f"-p {name}" for name in PLUGINS)
    sys.dont_write_bytecode = False  # the modules that are not changed are compiled once
    for name in (*PLUGINS, *EARLY):
        importlib.import_module(name)
    import hypothesis

    # A counterexample that one mutant left behind must not decide about the next, nor how busy the machine is.
    hypothesis.settings.register_profile(
        "mutation", database=None, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck),
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
    )  # fmt: skip
    hypothesis.settings.load_profile("mutation")
    single: dict[str, set[int]] = {}
    for name in asked.names or modules():
        module, _, number = name.partition(":")
        if module not in modules():
            parser.error(f"there is no module {module} in {', '.join((*FOLDERS, *FILES))}")
        numbers = single.setdefault(module, set())
        if number:
            numbers.add(int(number))
    tallies = []
    for module, numbers in single.items():
        tally = try_module(module, lambda m, only=numbers: m.number in only if only else m.number % asked.every == 0, asked.jobs)  # type: ignore[misc]
        tallies.append(tally)
        print(f"{module}: {tally.share:.1f} % of {tally.total} in {tally.seconds:.0f} s", flush=True)
    return report(tallies)


if __name__ == "__main__":
    sys.exit(main())
