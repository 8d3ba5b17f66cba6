# SPDX-License-Identifier: Apache-2.0
"""Helpers for the hooks of adapters: the time, the code that enqueued, an exception's texts, the names of parameters.

All of it may run inside calls of the application: it takes no lock, opens nothing, and does not rely on the application's `__str__`.
"""

from __future__ import annotations

import functools
import inspect
import sys
import sysconfig
import time
import traceback
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from z4j_agent import lifecycle
from z4j_agent.capture.display import TRACEBACK_LIMIT, show_error, text_of
from z4j_agent.capture.guard import let_through
from z4j_agent.capture.route import get_route
from z4j_agent.runtime.installation import Installation, is_supported
from z4j_agent.wire.redaction import redact_text
from z4j_agent.wire.task_signatures import redact_signature

if TYPE_CHECKING:
    from z4j_agent.contract.overrides import OverrideStore

PLACED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
"""Kinds of parameters that can be given by position."""
WRAPPERS = frozenset(
    {"sentry_sdk", "opentelemetry", "ddtrace", "newrelic", "elasticapm", "scout_apm", "datadog", "logfire", "rollbar", "honeybadger",
     "appsignal", "wrapt", "tenacity", "backoff", "celery_once", "celery_heimdall", "celery_singleton", "django_structlog", "asgiref"}
)  # fmt: skip
"""Packages that put a function of their own around an engine's enqueueing calls."""
WRAPPERS_DEEP = 4
"""Frames of unlisted libraries that may be between the engine and the application's own code."""
_PYTHONS_OWN = sysconfig.get_path("stdlib")
_ALWAYS_SKIPPED = frozenset({"z4j_agent", "contextlib", "functools", "threading", "asyncio", "concurrent"})


def now() -> int:
    """Microseconds UTC."""
    return time.time_ns() // 1000


def calling_code(skipped: Collection[str], *, depth: int = 2, commands: tuple[str, ...] = ()) -> str:
    """`module:line` that enqueued: the first frame that is neither the engine's (`skipped`) nor of a library that wraps its calls.

    A wrapper that is not listed is recognised by its path: it is in an installed package, and application code, which is not, is at most a
    few frames above it. "" when there is no caller, or when it is a `__main__` whose file ends with one of `commands`: the engine itself is
    the caller then.
    """
    frame: Any = sys._getframe(depth)
    first: Any = None
    left = WRAPPERS_DEEP
    while frame is not None and left:
        module = str(frame.f_globals.get("__name__", ""))
        package = module.partition(".")[0]
        if package not in skipped and package not in _ALWAYS_SKIPPED and package not in WRAPPERS:
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
    module = str(first.f_globals.get("__name__", ""))
    return "" if _is_command(first, module, commands) else f"{module}:{first.f_lineno}"


def _is_command(frame: Any, module: str, commands: tuple[str, ...]) -> bool:
    return module in ("__main__", "runpy") and frame.f_code.co_filename.endswith(("<frozen runpy>", *commands))


@functools.lru_cache(maxsize=4096)
def _is_installed(file: str) -> bool:
    """Whether the file belongs to a library or to Python, and not to the application."""
    return "site-packages" in file or "dist-packages" in file or file.startswith((_PYTHONS_OWN, "<frozen "))


def route() -> str:
    """The web route this is enqueued from, for the `route` of an `enqueued` record's meta; "" outside of a request. Never raises."""
    return get_route()


def error_of(error: BaseException) -> tuple[str, str, str]:
    """(class name, masked message, masked traceback) of an exception."""
    try:
        lines = "".join(traceback.format_exception(error))
    except Exception as failed:
        let_through(failed)
        lines = ""
    return type(error).__name__, show_error(text_of(error)), show_error(lines, TRACEBACK_LIMIT) if lines else ""


@functools.lru_cache(maxsize=4096)
def parameter_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's positional parameters, () when it has no readable signature. A secret may be passed by position."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple(p.name for p in parameters if p.kind in PLACED)


def signature_of(function: Callable[..., Any], passed: int = 0) -> tuple[str, str]:
    """(signature as text, first line of the documentation) of a task's function, for the list of registered tasks; both redacted.

    `passed` is the number of leading arguments that the engine passes itself; they are left out.
    """
    try:
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())
        while passed and parameters and parameters[0].kind in PLACED:
            parameters, passed = parameters[1:], passed - 1
        agent = lifecycle.current()
        text = redact_signature(str(signature.replace(parameters=parameters)), agent.settings.redact if agent is not None else ())
    except (TypeError, ValueError):
        text = "(…)"
    return text[:500], redact_text((inspect.getdoc(function) or "").strip().partition("\n")[0])[:300]


def override_store(scheduler: str) -> OverrideStore:
    """The overrides stored in this process's spool folder; none without an agent."""
    agent = lifecycle.current()
    if agent is not None:
        return agent.override_store(scheduler)
    from z4j_agent.contract.overrides import OverrideStore  # costs the host's import time, and is hardly ever needed

    return OverrideStore(None, "", scheduler)


def report_fire(
    scheduler: str,
    key: str,
    due_at: int | None,
    task_id: str = "",
    error: BaseException | None = None,
    *,
    outcome: str = "sent",
    why: str = "",
) -> None:
    """Records a fire of a schedule. With an error the outcome is that the task could not be sent. `due_at` is in microseconds UTC."""
    agent = lifecycle.current()
    if agent is None:
        return
    if error is None:
        agent.fired(scheduler, key, due_at, task_id=task_id, outcome=outcome, error=why)
    else:
        agent.fired(scheduler, key, due_at, outcome="failed", error=show_error(f"{type(error).__name__}: {text_of(error)}"))


__all__ = [
    "TRACEBACK_LIMIT", "Installation", "calling_code", "error_of", "is_supported", "now", "override_store", "parameter_names",
    "report_fire", "route", "signature_of", "text_of",
]  # fmt: skip
