# SPDX-License-Identifier: AGPL-3.0-or-later
"""Browser tests wait for the effect of an action before they read a page.

A click returns when the next page has begun to arrive, a key at once. What counts, measures or lists right after that reads the last page,
or half of the next one, on a machine that is busy.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.suite.folders import ROOT

ACTIONS = {"click", "dblclick", "press", "tap", "select_option", "go_back", "go_forward", "set_input_files"}
READS = {
    "all", "all_inner_texts", "all_text_contents", "bounding_box", "content", "count", "evaluate", "evaluate_all", "get_attribute",
    "inner_html", "inner_text", "input_value", "is_checked", "is_disabled", "is_enabled", "is_hidden", "is_visible", "text_content",
    "title", "place", "serious_findings", "url",
}  # fmt: skip
WAITS = {
    "expect", "wait_for", "wait_for_url", "wait_for_load_state", "wait_for_function", "goto", "reload", "expect_event", "open_until",
    "open_palette", "choose_zone", "looked_at", "wait_until_asked", "page", "visit",
}  # fmt: skip
FILES = sorted(
    path
    for folder in ("tests/browser", "tests/e2e")
    for path in (ROOT / folder).glob("test_*.py")
    if "import" in (text := path.read_text("utf-8")) and "playwright" in text
)


def steps(function: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, name) of each call, and of each `.url`, in the order in which they are evaluated."""
    found = list[tuple[tuple[int, int], str]]()
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
        elif isinstance(node, ast.Attribute) and node.attr == "url" and isinstance(node.value, ast.Name) and node.value.id == "page":
            name = "url"
        else:
            continue
        if name == "press" and isinstance(node, ast.Call) and [ast.unparse(word) for word in node.args] == ["'Tab'"]:
            continue  # the focus has moved when the call returns, and the page is the same
        found.append(((node.end_lineno or 0, node.end_col_offset or 0), name))
    for (line, _), name in sorted(found):
        yield line, name


def unawaited(source: str) -> list[int]:
    """The lines that read a page while the last action in their function was not waited for."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        acted = False
        for line, name in steps(function):
            if name in WAITS:
                acted = False
            elif name in ACTIONS:
                acted = True
            elif name in READS and acted:
                found.append(line)
    return sorted(set(found))


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_a_page_is_not_read_before_the_last_action_was_waited_for(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    assert [f"{path.relative_to(ROOT)}:{number}: {lines[number - 1].strip()}" for number in unawaited(path.read_text("utf-8"))] == []


def test_what_reads_too_early_is_found() -> None:
    assert unawaited("def test(page):\n  page.get_by_role('button').click()\n  assert page.locator('tr').count() == 1") == [3]
    assert unawaited("def test(page):\n  page.keyboard.press('Enter')\n  where = page.url") == [3]
    assert unawaited("def test(page):\n  page.click('a')\n  page.wait_for_url('**/b')\n  assert page.evaluate('1')") == []
    assert unawaited("def test(page):\n  page.click('a')\n  expect(page.locator('b')).to_have_text('c')\n  assert page.url") == []
    assert len(FILES) > 12
