# SPDX-License-Identifier: Apache-2.0
"""Reads requests: that this process serves, and their routes. For WSGI and ASGI, sync and async views.

Django's signals alone are not sufficient: under ASGI their receivers run in a context of their own, where a route would be lost. So `ready`
adds a middleware before all others; it changes neither request nor response.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.urls import Resolver404, resolve
from django.utils.decorators import sync_and_async_middleware

from z4j_agent.capture import web
from z4j_agent.capture.guard import guard
from z4j_django import engines

MIDDLEWARE = "z4j_django.requests.route_middleware"
UID = "z4j_django"
_looked_pid = 0


def listen() -> None:
    """Adds the middleware; Django's handlers read the list of middlewares after every `ready`."""
    request_started.connect(on_started, dispatch_uid=UID)
    request_finished.connect(on_finished, dispatch_uid=UID)
    if MIDDLEWARE not in settings.MIDDLEWARE:
        settings.MIDDLEWARE = [MIDDLEWARE, *settings.MIDDLEWARE]


@guard("a request")
def on_started(**_: Any) -> None:
    """Called at the start of a request: this process serves the web, and its agent connects."""
    global _looked_pid
    if _looked_pid != os.getpid():  # a Celery app that was created after `ready`
        _looked_pid = os.getpid()
        engines.install_celery()
    web.serving()


@guard("the end of a request")
def on_finished(**_: Any) -> None:
    """Called at the end of a request: a thread of a WSGI server continues in the same context; a streamed response still belongs to the
    request."""
    web.set_route("")


@sync_and_async_middleware
def route_middleware(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Makes the route of a request known to tasks that are enqueued from it."""
    if iscoroutinefunction(get_response):

        async def serve_async(request: Any) -> Any:
            web.set_route(lambda: route_of(request))
            return await get_response(request)

        return serve_async

    def serve(request: Any) -> Any:
        web.set_route(lambda: route_of(request))
        return get_response(request)

    return serve


def route_of(request: Any) -> str:
    """`METHOD /pattern`; computed when a task is enqueued, possibly in another middleware before Django has resolved the view."""
    try:
        match = request.resolver_match or resolve(request.path_info)
    except Resolver404:
        return ""
    return f"{request.method} /{match.route.lstrip('^/')}"
