# SPDX-License-Identifier: AGPL-3.0-or-later
"""What watching costs each engine: its own workers with and without z4j, and Celery's with Flower, in turns of a second, with the real
server on the same two cores. See `engine_turns.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

from bench.turns import Spread
from tests.support.stack import ROOT, Stack, stack

ENGINES = ("celery", "rq", "dramatiq", "huey", "arq", "taskiq")
ROUNDS = 18


def measure(engines: tuple[str, ...] = ENGINES, rounds: int = ROUNDS) -> dict[str, Spread]:
    """`<engine>_<arm>_<measure>` of tasks that do nothing, `<engine>_sleep_…` of those that sleep for 5 ms."""
    results: dict[str, Spread] = {}
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), is_fresh=True) as made:
        made.command("migrate")
        made.add_app()
        server = made.start_server().process.pid
        for engine in engines:
            results |= {f"{engine}_{name}": each for name, each in turns_of(made, server, engine, rounds).items()}
            sleeping = turns_of(made, server, engine, rounds, "--sleep")
            results |= {f"{engine}_sleep_{name}": each for name, each in sleeping.items() if name.endswith("throughput_ratio")}
    return results


def turns_of(made: Stack, server: int, engine: str, rounds: int, *words: str) -> dict[str, Spread]:
    """Raises AssertionError with what the engine's process printed, where it fails."""
    environment = {**os.environ, "Z4J_URL": made.url, "Z4J_SERVER_PID": str(server), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [ROOT / f".venvs/{engine}/bin/python", "-m", "bench.engine_turns", engine, "--rounds", str(rounds), *words],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {name: Spread(**each) for name, each in json.loads(done.stdout).items()}
