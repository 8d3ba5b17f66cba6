# SPDX-License-Identifier: Apache-2.0
"""The line of the application that enqueues a task, for the `code` of an `enqueued` record: engines, and libraries that wrap their calls,
are skipped."""

from __future__ import annotations

import functools
import sys
import sysconfig
from collections.abc import Collection
from typing import Any

WRAPPERS = frozenset(
    {"sentry_sdk", "opentelemetry", "ddtrace", "newrelic", "elasticapm", "scout_apm", "datadog", "logfire", "rollbar", "honeybadger",
     "appsignal", "wrapt", "tenacity", "backoff", "celery_once", "celery_heimdall", "celery_singleton", "django_structlog", "asgiref"}
)  # fmt: skip
"""Packages that put a function of their own around an engine's enqueueing calls."""
WRAPPERS_DEEP = 4
"""Frames of unlisted libraries that may be between the engine and the application's own code."""
MOST_MODULES = 4096
_PYTHONS_OWN = sysconfig.get_path("stdlib")
_NEVER = WRAPPERS | {"z4j_agent", "contextlib", "functools", "threading", "asyncio", "concurrent"}
"""Packages whose code is never the application's."""


def calling_code(skipped: Collection[str], *, depth: int = 2, commands: tuple[str, ...] = ()) -> str:
    """`module:line` that enqueued: the first frame that is neither the engine's (`skipped`) nor of a library that wraps its calls.

    A wrapper that is not listed is recognised by its path: it is in an installed package, and application code, which is not, is at most a
    few frames above it. "" when there is no caller, or when it is a `__main__` whose file ends with one of `commands`: the engine itself is
    the caller then.
    """
    # Any collection of a third party's adapter; a frozenset is not copied, and its hash is computed once.
    listed = skipped if type(skipped) is frozenset else frozenset(skipped)
    is_skipped = _of_modules(listed)
    frame: Any = sys._getframe(depth)
    first: Any = None
    left = WRAPPERS_DEEP
    while frame is not None and left:
        module = frame.f_globals.get("__name__", "")
        if not is_skipped[module]:
            if not _is_installed(frame.f_code.co_filename):
                if first is None or not _is_command(frame, module, commands):
                    first = frame
                break
            first = first or frame
        if first is not None:
            left -= 1
        frame = frame.f_back
    if first is None:
        return ""
    module = first.f_globals.get("__name__", "")
    return "" if _is_command(first, module, commands) else f"{module}:{first.f_lineno}"


class _Modules(dict[Any, bool]):
    """Name of a module → whether its package is skipped. An application may name its modules as it likes, so it is bounded."""

    def __init__(self, skipped: frozenset[str]) -> None:
        super().__init__()
        self._skipped = skipped

    def __missing__(self, module: Any) -> bool:
        package = str(module).partition(".")[0]
        if len(self) >= MOST_MODULES:
            self.clear()
        self[module] = is_skipped = package in self._skipped or package in _NEVER
        return is_skipped


@functools.lru_cache(maxsize=64)
def _of_modules(skipped: frozenset[str]) -> _Modules:
    return _Modules(skipped)


def _is_command(frame: Any, module: str, commands: tuple[str, ...]) -> bool:
    return module in ("__main__", "runpy") and frame.f_code.co_filename.endswith(("<frozen runpy>", *commands))


@functools.lru_cache(maxsize=4096)
def _is_installed(file: str) -> bool:
    """Whether the file belongs to a library or to Python, and not to the application."""
    return "site-packages" in file or "dist-packages" in file or file.startswith((_PYTHONS_OWN, "<frozen "))
