# SPDX-License-Identifier: AGPL-3.0-or-later
"""One app floods over 30 connections; the acks of another one, measured in turns with and without the flood."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_strangers import Agent, percentile
from tests.support.stack import ROOT, SERVER_PYTHON, Stack, stack

CONNECTIONS = 30


def measure(made: Stack, arm_s: float, arms: int) -> dict[str, float]:
    flooding = made.add_app("flood")
    agent = Agent(made.add_app("shop"))
    agent.start()
    time.sleep(1)
    acks: dict[bool, list[float]] = {False: [], True: []}
    for number in range(arms):
        is_flooded = number % 2 == 1
        process = None
        if is_flooded:
            command: list[str | Path] = [SERVER_PYTHON, "-m", "tests.support.flood", flooding, str(CONNECTIONS), str(arm_s + 1)]
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            time.sleep(1)
        agent.times.clear()
        time.sleep(arm_s)
        acks[is_flooded] += list(agent.times)
        if process is not None:
            out, _ = process.communicate(timeout=120)
            print("names invented:", out.strip())
            time.sleep(1)
    agent.end()
    assert agent.error is None, agent.error
    peak = next(line for line in Path(f"/proc/{made.children[-1].process.pid}/status").read_text().splitlines() if "VmHWM" in line)
    figures = {"quiet_p99_ms": percentile(acks[False], 99), "flood_p99_ms": percentile(acks[True], 99), "flood_acks": len(acks[True])}
    return figures | {"ratio": figures["flood_p99_ms"] / figures["quiet_p99_ms"], "peak_mb": int(peak.split()[1]) / 1024}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Stack]:
    with stack(tmp_path) as made:
        made.command("migrate")
        made.start_server()
        yield made


def test_a_flood_does_not_stop_another_apps_acks(server: Stack) -> None:
    figures = measure(server, 4, 4)
    print(figures)
    assert figures["flood_acks"] > 20
    assert figures["flood_p99_ms"] < 1_000  # seconds, before each app had its turn
    assert figures["peak_mb"] < 300


@pytest.mark.long
def test_a_long_flood(server: Stack) -> None:
    figures = measure(server, 15, 6)
    print(figures)
    assert figures["ratio"] <= 2
    assert figures["peak_mb"] < 200
