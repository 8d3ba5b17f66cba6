# SPDX-License-Identifier: AGPL-3.0-or-later
"""SQL lives in .sql files beside the module that uses it, in blocks named by a line ``-- name --``."""

from __future__ import annotations

import re
from importlib.resources import files

_BLOCK = re.compile(r"^-- (\w+) --\n", re.MULTILINE)


def load(stem: str) -> dict[str, str]:
    """The blocks of `z4j/store/<stem>.sql` by name. Raises ValueError when a name stands twice."""
    parts = _BLOCK.split(files("z4j.store").joinpath(f"{stem}.sql").read_text("utf-8"))
    names, texts = parts[1::2], parts[2::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{stem}.sql names a block twice: {names}")
    return {name: text.strip() for name, text in zip(names, texts, strict=True)}
