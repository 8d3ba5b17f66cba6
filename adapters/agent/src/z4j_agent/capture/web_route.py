# SPDX-License-Identifier: Apache-2.0
"""The web route that is being served in this context: a web framework sets it, adapters put it into the `enqueued` record.

A route is a pattern such as `POST /orders/<int:number>`, never the requested path, which may contain private data.
The route is often available only after the hook of the framework has run, so it may set a function, which is called when a task is
enqueued.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from z4j_agent.capture.guard import faults, let_through

LONGEST = 255
"""Characters of a route: what the wire allows a name."""
_route: ContextVar[str | Callable[[], str]] = ContextVar("z4j_route", default="")


def set_route(route: str | Callable[[], str]) -> None:
    """Sets the route of this context; "" at the end of a request. A function is called when a task is enqueued, in that thread; if it
    raises, the route is ""."""
    _route.set(route)


def get_route() -> str:
    """The route of this context, "" outside of a request. Never raises."""
    route = _route.get()
    if not callable(route):
        return route[:LONGEST]
    try:
        return route()[:LONGEST]
    except Exception as error:
        let_through(error)
        faults.report("reading the web route", error)
        return ""
