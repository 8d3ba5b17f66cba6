# SPDX-License-Identifier: AGPL-3.0-or-later
"""Statements for many rows."""

from __future__ import annotations

import pytest

from z4j.store.sqlite import sql


def test_a_row_of_marks_is_repeated() -> None:
    statement = "INSERT INTO t (a, b) VALUES (?, ?) ON CONFLICT DO NOTHING"
    assert sql.for_rows(statement, 3) == "INSERT INTO t (a, b) VALUES (?, ?), (?, ?), (?, ?) ON CONFLICT DO NOTHING"
    assert sql.for_rows(statement, 1) == statement


@pytest.mark.parametrize("statement", ["DELETE FROM t WHERE a = ?", "INSERT INTO t VALUES (?1, ?2)", "INSERT INTO t VALUES (1, ?)"])
def test_other_statements_are_refused(statement: str) -> None:
    with pytest.raises(ValueError, match="one row of marks"):
        sql.for_rows(statement, 2)
