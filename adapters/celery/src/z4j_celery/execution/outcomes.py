# SPDX-License-Identifier: Apache-2.0
"""Reads outcomes of Celery: the exception in a wrapper, and a state that a task stored itself."""

from __future__ import annotations

from typing import Any

from celery.utils.serialization import UnpickleableExceptionWrapper

from z4j_agent.capture.display import show_error
from z4j_agent.capture.hooks import text_of


def error_of(exception: Any) -> tuple[str, str]:
    """(class name, masked message) of an exception, or of the one inside Celery's wrapper of an exception that cannot be pickled."""
    if isinstance(exception, UnpickleableExceptionWrapper):
        args = exception.exc_args or ()
        return str(exception.exc_cls_name), show_error(text_of(args[0] if len(args) == 1 else args)) if args else ""
    return type(exception).__name__, show_error(text_of(exception))


def error_of_meta(meta: Any) -> tuple[str, str]:
    """The same for the meta that `update_state("FAILURE", meta)` stored: an exception, or Celery's own form of one."""
    if isinstance(meta, dict) and "exc_type" in meta:
        message = meta.get("exc_message")
        parts = message if isinstance(message, list | tuple) else [message]
        return str(meta["exc_type"]), show_error(", ".join(text_of(part) for part in parts if part is not None))
    return error_of(meta) if isinstance(meta, BaseException) else ("", show_error(text_of(meta)) if meta else "")
