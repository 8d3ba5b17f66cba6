# SPDX-License-Identifier: AGPL-3.0-or-later
"""The wheels as a site without internet installs them: one folder, no index; and what a worker's host alone receives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.stack import ROOT

UV = ROOT / ".venvs/uv/bin/uv"
PIP = (ROOT / ".venvs/uv/bin/python", "-m", "pip", "--disable-pip-version-check", "--quiet")
VERSION = "0.1.0+z4j"
LICENCES = """
import importlib.metadata as m, json
found = {}
for d in m.distributions():
    licence = d.metadata.get("License-Expression") or d.metadata.get("License") or ""
    found[d.name] = [licence, [str(d.locate_file(f)) for f in d.files or ()]]
print(json.dumps(found))
"""


def run(*words: str | Path, cwd: Path = ROOT) -> str:
    """Without the settings of the machine's own package installers where an index would be named."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run([str(word) for word in words], cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=170)
    assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our wheels and those of everything they need."""
    folder = tmp_path_factory.mktemp("dist")
    for name in (".", "adapters/agent", "adapters/celery", "adapters/client", "adapters/django"):
        run(UV, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT / name)
    # The version's local label is in no public index: what is called z4j can only come from the folder.
    wanted = (f"z4j[django,celery]=={VERSION}", f"z4j-client=={VERSION}")
    run(*PIP, "download", "--only-binary", ":all:", "--dest", folder, "--find-links", folder, *wanted)
    return folder


def environment(folder: Path, dist: Path, wanted: Sequence[str]) -> Path:
    """The interpreter of a new environment that holds `wanted`, installed from the folder alone."""
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin/python"
    run(*PIP, "--python", python, "install", "--no-compile", "--no-index", "--find-links", dist, *wanted)
    return python


def test_the_umbrella_installs_from_a_folder(dist: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "site", dist, ["z4j[django,celery]"])
    assert VERSION.partition("+")[0] in run(python, "-m", "z4j", "version", cwd=tmp_path)
    run(python, "-c", "import z4j_agent, z4j_celery, z4j_django", cwd=tmp_path)
    bundled = Path(run(python, "-c", "from z4j import resources; print(resources.templates())", cwd=tmp_path).split()[0])
    assert bundled.is_relative_to(tmp_path)
    assert (bundled / "tasks/list.html").exists()
    demo = subprocess.run([python, "-m", "z4j", "demo"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (demo.returncode, "pip install 'z4j[demo]'" in demo.stderr) == (6, True), "its applications are there, their engines are not"
    assert "z4j_demo" not in demo.stderr
    assert not (tmp_path / ".z4j-demo").exists()


@pytest.mark.parametrize(("wanted", "ours_are"), [("z4j-celery", {"z4j-agent", "z4j-celery"}), ("z4j-client", {"z4j-client"})])
def test_a_host_of_workers_or_scripts_receives_no_agpl(dist: Path, tmp_path: Path, wanted: str, ours_are: set[str]) -> None:
    python = environment(tmp_path / "worker", dist, [wanted])
    found = json.loads(run(python, "-c", LICENCES, cwd=tmp_path))
    run(python, "-c", f"import {wanted.replace('-', '_')}", cwd=tmp_path)
    assert {name for name in found if name.startswith("z4j")} == ours_are
    ours = {name: found[name] for name in found if name.startswith("z4j")}
    assert {licence for licence, _ in ours.values()} == {"Apache-2.0"}
    for name, (licence, files) in found.items():
        assert "AGPL" not in licence.upper(), name
        for path in map(Path, files):
            if name.startswith("z4j") and path.is_file():
                assert b"AGPL" not in path.read_bytes(), path
