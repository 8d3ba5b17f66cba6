# SPDX-License-Identifier: AGPL-3.0-or-later
"""Collects in dist/wheels/ what the appliance's own package index serves: the wheels of every adapter of this version, and of the few
libraries that they need, for this platform and CPython 3.11 to 3.14.

Versions and hashes are those of uv.lock; a file with another hash is refused. Run as ``python bundle_wheels.py [FOLDER]``. Needs pip, and
hatchling in the environment that runs it.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent
FOLDER = ROOT / "dist/wheels"
PIP = (ROOT / ".venvs/uv/bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
GLIBC = (17, 28, 34)
"""Minor versions of glibc 2 that a wheel may need, the oldest first: the first for which there is a wheel is taken."""
PURE = ("websockets", "pycparser")
"""For every platform: their compiled parts, if any, are optional."""
COMPILED = ("cryptography", "cffi")


def locked() -> dict[str, tuple[str, set[str]]]:
    """{name: (version, SHA-256 of its files)} of what is bundled, from uv.lock."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]
    found = {}
    for package in packages:
        if package["name"] in (*PURE, *COMPILED):
            found[package["name"]] = package["version"], {wheel["hash"].removeprefix("sha256:") for wheel in package["wheels"]}
    return found


def download(folder: Path, name: str, version: str, *words: str) -> bool:
    """Whether there is a wheel for these words."""
    command = [*PIP, "download", "--no-deps", "--only-binary", ":all:", "--dest", folder, *words, f"{name}=={version}"]
    return subprocess.run([str(word) for word in command], capture_output=True, check=False).returncode == 0  # noqa: S603 -- words of this file


def collect(folder: Path) -> None:
    """Raises SystemExit if something is missing; `folder` is then as it was."""
    fresh = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for project in sorted(ROOT.glob("adapters/*/pyproject.toml")):
        subprocess.run(  # noqa: S603 -- words of this file
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", fresh], cwd=project.parent, check=True, capture_output=True
        )
    versions = locked()
    for name in PURE:
        if not download(fresh, name, versions[name][0], "--platform", "any", "--abi", "none", "--implementation", "py"):
            raise SystemExit(f"No pure wheel of {name} {versions[name][0]}.")
    for name in COMPILED:
        for python in PYTHONS:
            compiled = ("--implementation", "cp", "--python-version", python)
            if not any(download(fresh, name, versions[name][0], *platforms(floor), *compiled) for floor in GLIBC):
                raise SystemExit(f"No wheel of {name} {versions[name][0]} for CPython {python} on {platform.machine()}.")
    for file in fresh.glob("*.whl"):
        name = file.name.partition("-")[0].replace("_", "-").lower()
        if name in versions and hashlib.sha256(file.read_bytes()).hexdigest() not in versions[name][1]:
            raise SystemExit(f"{file.name} is not the file that uv.lock names. Nothing was bundled.")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def platforms(floor: int) -> tuple[str, ...]:
    """The words for a wheel that runs with glibc 2.`floor` and newer."""
    machine = platform.machine()
    names = [f"manylinux_2_{floor}_{machine}"] + (["manylinux2014_" + machine] if floor == 17 else [])
    return tuple(word for name in names for word in ("--platform", name))


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else FOLDER
    collect(target)
    files = sorted(target.glob("*.whl"))
    print(f"{len(files)} wheels, {sum(file.stat().st_size for file in files) / 1e6:.1f} MB, in {target}")
