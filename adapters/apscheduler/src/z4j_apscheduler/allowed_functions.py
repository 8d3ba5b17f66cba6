# SPDX-License-Identifier: Apache-2.0
"""Functions that operators may use: those that the scheduler already runs, and those that the application offers. No other name is
imported, so that an operator cannot import a module or call a function of the standard library.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from apscheduler.util import obj_to_ref

from z4j_agent.capture.guard import let_through
from z4j_agent.runtime.agent_log import log


def reference_of(function: Any) -> str:
    """`module:function`, as APScheduler writes it. Raises ValueError or TypeError if there is none: lambdas, partials, closures."""
    return str(obj_to_ref(function))


def name_of(job: Any) -> str:
    """Returns the reference of a job's function; without one, its location in the code."""
    if job.func_ref:
        return str(job.func_ref)
    function = job.func
    while isinstance(function, functools.partial):
        function = function.func
    return f"{getattr(function, '__module__', '?')}:{getattr(function, '__qualname__', type(function).__qualname__)}"


class Offered:
    """The functions that the application passed to `install`."""

    def __init__(self) -> None:
        self._functions: dict[str, Any] = {}

    def add(self, functions: Iterable[Any]) -> None:
        """Adds functions. One without a reference is left out, with a line in the log."""
        for function in functions:
            try:
                name = function if isinstance(function, str) else reference_of(function)
            except Exception as error:
                let_through(error)
                log.warning("operators cannot run %r: %s", function, error)
                continue
            self._functions[name] = function

    def get(self, name: str) -> Any:
        """Returns the callable or its reference; None if it was not offered."""
        return self._functions.get(name)
