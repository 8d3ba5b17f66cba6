# SPDX-License-Identifier: Apache-2.0
"""Calls a function as soon as the application has imported a module. z4j never imports it itself: that may be slow, or have side
effects."""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from z4j_agent.capture.guard import faults, let_through

Ready = Callable[[ModuleType], None]


def when_imported(name: str, ready: Ready) -> Callable[[], None]:
    """Calls `ready(module)` now if the module is loaded, otherwise at the end of its import. Returns a function that cancels this."""
    module = sys.modules.get(name)
    if module is not None:
        ready(module)
        return lambda: None
    finder = _Finder(name, ready)
    sys.meta_path.insert(0, finder)
    return finder.leave


class _Finder(importlib.abc.MetaPathFinder):
    """Finds no module itself: it calls the other finders, and wraps their loader, which then calls `ready` at the end."""

    def __init__(self, name: str, ready: Ready) -> None:
        self._name = name
        self._ready = ready

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(fullname, path, target) if find is not None and finder is not self else None
            if spec is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, self)
                return spec
        return None

    def done(self, module: ModuleType) -> None:
        self.leave()
        try:
            self._ready(module)
        except Exception as error:
            let_through(error)
            faults.report(f"watching {self._name}", error)

    def leave(self) -> None:
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]


class _Loader(importlib.abc.Loader):
    """Wraps the module's own loader, which is restored as soon as the module is loaded."""

    def __init__(self, own: Any, finder: _Finder) -> None:
        self._own = own
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._own.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._own
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        self._own.exec_module(module)
        self._finder.done(module)
