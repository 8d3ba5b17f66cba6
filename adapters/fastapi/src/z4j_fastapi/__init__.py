# SPDX-License-Identifier: Apache-2.0
"""Monitors a FastAPI or Starlette application. One line where it is created, and `Z4J_URL` in the environment:

    z4j_fastapi.install(app)

Settings may be given by the environment's names without `Z4J_`: `install(app, APP="shop")`; the environment wins. It never raises.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio.to_thread

import z4j_agent
from z4j_agent.capture import web
from z4j_agent.capture.guard import guard

__all__ = ["Z4JMiddleware", "install"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


@guard("FastAPI's start")
def install(app: Any, **settings: Any) -> None:
    """Reads the settings and waits until the app serves; opens no connection. A second call for the same app has no effect.

    `app` is any object with `add_middleware`, before its start; for other ASGI apps, wrap them in `Z4JMiddleware`.
    """
    if any(middleware.cls is Z4JMiddleware for middleware in app.user_middleware):
        return
    web.configure(settings)
    if z4j_agent.start() is not None:
        app.add_middleware(Z4JMiddleware)


class Z4JMiddleware:
    """Connects the agent because this process serves, and sets the route of a request. Changes nothing in messages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            send = _watched(send)
        else:
            web.serving()
            web.set_route(lambda: route_of(scope))
        await self._app(scope, receive, send)


def _watched(send: Send) -> Send:
    """Wraps the lifespan. Servers start one in each serving process, and few of them run Python's normal exit after it."""

    async def sent(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "lifespan.startup.complete":
            web.serving()
        elif message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            await anyio.to_thread.run_sync(web.stopped)  # waits for the last events, for two seconds at most
        await send(message)

    return sent


def route_of(scope: Scope) -> str:
    """`METHOD /pattern` after the router has resolved it, with the prefix of a mounted app; "" before that and without a route.

    The router writes the route into the scope, so this is computed when a task is enqueued.
    """
    pattern = getattr(scope.get("route"), "path", "")
    if not pattern:
        return ""
    outer = str(scope.get("app_root_path", scope.get("root_path", "")))
    mounted = str(scope.get("root_path", "")).removeprefix(outer)
    return f"{scope.get('method', 'WEBSOCKET')} {mounted}{pattern}"
