# SPDX-License-Identifier: Apache-2.0
"""Methods of one Huey object, replaced on the object itself and given back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


class Patches:
    """What was replaced on one object, and on classes for its sake."""

    def __init__(self, huey: Any) -> None:
        self._huey = huey
        self._is_on = True
        self._undo: list[tuple[Any, str, Any, Any]] = []

    def replace(self, name: str, around: Callable[..., Any]) -> None:
        """From now on `huey.<name>(…)` calls `around(original, …)`. Does nothing where this version of Huey has no such method.

        The original is looked up at each call unless the object has one of its own: another library may patch the class later.
        """
        huey, own = self._huey, vars(self._huey).get(name)
        if own is None and not hasattr(type(huey), name):
            return

        @functools.wraps(own or getattr(type(huey), name))
        def replaced(*args: Any, **kwargs: Any) -> Any:
            original = own if own is not None else getattr(type(huey), name).__get__(huey)
            return around(original, *args, **kwargs) if self._is_on else original(*args, **kwargs)

        self._undo.append((huey, name, own, replaced))
        setattr(huey, name, replaced)

    def wrap_class(self, owner: type, name: str, around: Callable[..., Any]) -> None:
        """From now on `owner.<name>(self, …)` calls `around(original, self, …)`, for every object of the class."""
        original = vars(owner)[name]

        @functools.wraps(original)
        def replaced(*args: Any, **kwargs: Any) -> Any:
            return around(original, *args, **kwargs) if self._is_on else original(*args, **kwargs)

        self._undo.append((owner, name, original, replaced))
        setattr(owner, name, replaced)

    def restore(self) -> None:
        """As it was. What another has wrapped in the meantime stays in between and does nothing any more."""
        self._is_on = False
        while self._undo:
            owner, name, original, replaced = self._undo.pop()
            if vars(owner).get(name) is not replaced:
                continue
            if original is None:
                delattr(owner, name)
            else:
                setattr(owner, name, original)
