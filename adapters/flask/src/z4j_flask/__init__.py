# SPDX-License-Identifier: Apache-2.0
"""Monitors a Flask application. One line where it is created, and `Z4J_URL` in the environment:

    Z4J(app)

or `Z4J()` and `init_app(app)`, as in other extensions. Settings may be in `app.config` by the environment's names (`Z4J_APP`,
…); the environment wins. It never raises.
"""

from __future__ import annotations

from typing import Any

import flask

import z4j_agent
from z4j_agent.capture import web
from z4j_agent.capture.guard import guard

__all__ = ["Z4J"]

NAME = "z4j"


class Z4J:
    """Without an app, call `init_app` later. Several apps of one process share its agent."""

    def __init__(self, app: flask.Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    @guard("Flask's start")
    def init_app(self, app: flask.Flask) -> None:
        """Reads the settings and waits for the first request; opens no connection. A second call for the same app has no effect."""
        if NAME in app.extensions:
            return
        web.configure({key: value for key, value in app.config.items() if key.startswith("Z4J_")})
        if z4j_agent.start() is None:
            return
        app.extensions[NAME] = self
        flask.request_started.connect(self._on_started, app)

    @guard("Flask's end")
    def uninstall(self, app: flask.Flask) -> None:
        """Removes the hooks: the app behaves as if this package had never been installed."""
        flask.request_started.disconnect(self._on_started, app)
        app.extensions.pop(NAME, None)

    @guard("a request")
    def _on_started(self, *_: Any, **__: Any) -> None:
        web.serving()
        web.set_route(current_route)


def current_route() -> str:
    """`METHOD /rule` of the current request, also while its response is streamed; "" outside of a request and without a route."""
    if not flask.has_request_context() or flask.request.url_rule is None:
        return ""
    return f"{flask.request.method} {flask.request.url_rule.rule}"
