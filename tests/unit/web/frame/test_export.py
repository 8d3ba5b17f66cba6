# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z4j.web.frame.export import FORMULA, cell, line, plain
from z4j.web.frame.icons import LOOKS, look
from z4j.web.frame.render import Choice


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "＋1", "－1", "＠SUM(A1)", " =1", "\u3000＝1", "\ufeff=1", "\x0b=1"],
)
def test_no_cell_is_a_formula(text: str) -> None:
    assert cell("name", text) == "'" + text


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
@settings(deadline=None)
def test_what_goes_into_csv_comes_out(text: str) -> None:
    rows = list(csv.reader(io.StringIO(line([cell("name", text)]), newline="")))
    found = rows[0][0] if rows and rows[0] else ""
    assert found.removeprefix("'") == text.removeprefix("'")
    assert not found.startswith(FORMULA)


@pytest.mark.parametrize("text", ["a;=1+1", "a\t=1", "a|=1", "a ＝1", "it's", 'say "x"', "a,b", "two\nlines"])
def test_no_part_of_a_cell_becomes_a_cell_of_its_own(text: str) -> None:
    """Where the comma is the decimal sign, a spreadsheet separates at semicolons or tabs, but not within quotes."""
    found = line([cell("name", text), "next"])
    assert found.startswith('"')
    assert next(csv.reader(io.StringIO(found, newline=""))) == [text, "next"]


def test_cells() -> None:
    assert cell("first_at", 1_795_410_901_204_512) == "2026-11-23T05:15:01.204512Z"
    assert cell("runtime_us", -5) == "-5"
    assert cell("x", None) == ""
    assert cell("x", True) == "true"
    assert cell("flags", frozenset({"b", "a"})) == "a b"


def test_plain_goes_deep() -> None:
    assert plain(Choice("a", "/x"))["count"] is None


def test_every_state_has_a_look_and_others_keep_their_word() -> None:
    from z4j.rules.tasks.states import STATES

    assert set(STATES) <= set(LOOKS)
    assert look("hibernating").word == "hibernating"
    assert look("hibernating").icon == "unknown"
