# SPDX-License-Identifier: Apache-2.0
"""Methods of RQ's classes with a look before and after. RQ has no signals; its callbacks belong to the user, one job at a time.

A wrapped method has the original's arguments, result and exceptions. The looks are guarded: what goes wrong in them is counted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

Look = Callable[..., Any]
_MARK = "z4j_original"


class Patches:
    """What was wrapped, so that it can be undone."""

    def __init__(self) -> None:
        self._undo: list[tuple[type, str, Any]] = []

    def wrap(self, owner: type, name: str, before: Look | None = None, after: Look | None = None, always: Look | None = None) -> None:
        """Wraps `owner.name` if this very class defines it. `before(self, *args)`, `after(self, seen, result, *args)` of what returned,
        `always(self)` also of what raised. `seen` is what `before` returned.
        """
        original = vars(owner).get(name)
        if original is None or hasattr(original, _MARK):
            return

        @functools.wraps(original)
        def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
            seen = before(self, *args, **kwargs) if before is not None else None
            try:
                result = original(self, *args, **kwargs)
            finally:
                if always is not None:
                    always(self)
            if after is not None:
                after(self, seen, result, *args, **kwargs)
            return result

        setattr(wrapped, _MARK, original)
        self._undo.append((owner, name, original))
        setattr(owner, name, wrapped)

    def wrap_all(self, base: type, name: str, **looks: Look) -> None:
        """The same in `base` and in every class below it that has a method of its own by that name."""
        for owner in (base, *_below(base)):
            self.wrap(owner, name, **looks)

    def around(self, owner: type, name: str, call: Callable[..., Any]) -> None:
        """`call(original, self, *args)` instead of `owner.name`, in `owner` and in every class below it with a method of that name. What
        `call` raises goes to the host, so that it raises only what `original` does."""
        for of in (owner, *_below(owner)):
            original = vars(of).get(name)
            if original is not None and not hasattr(original, _MARK):
                self._surround(of, name, original, call)

    def _surround(self, owner: type, name: str, original: Any, call: Callable[..., Any]) -> None:
        @functools.wraps(original)
        def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
            return call(original, self, *args, **kwargs)

        setattr(wrapped, _MARK, original)
        self._undo.append((owner, name, original))
        setattr(owner, name, wrapped)

    def watch_errors(self, owner: type, name: str, error: type[BaseException], look: Look) -> None:
        """Calls `look(*args)` when the class method `owner.name` raises `error`, which it goes on doing."""
        held = vars(owner)[name]
        original = held.__func__

        @functools.wraps(original)
        def wrapped(cls: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return original(cls, *args, **kwargs)
            except error:
                look(*args, **kwargs)
                raise

        self._undo.append((owner, name, held))
        setattr(owner, name, classmethod(wrapped))

    def restore(self) -> None:
        """The classes as they were. The last wrapped is restored first."""
        while self._undo:
            owner, name, original = self._undo.pop()
            setattr(owner, name, original)


def _below(base: type) -> list[type]:
    found: list[type] = []
    children: list[type] = base.__subclasses__()
    for child in children:
        found += [child, *_below(child)]
    return list(dict.fromkeys(found))
