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


class States:
    """Tells `note(request, task id, state, meta)` what tasks store of themselves by `update_state`. No signal does."""

    def __init__(self, note: Callable[[Any, Any, Any, Any], None]) -> None:
        self._note = note
        self._original: Any = None
        self._wrapper: Any = None
        self._is_live = False

    def install(self) -> None:
        self._is_live = True
        if self._wrapper is not None:
            return
        original = self._original = Task.update_state

        @functools.wraps(original)
        def update_state(task: Any, task_id: Any = None, state: Any = None, meta: Any = None, **more: Any) -> Any:
            found = original(task, task_id, state, meta, **more)
            if self._is_live:
                self._note(task, task_id, state, meta)
            return found

        self._wrapper = Task.update_state = update_state

    def uninstall(self) -> None:
        """What another library put around it later stays, and goes through to the original."""
        self._is_live = False
        if Task.update_state is self._wrapper:
            Task.update_state = self._original
            self._wrapper = None
