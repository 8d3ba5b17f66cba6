# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the engines' own tests run in: source distributions, a Python for each engine, and services. All under .venvs/upstream."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.upstream.upstream_suites import Suite
from z4j_agent.conformance.brokers.rabbitmq import start_rabbitmq
from z4j_agent.conformance.harness import Harness, free_port, is_open, valkey_command, wait_for

ROOT = Path(__file__).resolve().parents[3]
CACHE = ROOT / ".venvs/upstream"
SUPPORT = Path(__file__).resolve().parent
UV = ROOT / ".venvs/uv/bin"


def locked_version(package: str) -> str:
    """As uv.lock has it. Raises LookupError where it has none."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    for found in packages:
        if found["name"] == package and "registry" in found["source"]:
            return str(found["version"])
    raise LookupError(f"uv.lock has no {package}")


def sources(suite: Suite) -> Path:
    """The folder of the engine's source distribution, fetched once."""
    version = locked_version(suite.engine)
    folder = CACHE / f"{suite.engine}-{version}"
    if not folder.exists():
        _fetch(suite, version, folder)
    if suite.beside:
        shutil.copytree(SUPPORT / suite.beside, folder / suite.tests, dirs_exist_ok=True)
    return folder


def _fetch(suite: Suite, version: str, folder: Path) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as place:
        wanted = f"{suite.engine}=={version}"
        subprocess.run([UV / "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", place, wanted], check=True)
        (archive,) = Path(place).glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(place, filter="data")
        (unpacked,) = [path for path in Path(place).iterdir() if path.is_dir()]
        unpacked.rename(folder)


def environment_of(suite: Suite) -> Path:
    """A Python that has the engine's environment and, before it, what its tests need; in versions the engine's environment allows."""
    folder = CACHE / f"{suite.engine}-env"
    python = folder / "bin/python"
    engine = ROOT / f".venvs/{suite.engine}/bin/python"
    stamp, wanted = folder / "needs", "\n".join(suite.needs)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([UV / "uv", "venv", "-q", "--python", engine, folder], check=True)
    frozen = subprocess.run([UV / "uv", "pip", "freeze", "-q", "--python", engine], check=True, capture_output=True, text=True).stdout
    (folder / "constraints").write_text(
        "\n".join(line for line in frozen.splitlines() if "==" in line and not line.startswith(("-e", "pytest")))
    )
    install: list[str | Path] = [UV / "uv", "pip", "install", "-q", "--python", python, "-c", folder / "constraints", *suite.needs]
    subprocess.run(install, check=True)
    site = "import site; print(site.getsitepackages()[0])"
    own, theirs = (subprocess.run([of, "-c", site], check=True, capture_output=True, text=True).stdout.strip() for of in (python, engine))
    # addsitedir: our own packages are installed by .pth files there
    (Path(own) / "engine.pth").write_text(f"import site; site.addsitedir({theirs!r})\n")
    stamp.write_text(wanted)
    return python


def as_user(suite: Suite) -> tuple[str, ...]:
    """What to put before the command so that root runs it as another user, who still reads root's files."""
    return ("unshare", "--user", "--map-user=1000", "--map-group=1000") if suite.is_unprivileged and os.geteuid() == 0 else ()


@contextmanager
def redis() -> Iterator[int]:
    """A server of our own; yields its port."""
    port = free_port()
    server = subprocess.Popen(valkey_command(port, CACHE))
    try:
        wait_for(lambda: is_open(port), "Redis answers")
        yield port
    finally:
        server.terminate()
        server.wait(20)


@contextmanager
def rabbitmq(suite: Suite, part: str) -> Iterator[int | None]:
    """A node of our own where the tests need one; yields its port."""
    if not suite.has_rabbitmq or part == "processes":
        yield None
        return
    with tempfile.TemporaryDirectory() as place:
        node = Harness(Path(place), "")
        try:
            yield start_rabbitmq(node)
        finally:
            node.tear_down()


def variables(suite: Suite, url: str | None, place: Path, redis_port: int, rabbitmq_port: int | None) -> dict[str, str]:
    """The environment of pytest and of all it starts. `place` takes the outcomes and the spool."""
    left_out = ("Z4J_", "PYTEST_", "PYTHONDONTWRITEBYTECODE")  # the last makes the first use of a module several times slower
    found = {name: value for name, value in os.environ.items() if not name.startswith(left_out)} | suite.variables
    commands = [str(environment_of(suite).parent), str(ROOT / f".venvs/{suite.engine}/bin")]
    found |= {
        "PATH": os.pathsep.join([*commands, found["PATH"]]),
        "PYTHONPATH": str(SUPPORT),
        "UPSTREAM_OUTCOMES": str(place / "outcomes"),
        "UPSTREAM_REDIS": str(redis_port),
        "UPSTREAM_RABBITMQ": str(rabbitmq_port or ""),
        "UPSTREAM_PROCESSES": "1" if suite.has_processes else "",
    }
    if url is not None:
        found |= {"UPSTREAM_ENGINE": suite.engine, "Z4J_URL": url, "Z4J_SPOOL": f"{place}/spool", "Z4J_ALLOW": "all"}
    return found
