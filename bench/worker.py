# SPDX-License-Identifier: AGPL-3.0-or-later
"""What watching costs a real Celery worker: no-op tasks, prefork of two, interleaved pairs in random order."""

from __future__ import annotations

import os
import random
import signal
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.measure import cpu_s, median, tree
from tests.support.stack import Stack, stack, wait_for


@dataclass(frozen=True, slots=True)
class Run:
    seconds: float
    cpu_us_per_task: float


class Broker:
    """Asks the broker for two numbers, in the broker's own inline protocol."""

    def __init__(self, port: int) -> None:
        self.file = socket.create_connection(("127.0.0.1", port)).makefile("rwb")

    def ask(self, command: str) -> int:
        self.file.write(command.encode() + b"\r\n")
        self.file.flush()
        return int(self.file.readline()[1:])

    def is_drained(self) -> bool:
        return self.ask("LLEN work") == 0 and self.ask("HLEN unacked") == 0


def run(made: Stack, tasks: int, *, is_watched: bool, number: int) -> Run:
    """Tasks wait in the broker before the stopped worker may go on; what is timed is the draining alone."""
    broker = Broker(made.broker_port)
    env = {} if is_watched else {"Z4J_URL": ""}
    worker = made.start_worker("--loglevel", "WARNING", name=f"w{number}", env=env, log_says=b"")
    produce(made, 200, is_watched=is_watched)
    wait_for(broker.is_drained, seconds=60, what="the worker is warm")
    pids = tree(worker.process.pid)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    produce(made, tasks, is_watched=is_watched)
    used = -cpu_s(pids)
    began = time.monotonic()
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    wait_for(broker.is_drained, seconds=120, what="the queue is drained")
    took = time.monotonic() - began
    used += cpu_s(pids)
    worker.end()
    return Run(took, used / tasks * 1_000_000)


def produce(made: Stack, tasks: int, *, is_watched: bool) -> None:
    """A watched worker usually has watched producers, which write the arguments and originals themselves."""
    url = made.url
    made.url = url if is_watched else ""
    try:
        made.produce("shop.noop", tasks)
    finally:
        made.url = url


def measure(tasks: int = 2_000, pairs: int = 8) -> dict[str, float]:
    throughput, cpu, extra = [], [], []
    dice = random.Random(11)
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder)) as made:
        made.start_broker()
        made.command("migrate")
        made.add_app()
        made.start_server()
        for pair in range(pairs):
            order = [True, False]
            dice.shuffle(order)
            runs = {is_watched: run(made, tasks, is_watched=is_watched, number=pair * 2 + is_watched) for is_watched in order}
            throughput.append(runs[False].seconds / runs[True].seconds)
            cpu.append(runs[True].cpu_us_per_task / runs[False].cpu_us_per_task)
            extra.append(runs[True].cpu_us_per_task - runs[False].cpu_us_per_task)
    return {
        "worker_us_per_task": median(extra),
        "worker_cpu_ratio": median(cpu),
        "celery_throughput_ratio": median(throughput),
    }
