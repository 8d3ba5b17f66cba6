# SPDX-License-Identifier: AGPL-3.0-or-later
"""The tool that proves the tests: that it makes the changes it names, that importing modules see them, and that its list is up to date."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests import mutation
from tests.mutation import ROOT, listed, sources
from tests.support.mutations import apply, find_mutants

SOURCE = '''
"""Documentation."""
from __future__ import annotations

KIND: Literal["a", "b"] = "b"


@dataclass(frozen=True)
class Limits(Struct):
    name: Annotated[str, Meta(max_length=5)]


def find(text: str, *, is_open: bool = True) -> str:
    """Documentation."""
    if not text:
        return "none here"
    note(text)
    total = 0
    total += 1
    return text[1:] if 0 < total <= 2 and is_open else min(text, KIND)
'''
CHANGES = [
    ("'b'", "'bX'"), ("5", "6"), ("True", "False"), ("if not text: return 'none here'", "pass"), ("not text", "text"),
    ("'none here'", "''"), ("note(text)", "pass"), ("0", "1"), ("total += 1", "pass"), ("total += 1", "total -= 1"), ("1", "2"),
    ("0 < total <= 2", "0 <= total <= 2"), ("0 < total <= 2", "0 < total < 2"), ("0 < total <= 2", "0 < total"),
    ("0 < total <= 2", "total <= 2"), ("0 < total <= 2 and is_open", "0 < total <= 2 or is_open"),
    ("0 < total <= 2 and is_open", "is_open"), ("0 < total <= 2 and is_open", "0 < total <= 2"), ("1:", ":"), ("1", "2"), ("0", "1"),
    ("2", "3"), ("min(text, KIND)", "max(text, KIND)"),
    ("text[1:] if 0 < total <= 2 and is_open else min(text, KIND)", "min(text, KIND) if 0 < total <= 2 and is_open else text[1:]"),
]  # fmt: skip


def test_every_kind_of_change_is_made_and_what_has_no_effect_is_left_alone() -> None:
    found = [tuple(mutant.what.split("  ->  ")) for mutant in find_mutants(SOURCE)]
    assert sorted(found) == sorted(CHANGES)


def test_each_mutant_differs_from_the_original_in_its_one_change() -> None:
    original = ast.unparse(ast.parse(SOURCE)).splitlines()
    for mutant in find_mutants(SOURCE):
        changed = ast.unparse(apply(SOURCE, mutant)).splitlines()
        compile(apply(SOURCE, mutant), "changed", "exec")
        assert changed != original, mutant
        assert len(set(original) - set(changed)) <= 2, mutant


IMPORTING = """
import os, sys
sys.path.insert(0, {root!r})
from tests.mutation import sources, start
from tests.support.mutations import find_mutants

tests = [("tests/unit/rules/test_plans.py", "")]
change = "'prioritise_task'  ->  'prioritise_taskX'"
[mutant] = [of for of in find_mutants(sources()["commands"].read_text("utf-8")) if of.what == change]
print([os.waitpid(start("commands", of, tests, {{}}, 60), 0)[1] == 0 for of in (None, mutant)])
"""


def test_a_change_is_seen_by_the_modules_that_import_the_changed_one() -> None:
    """The tests of plans never import the rules of commands themselves."""
    ended = subprocess.run([sys.executable, "-c", IMPORTING.format(root=str(ROOT))], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.stdout.strip() == "[True, False]", ended.stderr


@pytest.mark.parametrize("module", sources())
def test_every_module_of_the_rules_has_its_tests(module: str) -> None:
    assert Path(mutation.tests_of(module)[0][0]).name == f"test_{module}.py"


@pytest.mark.parametrize("module", sources())
def test_every_change_that_is_listed_as_equal_can_still_be_made(module: str) -> None:
    made = {(mutant.line, mutant.what) for mutant in find_mutants((sources()[module]).read_text("utf-8"))}
    assert listed().get(module, set()) <= made


def test_only_modules_of_the_rules_are_listed() -> None:
    assert set(listed()) <= set(sources())
