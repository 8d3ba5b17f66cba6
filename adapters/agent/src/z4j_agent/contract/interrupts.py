# SPDX-License-Identifier: Apache-2.0
"""Exceptions that an engine raises asynchronously into running code: they always pass through the agent's code. Imports nothing of the
agent."""

from __future__ import annotations

_host_exceptions: tuple[type[BaseException], ...] = ()


def never_swallow(*types: type[BaseException]) -> None:
    """Exceptions an engine raises asynchronously into the running code; they always pass through the guards."""
    global _host_exceptions
    _host_exceptions = tuple({*_host_exceptions, *types})


def let_through(error: BaseException) -> None:
    """Raises `error` again if it is such an exception; call it first in every `except Exception` of the agent and its adapters."""
    if isinstance(error, _host_exceptions):
        raise error
