# SPDX-License-Identifier: AGPL-3.0-or-later
"""What watching costs one engine, in tight turns: `python -m bench.engine_turns rq --rounds 18`, in the engine's own environment.

Each arm is a real worker on a real broker of its own, from the harness of the engine's conformance tests:

    bare       neither the producer nor the worker has a connection string
    watched    both have
    worker     only the worker has: its producer is in another language, or an old service
    flower     (Celery) neither has; the worker sends events and Flower reads them
    options    (with --options) both, and with Z4J_LOG_LINES=info and Z4J_STACKS=1, which are off by default
    before     (with --before) both have, and run the adapter of another checkout in its own environment

With `--sleep` the tasks sleep for 5 ms instead of doing nothing. `--before PATH` is a checkout of an earlier state in which
`make environments` was run: its adapter takes turns with this one, so that the speed of the machine affects both alike. $Z4J_URL is the
server to report to, $Z4J_SERVER_PID its process, whose work is measured too. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.measure import tree
from bench.turns import (
    Spread,
    Turn,
    compare,
    more_faults,
    processor_s,
    producer_us,
    server_us,
    stop,
    take_turns,
    throughput,
    worker_ratio,
    worker_us,
)
from z4j_agent.conformance import Harness
from z4j_agent.conformance.harness import free_port, is_open, wait_for

ROOT = Path(__file__).resolve().parent.parent
FLOWER = ROOT / ".venvs/flower/bin/python"
WARM = 40
MORE = 1.6
"""At least so many times the tasks of its last turn wait for an arm when its turn begins."""
LEAST = 100
"""Tasks that are enqueued before each turn at least, so that the producer is measured in each."""
FIRST = {"rq": 60}
"""Tasks that wait at its first turn; RQ forks a process for each."""
FIRST_ELSE = 4_000
FIRST_ASLEEP = {"rq": 60, "celery": 600, "huey": 600}
FIRST_ASLEEP_ELSE = 3_000
"""Of tasks that sleep: engines that run many of them at once need more."""
OPTIONS = {"Z4J_LOG_LINES": "", "Z4J_STACKS": ""}
"""Log lines and stacks of child processes are off by default. The harness of the conformance tests switches both on, and the thread that
reads stacks costs each child of RQ 130 pages and 1 ms."""
SIZES = {b"list": b"LLEN", b"zset": b"ZCARD", b"stream": b"XLEN"}


class Valkey:
    """Asks the broker how much waits in the queue, in its own inline protocol."""

    def __init__(self, port: int) -> None:
        self._file = socket.create_connection(("127.0.0.1", port)).makefile("rwb")
        self._key = b""
        self._size = b""

    def ask(self, *words: bytes) -> bytes:
        """A line of the answer; raises AssertionError where it is an error."""
        self._file.write(b" ".join(words) + b"\r\n")
        self._file.flush()
        line = self._file.readline().rstrip(b"\r\n")
        assert not line.startswith(b"-"), line
        return line[1:]

    def find_queue(self, atleast: int) -> None:
        """Once: the queue is what has grown by what was just enqueued; every engine has another name for it."""
        if self._key:
            return
        self._file.write(b"KEYS *\r\n")
        self._file.flush()
        count = int(self._file.readline()[1:])
        keys = [(self._file.readline(), self._file.readline().rstrip(b"\r\n"))[1] for _ in range(count)]
        for key in keys:
            size = SIZES.get(self.ask(b"TYPE", key))
            if size is not None and int(self.ask(size, key)) >= atleast:
                self._key, self._size = key, size
                return
        raise AssertionError(f"no queue with {atleast} tasks among {keys}")

    def waiting(self) -> int:
        """0 where the queue has not been found yet."""
        return int(self.ask(self._size, self._key)) if self._key else 0


class EngineArm:
    """A worker and a producer of an engine, each with or without a connection string."""

    def __init__(self, name: str, harness: Harness, url_of_producer: str, kind: str, args: tuple[Any, ...], first: int) -> None:
        self.name = name
        self.harness = harness
        self._kind, self._args = kind, args
        harness.set_up()
        self._worker = harness.start_worker()
        harness.url = url_of_producer
        for _ in range(WARM):
            harness.enqueue("succeed", 1)
        self._producer = next(process.pid for process in harness.processes if process.stdin is not None)
        self._broker = Valkey(harness.valkey_port)
        self._first, self._last = first, 0

    def enqueue(self) -> tuple[int, float]:
        left = self._broker.waiting()
        amount = max(LEAST, int(max(self._first, MORE * (self._last - left))) - left)
        used = -processor_s([self._producer])
        for _ in range(amount):
            self.harness.enqueue(self._kind, *self._args)
        used += processor_s([self._producer])
        self._broker.find_queue(amount // 2)
        self._last = self._broker.waiting()
        return amount, used

    def waiting(self) -> int:
        return self._broker.waiting()

    def worker_pids(self) -> list[int]:
        return tree(self._worker.pid)


def harness_of(engine: str, checkout: Path = ROOT) -> type[Harness]:
    """The first harness of the engine's conformance tests: its ordinary worker on its ordinary broker."""
    tests = checkout / f"adapters/{engine}/tests"
    if (tests / "contract").is_dir():  # an older checkout has no folders
        tests /= "contract"
    sys.path.insert(0, str(tests))
    spec = importlib.util.spec_from_file_location("conformance_of_engine", tests / "test_conformance.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Harness) and "outcomes" in vars(each) and each.__module__ == spec.name
    ]
    return found[0]


def quiet(kind: type[Harness], *words: str) -> type[Harness]:
    """Celery's worker as it is started by default: it logs warnings alone. (The others log what they log by default.)"""

    class Quiet(kind):  # type: ignore[misc, valid-type]
        def start_worker(self) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "celery", "-A", "engine_app", "worker", "--loglevel", "WARNING", "-Q", self.queue, *words]
            started: subprocess.Popen[bytes] = self.start("worker", [*command, *self.pool, "-n", "w@test"], cwd=self.folder)
            return started

    return Quiet


def in_environment(kind: type[Harness], python: Path) -> type[Harness]:
    """The harness with every process of this interpreter started by another one, which has other versions of the adapter and the agent."""

    class Elsewhere(kind):  # type: ignore[misc, valid-type]
        def start(self, name: str, command: list[str | Path], **options: Any) -> subprocess.Popen[bytes]:
            started: subprocess.Popen[bytes] = super().start(
                name, [python if part == sys.executable else part for part in command], **options
            )
            return started

    return Elsewhere


def start_flower(harness: Harness) -> None:
    """Flower, reading the events of the arm's worker, in an environment of its own."""
    port = free_port()
    command: list[str | Path] = [FLOWER, "-m", "celery", "-A", "engine_app", "flower", f"--port={port}", "--address=127.0.0.1"]
    harness.start("flower", command, cwd=ROOT / "adapters/celery/tests/apps")
    wait_for(lambda: is_open(port), "Flower answers", seconds=40)


def arms_of(
    engine: str, url: str, folder: Path, stack: ExitStack, *, sleep: bool, with_options: bool, before: Path | None
) -> list[EngineArm]:
    task: tuple[str, tuple[Any, ...]] = ("wait", (0.005,)) if sleep else ("succeed", (1,))
    first = FIRST_ASLEEP.get(engine, FIRST_ASLEEP_ELSE) if sleep else FIRST.get(engine, FIRST_ELSE)
    ways = {"bare": ("", ""), "watched": (url, url), "worker": (url, "")}
    if engine == "celery" and FLOWER.exists():
        ways["flower"] = ("", "")
    if with_options:
        ways["options"] = (url, url)
    if before is not None:
        ways["before"] = (url, url)
    arms = []
    for name, (of_worker, of_producer) in ways.items():
        checkout = before if name == "before" and before is not None else ROOT
        kind = harness_of(engine, checkout)
        if engine == "celery":
            kind = quiet(kind, *(("-E",) if name == "flower" else ()))
        if checkout is not ROOT:
            kind = in_environment(kind, checkout / f".venvs/{engine}/bin/python")
        (folder / name).mkdir()
        harness = kind(folder / name, of_worker)
        harness.variables = {} if name == "options" else dict(OPTIONS)
        stack.callback(harness.tear_down)
        arms.append(EngineArm(name, harness, of_producer, *task, first))
        if name == "flower":
            start_flower(harness)
    return arms


def figures(turns: dict[str, list[Turn]]) -> dict[str, dict[str, float]]:
    """`<arm>_<measure>` → median and quartiles, all against the bare arm of the same rounds."""
    found: dict[str, Spread] = {}
    for name in turns.keys() - {"bare"}:
        found[f"{name}_throughput_ratio"] = compare(turns, name, "bare", throughput)
        found[f"{name}_worker_us"] = compare(turns, name, "bare", worker_us)
        found[f"{name}_worker_ratio"] = compare(turns, name, "bare", worker_ratio)
        found[f"{name}_server_us"] = compare(turns, name, "bare", server_us)
        found[f"{name}_faults"] = compare(turns, name, "bare", more_faults)
    found["watched_producer_us"] = compare(turns, "watched", "bare", producer_us)
    if "before" in turns:
        found["before_producer_us"] = compare(turns, "before", "bare", producer_us)
    return {name: asdict(each) for name, each in sorted(found.items())}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("engine")
    parser.add_argument("--rounds", type=int, default=18)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--sleep", action="store_true")
    parser.add_argument("--options", action="store_true", dest="with_options")
    parser.add_argument("--before", type=Path, metavar="CHECKOUT")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        arms = arms_of(
            options.engine, os.environ["Z4J_URL"], Path(folder), stack,
            sleep=options.sleep, with_options=options.with_options, before=options.before,
        )  # fmt: skip
        for arm in arms:
            settle(arm)
        server = tree(int(os.environ["Z4J_SERVER_PID"])) if "Z4J_SERVER_PID" in os.environ else []
        print(json.dumps(figures(take_turns(arms, rounds=options.rounds, seconds=options.seconds, server=server))))


def settle(arm: EngineArm) -> None:
    """Waits until the worker has run what warmed it up, then stops it."""
    used = -1.0
    while (now_used := processor_s(arm.worker_pids())) - used > 0.02:
        used = now_used
        time.sleep(0.7)
    stop(arm.worker_pids())


if __name__ == "__main__":
    main()
