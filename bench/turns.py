# SPDX-License-Identifier: AGPL-3.0-or-later
"""Arms that take turns of about a second, all of them alive and all but one stopped.

The speed of a machine drifts by a quarter within half a minute. Arms that are measured one after the other differ by that; arms that take
turns within seconds do not: in every round each arm has one turn, in random order, and only differences within a round are kept.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

TICKS = os.sysconf("SC_CLK_TCK")
CALM_S, CALM_AT_MOST_S = 0.1, 3.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What one arm did in one turn. Microseconds of processor time are per task, and 0 where nothing was enqueued or run."""

    tasks_per_s: float
    worker_us: float
    producer_us: float
    server_us: float
    """Of the server that the arm reports to, until it has stored what was sent in this turn; 0 if the arm has no server."""
    faults: float
    """Pages per task that the kernel gave to the worker's processes or copied for them: after a fork, each page that is written."""


class Arm(Protocol):
    name: str

    def enqueue(self) -> tuple[int, float]:
        """With the worker stopped, enqueues more than one turn will run; returns how many, and the seconds of processor time."""

    def waiting(self) -> int:
        """How many tasks the broker holds for it."""

    def worker_pids(self) -> list[int]:
        """The worker's processes that live now; the first is their ancestor."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles of the differences or ratios of all rounds."""

    figure: float
    low: float
    high: float


def processor_s(pids: Sequence[int]) -> float:
    """Processor seconds of these processes, in nanosecond steps, and of the children they have waited for, in steps of 10 ms."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):  # it has ended; its parent has its time
            total += time.clock_gettime(~pid << 3 | 2)  # the clock of another process: see clock_getcpuclockid(3)
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rpartition(") ")[2].split()
            total += (int(fields[13]) + int(fields[14])) / TICKS
    return total


def faults(pids: Sequence[int]) -> int:
    """Minor page faults of these processes, and of the children they have waited for."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(") ")[2].split()
            total += int(fields[7]) + int(fields[8])
    return total


def wait_until_calm(server: Sequence[int]) -> None:
    """Returns when the server has stored what it was sent, so that it does not do the work of one arm in the turn of another."""
    ends, used = time.monotonic() + CALM_AT_MOST_S, processor_s(server)
    while server and time.monotonic() < ends:
        time.sleep(CALM_S)
        before, used = used, processor_s(server)
        if used - before < CALM_S / 20:
            return


def stop(pids: Sequence[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)


@contextlib.contextmanager
def running(arm: Arm) -> Iterator[None]:
    """Lets the worker of an arm run, and stops all of its processes afterwards."""
    for pid in arm.worker_pids():
        with contextlib.suppress(ProcessLookupError):  # a child of RQ's worker that has just ended
            os.kill(pid, signal.SIGCONT)
    try:
        yield
    finally:
        stop(arm.worker_pids())
        stop(arm.worker_pids())  # what was forked between the list and the signal


def take_turn(arm: Arm, seconds: float, server: Sequence[int] = ()) -> Turn:
    """Raises AssertionError where the queue was empty before the turn was over: then the worker has waited."""
    sent, sent_s = arm.enqueue()
    wait_until_calm(server)
    pids = arm.worker_pids()
    stored, touched = -processor_s(server), -faults(pids)
    before, used, began = arm.waiting(), -processor_s(pids), time.monotonic()
    with running(arm):
        time.sleep(seconds)
        left, took = arm.waiting(), time.monotonic() - began
    pids = arm.worker_pids()
    used += processor_s(pids)
    touched += faults(pids)
    wait_until_calm(server)
    stored += processor_s(server)
    done = before - left
    assert left > 0, f"{arm.name} ran all {before} tasks before its turn was over"
    assert done > 0, f"{arm.name} ran nothing"
    return Turn(done / took, used / done * 1e6, sent_s / sent * 1e6 if sent else 0.0, stored / done * 1e6, touched / done)


def take_turns(arms: Sequence[Arm], *, rounds: int, seconds: float, seed: int = 11, server: Sequence[int] = ()) -> dict[str, list[Turn]]:
    """The turns of each arm by its name, in the order of the rounds. The first round warms up and is not kept. `server`: the processes of
    the server that the arms report to."""
    dice = random.Random(seed)
    turns: dict[str, list[Turn]] = {arm.name: [] for arm in arms}
    for number in range(rounds + 1):
        for arm in dice.sample(arms, len(arms)):
            turn = take_turn(arm, seconds, server)
            if number:
                turns[arm.name].append(turn)
    return turns


def compare(turns: dict[str, list[Turn]], arm: str, base: str, measure: Callable[[Turn, Turn], float]) -> Spread:
    """`measure` of each round's turn of `arm` and of `base`."""
    return spread([measure(one, other) for one, other in zip(turns[arm], turns[base], strict=True)])


def spread(values: Sequence[float]) -> Spread:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(middle, low, high)


def throughput(one: Turn, base: Turn) -> float:
    return one.tasks_per_s / base.tasks_per_s


def worker_us(one: Turn, base: Turn) -> float:
    return one.worker_us - base.worker_us


def worker_ratio(one: Turn, base: Turn) -> float:
    return one.worker_us / base.worker_us


def producer_us(one: Turn, base: Turn) -> float:
    return one.producer_us - base.producer_us


def server_us(one: Turn, base: Turn) -> float:
    return one.server_us - base.server_us


def more_faults(one: Turn, base: Turn) -> float:
    return one.faults - base.faults
