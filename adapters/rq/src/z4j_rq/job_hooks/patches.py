# SPDX-License-Identifier: Apache-2.0
"""Wraps methods of RQ's classes. RQ has no signals; its callbacks belong to the user, and to one job each.

A wrapped method has the original's arguments, result and exceptions. The added calls are guarded: exceptions in them are counted as faults.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from z4j_agent.runtime import patching

Look = Callable[..., Any]


class Patches(patching.Patches):
    """The agent's `Patches` with further kinds of wrappers. A method that a class only inherits is not wrapped."""

    def look(self, owner: type, name: str, before: Look | None = None, after: Look | None = None, always: Look | None = None) -> None:
        """`before(self, *args)`, `after(self, seen, result, *args)` after a return, `always(self)` also after an exception. `seen` is what
        `before` returned."""
        if name not in vars(owner):
            return

        def call(original: Any, this: Any, /, *args: Any, **kwargs: Any) -> Any:
            seen = before(this, *args, **kwargs) if before is not None else None
            try:
                result = original(this, *args, **kwargs)
            finally:
                if always is not None:
                    always(this)
            if after is not None:
                after(this, seen, result, *args, **kwargs)
            return result

        self.around(owner, name, call)

    def look_all(self, base: type, name: str, **looks: Look) -> None:
        """The same in `base` and in every class below it."""
        for owner in with_below(base):
            self.look(owner, name, **looks)

    def around_all(self, base: type, name: str, call: Look) -> None:
        """`call(original, self, *args)` instead of the method in `base` and in every class below it. Exceptions of `call` reach the
        application, so it must raise only those of the original."""
        for owner in with_below(base):
            if name in vars(owner):
                self.around(owner, name, call)

    def watch_errors(self, owner: type, name: str, error: type[BaseException], look: Look) -> None:
        """Calls `look(*args)` when the class method `owner.name` raises `error`, which is raised again."""

        def call(original: Any, cls: type, /, *args: Any, **kwargs: Any) -> Any:
            try:
                return original(cls, *args, **kwargs)
            except error:
                look(*args, **kwargs)
                raise

        self.around(owner, name, call)


def with_below(base: type) -> list[type]:
    """A class and all its subclasses, each once."""
    children: list[type] = base.__subclasses__()
    return list(dict.fromkeys([base, *(kind for child in children for kind in with_below(child))]))
