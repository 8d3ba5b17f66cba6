# SPDX-License-Identifier: AGPL-3.0-or-later
"""dist/bundle as `make build` makes it, collected once for all test processes."""

from __future__ import annotations

import fcntl
import subprocess

from tests.support.stack import ROOT, SERVER_PYTHON


def bundle() -> None:
    """Collects the wheels of this checkout, if they are not there. Raises CalledProcessError."""
    (ROOT / "dist").mkdir(exist_ok=True)
    with (ROOT / "dist/.wheels.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_current():
            subprocess.run([SERVER_PYTHON, "bundle.py"], cwd=ROOT, check=True)


def is_current() -> bool:
    """Whether nothing that is bundled is newer than the bundle: adapters, documents, templates and what compiles these."""
    folder = ROOT / "dist/bundle"
    if not folder.is_dir():
        return False
    folders = (*ROOT.glob("adapters/*/src"), ROOT / "docs", ROOT / "templates", ROOT / "z4j/web/frame/templating")
    sources = [path for each in folders for path in each.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return max(path.stat().st_mtime for path in (*sources, ROOT / "uv.lock", ROOT / "bundle.py")) < folder.stat().st_mtime
