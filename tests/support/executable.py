# SPDX-License-Identifier: AGPL-3.0-or-later
"""The executable as `make build` makes it, built once for all test processes of a checkout."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

from tests.support import bundled_wheels
from tests.support.stack import ROOT, SERVER_PYTHON

FOLDER = ROOT / "build/tested"
SOURCES = ("z4j", "templates", "static", "adapters", "docs", "z4j.spec", "z4j.py", "bundle.py", "uv.lock")


def build() -> Path:
    """Returns the executable, which is built if a source is newer. Raises CalledProcessError."""
    bundled_wheels.bundle()
    FOLDER.mkdir(parents=True, exist_ok=True)
    target = FOLDER / "z4j"
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists() or target.stat().st_mtime < _newest():
            words = ["--noconfirm", "--log-level", "WARN", "--distpath", FOLDER, "--workpath", FOLDER / "work", "z4j.spec"]
            environment = {
                **os.environ,
                "PYTHONNODEBUGRANGES": "1",
            }  # as in the Makefile: without the columns of tracebacks, a tenth of the file
            command = [str(SERVER_PYTHON), "-m", "PyInstaller", *map(str, words)]
            subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=400)
    return target


def _newest() -> float:
    found = [ROOT / name for name in SOURCES if (ROOT / name).is_file()]
    for name in SOURCES:
        if (ROOT / name).is_dir():
            found += [path for path in (ROOT / name).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return max(path.stat().st_mtime for path in found)
