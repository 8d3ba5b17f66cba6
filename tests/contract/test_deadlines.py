# SPDX-License-Identifier: AGPL-3.0-or-later
"""No example of Hypothesis has a deadline: its 200 ms are those of a clock, and other processes of the suite take turns with it."""

from __future__ import annotations

import ast

from tests.suite.folders import ROOT


def without(source: str) -> list[str]:
    """The names of the tests with `@given` whose settings leave the deadline as it is."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            decorators = [ast.unparse(each) for each in node.decorator_list]
            if any(each.startswith("given(") for each in decorators) and not any("deadline=None" in each for each in decorators):
                found.append(node.name)
    return found


def test_those_without_are_found() -> None:
    assert without("@given(x)\n@settings(max_examples=9)\ndef test_a(x): ...\n@settings(deadline=None)\n@given(x)\ndef test_b(x): ...") == [
        "test_a"
    ]


def test_no_example_has_a_deadline() -> None:
    files = [path for folder in ("tests", "adapters") for path in (ROOT / folder).rglob("test_*.py")]
    sources = [(path, text) for path in files if "given(" in (text := path.read_text("utf-8"))]
    assert len(sources) > 20
    assert [(str(path.relative_to(ROOT)), name) for path, text in sources for name in without(text)] == []
