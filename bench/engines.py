# SPDX-License-Identifier: AGPL-3.0-or-later
"""What watching costs each engine: its own worker with and without z4j, in interleaved pairs, the real server on the same two cores."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

from tests.support.stack import ROOT, stack

ENGINES = ("celery", "rq", "dramatiq", "huey", "arq", "taskiq")
TASKS = {"rq": 250}
"""RQ forks a process for every task: fewer of them take as long."""


def measure(tasks: int = 1_500, pairs: int = 4) -> dict[str, float]:
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder)) as made:
        made.command("migrate")
        url = made.add_app()
        made.start_server()
        for engine in ENGINES:
            python = ROOT / f".venvs/{engine}/bin/python"
            done = subprocess.run(
                [python, "-m", "bench.engine_pair", engine, str(TASKS.get(engine, tasks)), str(pairs)],
                cwd=ROOT, env={**os.environ, "Z4J_URL": url, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            results |= {f"{engine}_{name}": figure for name, figure in json.loads(done.stdout).items()}
    return results
