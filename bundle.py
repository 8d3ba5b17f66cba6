# SPDX-License-Identifier: AGPL-3.0-or-later
"""Collects in dist/bundle/ what the executable and the wheel of z4j contain besides their code:

- wheels/: what the appliance's own package index serves, the wheels of every adapter and of the client of this version, and of the few
  libraries that they need, for this platform and CPython 3.11 to 3.14. Versions and hashes are those of uv.lock; a file with another hash
  is refused.
- sbom.json: a CycloneDX list of everything inside, with versions, hashes and licences.
- licences/: the licence texts of everything inside.
- docs/: the documents.
- compiled/: the templates, compiled by this version of Python; for the executable alone.

Run as ``python bundle.py [FOLDER]``, in an environment that has z4j, hatchling and pip beside it (.venvs/server).
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import sqlite3
import ssl
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from z4j.web.frame.render import environment
from z4j.web.frame.templating.compiled_templates import compile_all

ROOT = Path(__file__).resolve().parent
FOLDER = ROOT / "dist/bundle"
UV = ROOT / ".venvs/uv/bin/uv"
PIP = (ROOT / ".venvs/uv/bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
GLIBC = (17, 28, 34)
"""Minor versions of glibc 2 that a wheel may need, the oldest first: the first for which there is a wheel is taken."""
PURE = ("websockets", "pycparser", "httpx", "httpcore", "h11", "anyio", "certifi", "idna", "typing-extensions")
"""For every platform: their compiled parts, if any, are optional."""
COMPILED = ("cryptography", "cffi")
CLIENT = "z4j-client"
DEMO = "demo"
"""The extra of z4j with the engines of `z4j demo`."""


def locked() -> dict[str, tuple[str, set[str]]]:
    """{name: (version, SHA-256 of its files)} of what is bundled, from uv.lock."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]
    found = {}
    for package in packages:
        if package["name"] in (*PURE, *COMPILED):
            found[package["name"]] = package["version"], {wheel["hash"].removeprefix("sha256:") for wheel in package["wheels"]}
    return found


def download(folder: Path, wanted: Sequence[str], *words: str) -> bool:
    """Whether there are wheels of all of `wanted` (`name==version`) for these words. One call for many: each takes 0.5 s of a processor."""
    command = [*PIP, "download", "--no-deps", "--only-binary", ":all:", "--dest", folder, *words, *wanted]
    return subprocess.run([str(word) for word in command], capture_output=True, check=False).returncode == 0  # noqa: S603 -- words of this file


def collect(folder: Path) -> None:
    """Raises SystemExit if something is missing; `folder` is then as it was."""
    fresh = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / "wheels").mkdir(parents=True)
    collect_wheels(fresh / "wheels")
    inside = collect_licences(fresh / "licences")
    (fresh / "sbom.json").write_text(json.dumps(bill_of_materials(inside), indent=1, ensure_ascii=False) + "\n", "utf-8")
    shutil.copytree(ROOT / "docs", fresh / "docs", ignore=shutil.ignore_patterns("proof.md", "decisions.md"))
    shutil.copy(ROOT / "adapters/agent/PROTOCOL.md", fresh / "docs/protocol.md")
    compile_all(environment(), fresh / "compiled")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def collect_wheels(fresh: Path) -> None:
    """Raises SystemExit if a wheel is missing or is not the one that uv.lock names."""
    for project in sorted(ROOT.glob("adapters/*/pyproject.toml")):
        subprocess.run(  # noqa: S603 -- words of this file
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", fresh], cwd=project.parent, check=True, capture_output=True
        )
    versions = locked()
    pure = [f"{name}=={versions[name][0]}" for name in PURE]
    if not download(fresh, pure, "--platform", "any", "--abi", "none", "--implementation", "py"):
        raise SystemExit(f"One of {', '.join(pure)} has no pure wheel, or was not found.")
    for python in PYTHONS:
        compiled = ("--implementation", "cp", "--python-version", python)
        every = [f"{name}=={versions[name][0]}" for name in COMPILED]
        if download(fresh, every, *platforms(GLIBC[0]), *compiled):
            continue
        for wanted in every:
            if not any(download(fresh, [wanted], *platforms(floor), *compiled) for floor in GLIBC):
                raise SystemExit(f"No wheel of {wanted} for CPython {python} on {platform.machine()}.")
    for file in fresh.glob("*.whl"):
        name = file.name.partition("-")[0].replace("_", "-").lower()
        if name in versions and hashlib.sha256(file.read_bytes()).hexdigest() not in versions[name][1]:
            raise SystemExit(f"{file.name} is not the file that uv.lock names. Nothing was bundled.")


def collect_licences(folder: Path) -> dict[str, tuple[str, str]]:
    """Writes the licence texts of the distributions that z4j needs, of Python and of htmx. Returns {name: (version, licence)}."""
    folder.mkdir()
    found = {}
    for name in sorted(needed("z4j") | needed(CLIENT)):
        distribution = metadata.distribution(name)
        texts = [file for file in distribution.files or () if re.match(r"(licen[cs]e|copying|notice|authors)", file.name, re.IGNORECASE)]
        texts = [file for file in texts if ".dist-info" in str(file.parent) or "license" in str(file.parent).lower()]
        for number, file in enumerate(texts):
            shutil.copyfile(distribution.locate_file(file), folder / f"{name}{f'-{number}' if number else ''}.txt")
        licence = distribution.metadata.get("License-Expression") or distribution.metadata.get("License") or _classified(distribution)
        found[name] = distribution.version, licence.splitlines()[0][:100] if licence else "see its text"
        if not texts and not name.startswith("z4j"):
            print(f"{name}: its wheel has no licence text; its metadata says {found[name][1]}", file=sys.stderr)
    shutil.copyfile(ROOT / "LICENSE", folder / "z4j.txt")
    shutil.copyfile(ROOT / "static/vendor/htmx.LICENSE", folder / "htmx.txt")
    python = Path(sysconfig.get_path("stdlib")) / "LICENSE.txt"
    if python.exists():
        shutil.copyfile(python, folder / "python.txt")
    return found


def needed(name: str) -> set[str]:
    """Returns the names of a distribution and of all that it needs here, with what its demo needs."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = canonicalize_name(waiting.pop())
        if current in seen:
            continue
        seen.add(current)
        for text in metadata.distribution(current).requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": DEMO if current == name else ""}):
                waiting.append(requirement.name)
    return seen


def _classified(distribution: metadata.Distribution) -> str:
    listed = distribution.metadata.get_all("Classifier") or []
    return ", ".join(text.rpartition(" :: ")[2] for text in listed if text.startswith("License"))


def bill_of_materials(inside: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """Returns CycloneDX 1.5: what uv exports from its lock file for z4j, with licences, and what is no Python package."""
    parts = ("--package", "z4j", "--package", CLIENT, "--extra", DEMO)
    export = [UV, "export", "--quiet", "--frozen", "--no-dev", *parts, "--format", "cyclonedx1.5"]
    bill: dict[str, Any] = json.loads(subprocess.run(export, cwd=ROOT, check=True, capture_output=True, text=True).stdout)  # noqa: S603
    bill["components"] = [part for part in bill["components"] if canonicalize_name(part["name"]) in inside]
    for part in bill["components"]:
        part["licenses"] = [{"license": {"name": inside[canonicalize_name(part["name"])][1]}}]
    htmx = json.loads((ROOT / "package-lock.json").read_text("utf-8"))["packages"]["node_modules/htmx.org"]
    others = (
        ("python", platform.python_version(), "PSF-2.0", f"pkg:generic/python@{platform.python_version()}"),
        ("sqlite", sqlite3.sqlite_version, "blessing", f"pkg:generic/sqlite@{sqlite3.sqlite_version}"),
        ("openssl", ssl.OPENSSL_VERSION.split()[1], "Apache-2.0", f"pkg:generic/openssl@{ssl.OPENSSL_VERSION.split()[1]}"),
        ("htmx.org", htmx["version"], htmx.get("license", "0BSD"), f"pkg:npm/htmx.org@{htmx['version']}"),
    )
    for name, version, licence, purl in others:
        reference = f"{name}@{version}"
        licences = [{"license": {"name": licence}}]
        bill["components"].append(
            {"type": "library", "bom-ref": reference, "name": name, "version": version, "purl": purl, "licenses": licences}
        )
    return bill


def platforms(floor: int) -> tuple[str, ...]:
    """The words for a wheel that runs with glibc 2.`floor` and newer."""
    machine = platform.machine()
    names = [f"manylinux_2_{floor}_{machine}"] + (["manylinux2014_" + machine] if floor == 17 else [])
    return tuple(word for name in names for word in ("--platform", name))


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else FOLDER
    collect(target)
    files = [file for file in target.rglob("*") if file.is_file()]
    print(f"{len(files)} files, {sum(file.stat().st_size for file in files) / 1e6:.1f} MB, in {target}")
