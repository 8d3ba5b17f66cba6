# SPDX-License-Identifier: AGPL-3.0-or-later
"""No module imports itself by way of others: in the server, the agent, and every adapter. Imports inside functions count, and so do those
that only a type checker sees."""

from __future__ import annotations

import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ["z4j", *sorted(path.name for path in ROOT.glob("adapters/*/src/z4j_*"))]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapters are read, not imported: their engines are not installed here."""
    for path in (ROOT, *ROOT.glob("adapters/*/src")):
        monkeypatch.syspath_prepend(path)


def circle_in(packages: list[str]) -> list[str]:
    """The modules of one circle, each of which is imported by the one before it; [] where there is none."""
    graph = grimp.build_graph(*packages, exclude_type_checking_imports=False, cache_dir=None)
    if "z4j" in packages:
        graph.remove_import(importer="z4j", imported="z4j.cli")  # the start script z4j.py beside the package, taken for the package itself
    sorter = TopologicalSorter({module: graph.find_modules_directly_imported_by(module) for module in graph.modules})
    try:
        sorter.prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_nothing_imports_itself() -> None:
    assert len(PACKAGES) > 10
    assert circle_in(PACKAGES) == []


def test_an_import_inside_a_function_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "round_and_round"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("from round_and_round import two\n")
    (package / "two.py").write_text("def late():\n    from round_and_round.one import two\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert sorted(set(circle_in(["round_and_round"]))) == ["round_and_round.one", "round_and_round.two"]
    assert "round_and_round" not in sys.modules
