# SPDX-License-Identifier: AGPL-3.0-or-later
"""Loads the SQL of a module of the store: `sqlite/<folder>/<stem>.sql`, in blocks named by a line ``-- name --``."""

from __future__ import annotations

import re
from importlib.resources import files

_BLOCK = re.compile(r"^-- (\w+) --\n", re.MULTILINE)


def load(name: str) -> dict[str, str]:
    """Returns the blocks of `<name>.sql` by their names; `name` is `<folder>/<stem>`. Raises ValueError if a block name is used twice."""
    parts = _BLOCK.split(files("z4j.store.sqlite").joinpath(f"{name}.sql").read_text("utf-8"))
    blocks, texts = parts[1::2], parts[2::2]
    if len(set(blocks)) != len(blocks):
        raise ValueError(f"{name}.sql uses a block name twice: {blocks}")
    return {block: text.strip() for block, text in zip(blocks, texts, strict=True)}
