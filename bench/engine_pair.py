# SPDX-License-Identifier: AGPL-3.0-or-later
"""One engine, watched and unwatched by turns: `python -m bench.engine_pair rq 400 6`, in the engine's own environment.

Uses the harness of the engine's conformance tests: its real worker on its real broker. $Z4J_URL is the server to report to. Tasks wait
in the broker before the stopped worker may go on; it has finished when its processes stop using CPU, which is the same for every
engine and needs nobody's word. Prints one JSON object.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from bench.measure import family_cpu_s, median, tree
from z4j_agent.conformance import Harness

ROOT = Path(__file__).resolve().parent.parent
WARM = 40
STEP_S = 0.02
QUIET_S = 1.0
QUIET_SHARE = 0.05
"""Less than this share of a core over QUIET_S is an idle worker."""


@dataclass(frozen=True, slots=True)
class Run:
    seconds: float
    worker_us: float
    producer_us: float


def harness_of(engine: str) -> type[Harness]:
    """The first harness of the engine's conformance tests: its ordinary worker on its ordinary broker."""
    tests = ROOT / f"adapters/{engine}/tests"
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


def settle(pid: int, began: float) -> float:
    """Waits until the worker's processes are quiet; returns the seconds from `began` to the last time they were not."""
    samples = [(time.monotonic(), family_cpu_s(pid))]
    while True:
        time.sleep(STEP_S)
        samples.append((time.monotonic(), family_cpu_s(pid)))
        at, used = samples[-1]
        earlier = [sample for sample in samples if sample[0] <= at - QUIET_S]
        if earlier and used - earlier[-1][1] <= QUIET_S * QUIET_SHARE:
            idle = used - QUIET_S * QUIET_SHARE / 2
            return next(when for when, cpu in samples if cpu >= idle) - began
        assert at - began < 180, "the worker never came to rest"


def run(kind: type[Harness], url: str, tasks: int) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        harness = kind(Path(folder), url)
        try:
            harness.set_up()
            worker = harness.start_worker()
            for _ in range(WARM):
                harness.enqueue("succeed", "warm")
            settle(worker.pid, time.monotonic())
            for pid in tree(worker.pid):
                os.kill(pid, signal.SIGSTOP)
            producer = harness.processes[-1].pid
            sent = -family_cpu_s(producer)
            for number in range(tasks):
                harness.enqueue("succeed", number)
            sent += family_cpu_s(producer)
            used, began = -family_cpu_s(worker.pid), time.monotonic()
            for pid in tree(worker.pid):
                os.kill(pid, signal.SIGCONT)
            seconds = settle(worker.pid, began)
            used += family_cpu_s(worker.pid)
            return Run(seconds, used / tasks * 1e6, sent / tasks * 1e6)
        finally:
            harness.tear_down()


def measure(engine: str, tasks: int, pairs: int) -> dict[str, float]:
    kind, url, dice = harness_of(engine), os.environ["Z4J_URL"], random.Random(11)
    found: dict[str, list[float]] = {}
    for _ in range(pairs):
        order = dice.sample([True, False], 2)
        runs = {is_watched: run(kind, url if is_watched else "", tasks) for is_watched in order}
        bare, watched = runs[False], runs[True]
        found.setdefault("producer_us_per_task", []).append(watched.producer_us - bare.producer_us)
        found.setdefault("worker_us_per_task", []).append(watched.worker_us - bare.worker_us)
        found.setdefault("worker_cpu_ratio", []).append(watched.worker_us / bare.worker_us)
        found.setdefault("throughput_ratio", []).append(bare.seconds / watched.seconds)
    return {name: round(median(values), 3) for name, values in found.items()}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
