# SPDX-License-Identifier: Apache-2.0
"""Patterns that are compiled when they are first used: compiling all of them costs 80 ms, which no host should pay at its import."""

from __future__ import annotations

import re
from typing import Any, cast

_METHODS = ("search", "match", "fullmatch", "finditer", "findall", "sub", "split")


class _Lazy:
    def __init__(self, pattern: str, flags: int) -> None:
        self._source = pattern, flags

    def __getattr__(self, name: str) -> Any:
        """Reached once: afterwards the methods are the instance's own."""
        compiled = re.compile(*self._source)
        for method in _METHODS:
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)


def lazy(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """What `re.compile` gives, compiled at the first use."""
    return cast("re.Pattern[str]", _Lazy(pattern, int(flags)))
