# SPDX-License-Identifier: Apache-2.0
"""Exceptions that an engine raises asynchronously into running code: they always pass through the agent's code. Imports nothing of the
agent."""

from __future__ import annotations

_host_exceptions: tuple[type[BaseException], ...] = ()


def never_swallow(*types: type[BaseException]) -> None:
    """Registers exceptions that an engine raises asynchronously into the running code; they always pass through the guards. Applies to this
    process and cannot be undone."""
    global _host_exceptions
    _host_exceptions = tuple({*_host_exceptions, *types})


def let_through(error: BaseException) -> None:
    """Raises `error` again if its type was registered with `never_swallow`; call it first in every `except Exception` of the agent and its
    adapters."""
    if isinstance(error, _host_exceptions):
        raise error
