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
        self._placed: list[tuple[type, str, Any, Any]] = []
        """Class, name, what was put there, what was there before."""
        self._life = _Life()

    def wrap(self, owner: type, name: str, before: Look | None = None, after: Look | None = None, always: Look | None = None) -> None:
        """Wraps `owner.name` if this very class defines it. `before(self, *args)`, `after(self, seen, result, *args)` of what returned,
        `always(self)` also of what raised. `seen` is what `before` returned.
        """
        original = vars(owner).get(name)
        if original is None or _is_ours(original):
            return

        life = self._life

        @functools.wraps(original)
        def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
            if not life.is_live:  # another library has wrapped this after us, so it could not be taken away
                return original(self, *args, **kwargs)
            seen = before(self, *args, **kwargs) if before is not None else None
            try:
                result = original(self, *args, **kwargs)
            finally:
                if always is not None:
                    always(self)
            if after is not None:
                after(self, seen, result, *args, **kwargs)
            return result

        self._place(owner, name, wrapped, original)

    def wrap_all(self, base: type, name: str, **looks: Look) -> None:
        """The same in `base` and in every class below it that has a method of its own by that name."""
        for owner in (base, *_below(base)):
            self.wrap(owner, name, **looks)

    def around(self, owner: type, name: str, call: Callable[..., Any]) -> None:
        """`call(original, self, *args)` instead of `owner.name`, in `owner` and in every class below it with a method of that name. What
        `call` raises goes to the host, so that it raises only what `original` does."""
        for of in (owner, *_below(owner)):
            original = vars(of).get(name)
            if original is not None and not _is_ours(original):
                self._surround(of, name, original, call)

    def _surround(self, owner: type, name: str, original: Any, call: Callable[..., Any]) -> None:
        life = self._life

        @functools.wraps(original)
        def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
            return call(original, self, *args, **kwargs) if life.is_live else original(self, *args, **kwargs)

        self._place(owner, name, wrapped, original)

    def watch_errors(self, owner: type, name: str, error: type[BaseException], look: Look) -> None:
        """Calls `look(*args)` when the class method `owner.name` raises `error`, which it goes on doing."""
        held = vars(owner)[name]
        original, life = held.__func__, self._life

        @functools.wraps(original)
        def wrapped(cls: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return original(cls, *args, **kwargs)
            except error:
                if life.is_live:
                    look(*args, **kwargs)
                raise

        self._place(owner, name, classmethod(wrapped), held)

    def _place(self, owner: type, name: str, wrapped: Any, original: Any) -> None:
        wrapped.__dict__[_MARK] = wrapped
        self._placed.append((owner, name, wrapped, original))
        setattr(owner, name, wrapped)

    def restore(self) -> None:
        """The classes as they were, the last wrapped first. What another library has put over ours stays; ours then only passes on."""
        self._life.is_live = False
        self._life = _Life()
        while self._placed:
            owner, name, wrapped, original = self._placed.pop()
            if vars(owner).get(name) is wrapped:
                setattr(owner, name, original)


class _Life:
    """Shared by all wrappers of one installation."""

    def __init__(self) -> None:
        self.is_live = True


def _is_ours(method: Any) -> bool:
    """Not of a library's wrapper around ours: `functools.wraps` copies attributes."""
    return getattr(method, "__dict__", {}).get(_MARK) is method


def _below(base: type) -> list[type]:
    found: list[type] = []
    children: list[type] = base.__subclasses__()
    for child in children:
        found += [child, *_below(child)]
    return list(dict.fromkeys(found))
