# SPDX-License-Identifier: AGPL-3.0-or-later
"""House rules that a machine can check: licences, the lock file, file sizes, generated documents."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from z4j.settings import describe

ROOT = Path(__file__).resolve().parents[2]
CODE = (".py", ".sql", ".css", ".js", ".html", ".spec", ".toml")
LONGEST = 600


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / line for line in listed.splitlines() if (ROOT / line).is_file()]


def sources() -> list[Path]:
    return [path for path in tracked() if path.suffix in CODE or path.name == "Makefile"]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_names_its_licence(path: Path) -> None:
    is_example = path.is_relative_to(ROOT / "examples") and not path.is_relative_to(ROOT / "examples/demo")
    wanted = "Apache-2.0" if path.is_relative_to(ROOT / "adapters") or is_example else "AGPL-3.0-or-later"
    head = path.read_text("utf-8")[:400]
    assert f"SPDX-License-Identifier: {wanted}" in head


@pytest.mark.parametrize("path", [p for p in sources() if p.suffix in (".py", ".js", ".css")], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_too_long(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST


def test_nothing_of_ours_comes_from_an_index() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    ours = [package for package in lock["package"] if package["name"].startswith("z4j")]
    assert {package["name"] for package in ours} == {"z4j", *(f"z4j-{folder.name}" for folder in ROOT.glob("adapters/*/"))}
    assert all("registry" not in package["source"] for package in ours)
    assert all(package["version"].endswith("+z4j") for package in ours)


def test_siblings_are_pinned_with_the_local_label() -> None:
    for path in ROOT.glob("**/pyproject.toml"):
        if ".venvs" in path.parts:
            continue
        project = tomllib.loads(path.read_text())["project"]
        needs = [*project.get("dependencies", ()), *(need for group in project.get("optional-dependencies", {}).values() for need in group)]
        for need in needs:
            if need.startswith("z4j"):
                assert re.fullmatch(r"z4j-[a-z]+==\d+\.\d+\.\d+\+z4j", need), need


def test_the_settings_page_is_fresh() -> None:
    assert (ROOT / "docs/settings.md").read_text("utf-8") == describe(), "run `make docs`"


def test_no_foreign_word_stands_in_the_server() -> None:
    """An engine's own words are translated at the adapter's edge."""
    foreign = re.compile(r"\b(?:rq_job|job_id|dramatiq_message|actor_name|celery_task)\b")
    found = [str(path) for path in (ROOT / "z4j").rglob("*.py") if foreign.search(path.read_text("utf-8"))]
    assert found == []
