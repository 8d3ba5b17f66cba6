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


class Patch:
    """One method of a class of Celery's, called through `around(original, self, *args)` while it is installed.

    What another library put around it later stays, and goes through to the original.
    """

    def __init__(self, owner: type, name: str, around: Callable[..., Any]) -> None:
        self._owner, self._name, self._around = owner, name, around
        self._wrapper: Any = None
        self._original: Any = None
        self._is_live = False

    def install(self) -> None:
        self._is_live = True
        if self._wrapper is not None:
            return
        original = self._original = getattr(self._owner, self._name)

        @functools.wraps(original)
        def wrapper(this: Any, *args: Any, **kwargs: Any) -> Any:
            if not self._is_live:
                return original(this, *args, **kwargs)
            return self._around(original, this, *args, **kwargs)

        self._wrapper = wrapper
        setattr(self._owner, self._name, wrapper)

    def uninstall(self) -> None:
        self._is_live = False
        if getattr(self._owner, self._name) is self._wrapper:
            setattr(self._owner, self._name, self._original)
            self._wrapper = None


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
