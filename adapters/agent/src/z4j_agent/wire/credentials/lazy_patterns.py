# SPDX-License-Identifier: Apache-2.0
"""Patterns that are compiled at their first use: compiling all of them takes 80 ms, too long for the import of an application."""

from __future__ import annotations

import re
from typing import Any, cast

_made: list[_Lazy] = []
_METHODS = ("search", "match", "fullmatch", "finditer", "findall", "sub", "split")


class _Lazy:
    def __init__(self, pattern: str, flags: int) -> None:
        self._source = pattern, flags
        _made.append(self)

    def __getattr__(self, name: str) -> Any:
        """Called once: afterwards the instance has the compiled pattern's methods as attributes."""
        compiled = re.compile(*self._source)
        for method in _METHODS:
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)


def compile_all() -> None:
    """Compiles the patterns that were not used yet, in a process that forks often: otherwise each child compiles those that it uses."""
    for each in _made:
        if _METHODS[0] not in vars(each):
            each.search("")


def lazy(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Like `re.compile`, but compiled at the first use."""
    return cast("re.Pattern[str]", _Lazy(pattern, int(flags)))
