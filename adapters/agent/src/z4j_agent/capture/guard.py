# SPDX-License-Identifier: Apache-2.0
"""Guards of the application: no exception of the agent reaches it, and none of the engine's own is swallowed.

An engine may raise asynchronously into any running code: a soft time limit can be raised within the agent's code. Adapters name those types
once with `never_swallow`. Every other exception in the agent is counted and reported, not raised.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from z4j_agent.contract.interrupts import let_through, never_swallow
from z4j_agent.runtime.agent_log import log
from z4j_agent.runtime.native_threads import ticks

P = ParamSpec("P")
R = TypeVar("R")


class Faults:
    """Counts faults of the agent by operation. The first fault of an operation in a minute is logged. `by_operation` is operation → (count,
    type of the last error). May be used in any thread."""

    def __init__(self) -> None:
        self.total = 0
        self.by_operation: dict[str, tuple[int, str]] = {}
        self._logged_at: dict[str, float] = {}
        self._send: Callable[[str, str, int], object] | None = None

    def attach(self, report_problem: Callable[[str, str, int], object]) -> None:
        """Sets a function that receives faults in addition to the log: operation, type of the error and count, at most once a minute for
        each operation."""
        self._send = report_problem

    def report(self, where: str, error: BaseException) -> None:
        """Counts and logs an exception. Never raises, not even if the error's own `__str__` does."""
        self.total += 1
        kind = type(error).__name__
        count, _ = self.by_operation.get(where, (0, ""))
        self.by_operation[where] = (count + 1, kind)
        now = ticks()
        if now - self._logged_at.get(where, -60.0) >= 60.0:
            self._logged_at[where] = now
            log.warning("an agent operation failed: %s (%s); the application is not affected", where, kind)
            if self._send is not None:
                with contextlib.suppress(OSError):
                    self._send(where, kind, count + 1)

    def report_problem(self, where: str, what: str, sentence: str) -> None:
        """Counts, logs and reports a problem that is not an exception of the agent. Never raises."""
        self.total += 1
        count, _ = self.by_operation.get(where, (0, ""))
        self.by_operation[where] = (count + 1, what)
        log.error("%s", sentence)
        if self._send is not None:
            with contextlib.suppress(OSError):
                self._send(where, what, count + 1)


faults = Faults()


def guard(where: str, passthrough: tuple[type[BaseException], ...] = ()) -> Callable[[Callable[P, R]], Callable[P, R | None]]:
    """Decorator for every function that the application calls: an exception inside is counted as a fault of `where`, and the call returns
    None. Exceptions of `passthrough` and of `never_swallow`, and those outside of `Exception` (such as KeyboardInterrupt), are raised."""

    def decorate(function: Callable[P, R]) -> Callable[P, R | None]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R | None:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                if isinstance(error, passthrough):
                    raise
                let_through(error)
                faults.report(where, error)
                return None

        return guarded

    return decorate


__all__ = ["Faults", "faults", "guard", "let_through", "never_swallow"]
