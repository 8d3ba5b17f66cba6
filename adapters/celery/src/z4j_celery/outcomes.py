# SPDX-License-Identifier: Apache-2.0
"""What an end of Celery's means: the exception behind a wrapper, and what a task stored by hand before it raised Ignore."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from celery.app.task import Task
from celery.utils.serialization import UnpickleableExceptionWrapper

from z4j_agent.display import show_error
from z4j_agent.hooks import text_of


def error_of(exception: Any) -> tuple[str, str]:
    """(class name, masked message) of an exception, and of the one inside where Celery could not pickle it."""
    if isinstance(exception, UnpickleableExceptionWrapper):
        args = exception.exc_args or ()
        return str(exception.exc_cls_name), show_error(text_of(args[0] if len(args) == 1 else args)) if args else ""
    return type(exception).__name__, show_error(text_of(exception))


def error_of_meta(meta: Any) -> tuple[str, str]:
    """The same of what `update_state("FAILURE", meta)` stored: an exception, or Celery's own form of one."""
    if isinstance(meta, dict) and "exc_type" in meta:
        said = meta.get("exc_message")
        parts = said if isinstance(said, list | tuple) else [said]
        return str(meta["exc_type"]), show_error(", ".join(text_of(part) for part in parts if part is not None))
    return error_of(meta) if isinstance(meta, BaseException) else ("", show_error(text_of(meta)) if meta else "")


class _Wrapped:
    """One method of a class of Celery's with our wrapper over it, for all apps of the process.

    A wrapper for each app would leave one behind wherever apps are not unwatched in the reverse order.
    """

    def __init__(self, owner: type, name: str) -> None:
        self._owner, self._name = owner, name
        self._arounds: tuple[Callable[..., Any], ...] = ()
        self._original = original = getattr(owner, name)
        self._call: Callable[..., Any] = original

        @functools.wraps(original)
        def wrapper(this: Any, *args: Any, **kwargs: Any) -> Any:
            return self._call(this, *args, **kwargs)

        self._wrapper = wrapper
        setattr(owner, name, wrapper)

    def add(self, around: Callable[..., Any]) -> None:
        self._set((*self._arounds, around))

    def remove(self, around: Callable[..., Any]) -> bool:
        """Whether this was the last one and Celery has its own method back. Where another library has put its own method over ours, ours
        stays underneath and passes calls on."""
        self._set(tuple(each for each in self._arounds if each != around))
        if self._arounds or getattr(self._owner, self._name) is not self._wrapper:
            return False
        setattr(self._owner, self._name, self._original)
        return True

    def _set(self, arounds: tuple[Callable[..., Any], ...]) -> None:
        self._arounds, call = arounds, self._original
        for around in arounds:
            call = functools.partial(around, call)
        self._call = call


_wrapped: dict[tuple[type, str], _Wrapped] = {}


class Patch:
    """One method of a class of Celery's, called through `around(original, self, *args)` while it is installed."""

    def __init__(self, owner: type, name: str, around: Callable[..., Any]) -> None:
        self._place, self._around = (owner, name), around
        self._is_installed = False

    def install(self) -> None:
        if not self._is_installed:
            self._is_installed = True
            if self._place not in _wrapped:
                _wrapped[self._place] = _Wrapped(*self._place)
            _wrapped[self._place].add(self._around)

    def uninstall(self) -> None:
        if self._is_installed:
            self._is_installed = False
            if _wrapped[self._place].remove(self._around):
                del _wrapped[self._place]


class States(Patch):
    """Calls `note(task, task id, state, meta)` with what tasks store of themselves by `update_state`. No signal does."""

    def __init__(self, note: Callable[[Any, Any, Any, Any], None]) -> None:
        super().__init__(Task, "update_state", self._update)
        self._note = note

    def _update(
        self, original: Callable[..., Any], task: Any, task_id: Any = None, state: Any = None, meta: Any = None, **more: Any
    ) -> Any:
        found = original(task, task_id, state, meta, **more)
        self._note(task, task_id, state, meta)
        return found
