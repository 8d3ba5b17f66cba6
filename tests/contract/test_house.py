# SPDX-License-Identifier: AGPL-3.0-or-later
"""House rules that a machine can check: licences, the lock file, file sizes, generated documents."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections import Counter
from pathlib import Path
from typing import Final

from z4j.settings import describe

ROOT = Path(__file__).resolve().parents[2]
CODE = (".py", ".sql", ".css", ".js", ".html", ".spec", ".toml")
LONGEST = 600
LONGEST_PYTHON: Final = 450
MOST_MODULES: Final = 15
TESTED: Final = ("z4j/rules", "z4j/wire", "z4j/operations", "z4j/agents", "z4j/background", "z4j/web/pages")
"""Each module of these has its test file at the same path under tests/unit."""
UNTESTED: Final[dict[str, str]] = {}
"""Module → why it has none yet. Take a module off this list when it has one; add none without a reason."""
LONG_FILES: Final[dict[str, int]] = {}
"""Longer than LONGEST_PYTHON, with their lines: they may only become shorter. Take a file off when it is short enough."""
LARGE_FOLDERS: Final[dict[str, int]] = {}
"""More modules than MOST_MODULES: they may only become fewer."""


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / line for line in listed.splitlines() if (ROOT / line).is_file()]


def sources() -> list[Path]:
    return [path for path in tracked() if path.suffix in CODE or path.name == "Makefile"]


def test_every_file_names_its_licence() -> None:
    """One test for all files: a test for each takes longer to name than to run."""
    without = [path.relative_to(ROOT).as_posix() for path in sources() if licence_of(path) not in path.read_text("utf-8")[:400]]
    assert without == []


def licence_of(path: Path) -> str:
    is_example = path.is_relative_to(ROOT / "examples") and not path.is_relative_to(ROOT / "examples/demo")
    is_permissive = path.is_relative_to(ROOT / "adapters") or is_example
    return f"SPDX-License-Identifier: {'Apache-2.0' if is_permissive else 'AGPL-3.0-or-later'}"


def test_no_file_is_too_long() -> None:
    lines = {path: len(path.read_text("utf-8").splitlines()) for path in sources() if path.suffix in (".py", ".js", ".css")}
    assert len(lines) > 1_000, "the files are found"
    assert {path.relative_to(ROOT).as_posix(): count for path, count in lines.items() if count > LONGEST} == {}


def python_files() -> dict[str, int]:
    """Path from the root → lines."""
    return {
        path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines()) for path in tracked() if path.suffix == ".py"
    }  # fmt: skip


def test_no_python_file_is_too_long() -> None:
    lines = python_files()
    too_long = {path: count for path, count in lines.items() if count > LONG_FILES.get(path, LONGEST_PYTHON)}
    assert too_long == {}
    settled = [path for path in LONG_FILES if lines.get(path, 0) <= LONGEST_PYTHON]
    assert settled == [], "take these off LONG_FILES"


def test_no_folder_has_too_many_modules() -> None:
    modules = Counter(
        folder
        for path in python_files()
        if not path.endswith("/__init__.py")
        for folder in (path.rpartition("/")[0],)
        if folder == "z4j" or folder.startswith("z4j/") or re.match(r"adapters/[^/]+/(src|tests)(/|$)", folder)
    )
    assert modules["z4j/rules"], "the folders are found"
    assert modules["adapters/celery/tests/capture"], "the folders are found"
    too_many = {folder: count for folder, count in modules.items() if count > LARGE_FOLDERS.get(folder, MOST_MODULES)}
    assert too_many == {}
    settled = [folder for folder in LARGE_FOLDERS if modules[folder] <= MOST_MODULES]
    assert settled == [], "take these off LARGE_FOLDERS"


def test_every_module_has_its_test_file() -> None:
    """A module's tests are found by its path, and not among those of another."""
    files = python_files()
    modules = [path for path in files if path.startswith(tuple(f"{folder}/" for folder in TESTED)) and not path.endswith("/__init__.py")]
    assert {folder for folder in TESTED if not any(path.startswith(f"{folder}/") for path in modules)} == set(), "the folders are found"
    without = {path for path in modules if file_that_tests(path) not in files}
    assert without - UNTESTED.keys() == set()
    assert UNTESTED.keys() - without == set(), "take these off UNTESTED"


def file_that_tests(path: str) -> str:
    """z4j/agents/tokens.py → tests/unit/agents/test_tokens.py"""
    folder, _, name = path.removeprefix("z4j/").rpartition("/")
    return f"tests/unit/{folder}/test_{name}"


def test_nothing_of_ours_comes_from_an_index() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    ours = [package for package in lock["package"] if package["name"].startswith("z4j")]
    assert {package["name"] for package in ours} == {"z4j", *(f"z4j-{path.parent.name}" for path in ROOT.glob("adapters/*/pyproject.toml"))}
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
