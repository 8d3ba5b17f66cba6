# SPDX-License-Identifier: AGPL-3.0-or-later
"""What watching costs a real Celery worker: no-op tasks, prefork of two, interleaved with the same
worker unwatched and with Flower, in random order."""

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
from tests.support.stack import ROOT, Child, Stack, free_port, stack, wait_for

FLOWER = ROOT / ".venvs/flower/bin/python"


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


def run(made: Stack, tasks: int, *, how: str, number: int) -> Run:
    """Tasks wait in the broker before the stopped worker may go on; what is timed is the draining alone."""
    broker = Broker(made.broker_port)
    is_watched = how == "watched"
    words = ("-E",) if how == "flower" else ()
    env = {} if is_watched else {"Z4J_URL": ""}
    worker = made.start_worker("--loglevel", "WARNING", *words, name=f"w{number}", env=env, log_says=b"")
    flower = start_flower(made) if how == "flower" else None
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
    if flower is not None:
        flower.end()
    return Run(took, used / tasks * 1_000_000)


def start_flower(made: Stack) -> Child:
    """Flower, listening to the events of every worker, in an environment of its own."""
    port = free_port()
    command: list[str | Path] = [
        FLOWER,
        "-m",
        "celery",
        "-A",
        "tests.support.witness_app",
        "flower",
        f"--port={port}",
        "--address=127.0.0.1",
    ]
    flower = made.start("flower", command, {"Z4J_URL": ""})

    def is_up() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(is_up, seconds=30, what=f"Flower answers, see {flower.log}")
    return flower


def produce(made: Stack, tasks: int, *, is_watched: bool) -> None:
    """A watched worker usually has watched producers, which write the arguments and originals themselves."""
    url = made.url
    made.url = url if is_watched else ""
    try:
        made.produce("shop.noop", tasks)
    finally:
        made.url = url


def measure(tasks: int = 2_000, rounds: int = 8) -> dict[str, float]:
    """Every round runs bare, watched and (where it is installed) with Flower, in random order; ratios are within a round."""
    ways = ["bare", "watched", *(["flower"] if FLOWER.exists() else [])]
    found: dict[str, list[float]] = {}
    dice = random.Random(11)
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder)) as made:
        made.start_broker()
        made.command("migrate")
        made.add_app()
        made.start_server()
        for number in range(rounds):
            order = dice.sample(ways, len(ways))
            runs = {how: run(made, tasks, how=how, number=number * len(ways) + ways.index(how)) for how in order}
            bare = runs["bare"]
            for how in ways[1:]:
                found.setdefault(f"{how}_throughput", []).append(bare.seconds / runs[how].seconds)
                found.setdefault(f"{how}_cpu", []).append(runs[how].cpu_us_per_task / bare.cpu_us_per_task)
            found.setdefault("extra", []).append(runs["watched"].cpu_us_per_task - bare.cpu_us_per_task)
    results = {
        "worker_us_per_task": median(found["extra"]),
        "worker_cpu_ratio": median(found["watched_cpu"]),
        "celery_throughput_ratio": median(found["watched_throughput"]),
    }
    if "flower_cpu" in found:
        results |= {"flower_cpu_ratio": median(found["flower_cpu"]), "flower_throughput_ratio": median(found["flower_throughput"])}
    return results
