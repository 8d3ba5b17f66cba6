# SPDX-License-Identifier: AGPL-3.0-or-later
"""Loads the SQL of a module of the store: `sqlite/<folder>/<stem>.sql`, in blocks named by a line ``-- name --``.

A block named ``part_…`` is no statement: it is put in wherever another block has its name in braces, so that statements share conditions.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files

_BLOCK = re.compile(r"^-- (\w+) --\n", re.MULTILINE)
_PART = re.compile(r"\{(part_\w+)\}")
_ROW = re.compile(r"VALUES (\((?:\?, ?)+\?\))")
_COMMENT = re.compile(r"^-- .*\n", re.MULTILINE)


def load(name: str) -> dict[str, str]:
    """Returns the statements of `<name>.sql` by their names; `name` is `<folder>/<stem>`. Raises ValueError if a block name is used twice,
    KeyError for a part that does not exist. A part may contain parts that are defined before it."""
    parts = _BLOCK.split(files("z4j.store.sqlite").joinpath(f"{name}.sql").read_text("utf-8"))
    blocks, texts = parts[1::2], parts[2::2]
    if len(set(blocks)) != len(blocks):
        raise ValueError(f"{name}.sql uses a block name twice: {blocks}")
    shared: dict[str, str] = {}
    statements: dict[str, str] = {}
    for block, text in zip(blocks, texts, strict=True):
        whole = _PART.sub(lambda match: shared[match[1]], text.strip())
        if block.startswith("part_"):
            shared[block] = _COMMENT.sub("", whole)
        else:
            statements[block] = whole
    return statements


@lru_cache(64)
def for_rows(statement: str, rows: int) -> str:
    """Returns a statement for one row of marks, `VALUES (?, …)`, as one for so many. Raises ValueError for any other statement."""
    if len(found := _ROW.findall(statement)) != 1:
        raise ValueError("only a statement with one row of marks can be repeated")
    return statement.replace(found[0], ", ".join([found[0]] * rows))
