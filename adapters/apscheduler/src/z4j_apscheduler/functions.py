# SPDX-License-Identifier: Apache-2.0
"""Which functions may be named from z4j: those the scheduler runs already, and those the application offers. Nothing else is looked up,
so that nobody who reaches the server can have a module imported or a function of the standard library called.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from apscheduler.util import obj_to_ref

from z4j_agent.capture.guard import let_through
from z4j_agent.runtime.log import log


def reference_of(function: Any) -> str:
    """`module:function`, as APScheduler writes it. Raises ValueError or TypeError where there is none: lambdas, partials, closures."""
    return str(obj_to_ref(function))


def name_of(job: Any) -> str:
    """What a job runs; of what has no reference the place it was written at."""
    if job.func_ref:
        return str(job.func_ref)
    function = job.func
    while isinstance(function, functools.partial):
        function = function.func
    return f"{getattr(function, '__module__', '?')}:{getattr(function, '__qualname__', type(function).__qualname__)}"


class Offered:
    """What the application gave `install`."""

    def __init__(self) -> None:
        self._functions: dict[str, Any] = {}

    def add(self, functions: Iterable[Any]) -> None:
        """One without a reference is left out, with a line in the log."""
        for function in functions:
            try:
                name = function if isinstance(function, str) else reference_of(function)
            except Exception as error:
                let_through(error)
                log.warning("z4j cannot offer %r: %s", function, error)
                continue
            self._functions[name] = function

    def get(self, name: str) -> Any:
        """The callable or its reference; None for one that was not offered."""
        return self._functions.get(name)
