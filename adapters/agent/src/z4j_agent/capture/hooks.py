# SPDX-License-Identifier: Apache-2.0
"""Helpers for the hooks of adapters: the time, an exception's texts, the names of parameters.

All of it may run inside calls of the application: it takes no lock, opens nothing, and does not rely on the application's `__str__`.
"""

from __future__ import annotations

import functools
import inspect
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from z4j_agent import lifecycle
from z4j_agent.capture.calling_code import calling_code
from z4j_agent.capture.display import TRACEBACK_LIMIT, show_error, text_of
from z4j_agent.capture.guard import let_through
from z4j_agent.capture.web_route import get_route
from z4j_agent.runtime.installation import Installation, is_supported
from z4j_agent.wire.redaction import redact_text
from z4j_agent.wire.task_signatures import redact_signature

if TYPE_CHECKING:
    from z4j_agent.contract.overrides import OverrideStore

PLACED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
"""Kinds of parameters that can be given by position."""


def now() -> int:
    """Returns the current time in integer microseconds UTC, by the host's clock."""
    return time.time_ns() // 1000


def route() -> str:
    """The web route this is enqueued from, for the `route` of an `enqueued` record's meta; "" outside of a request. Never raises."""
    return get_route()


def error_of(error: BaseException) -> tuple[str, str, str]:
    """Returns (class name, masked message, masked traceback) of an exception; at most MAX_TEXT and TRACEBACK_LIMIT characters. The
    traceback is "" if Python cannot format it."""
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
    """Returns (signature as text, first line of the documentation) of a task's function, for the list of registered tasks; both redacted,
    at most 500 and 300 characters. "(…)" if the signature cannot be read.

    `passed` is the number of leading arguments that the engine passes itself; they are left out."""
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
    """Records a fire of a schedule; does nothing without an agent. With `error`, the outcome is `failed`: the task could not be sent.
    Otherwise it is `outcome` (`contract.scheduler.Outcome`), with `why` as its reason. `due_at` is in microseconds UTC, None if unknown."""
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
