# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every URL of the product and the role that it requires. Other URLs do not exist; the gateway's /agent is a WebSocket.

Endpoints are names: a page is imported when it is first requested (`z4j.lazy_imports`), the operations of the API with its first request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Final, Literal, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from z4j import lazy_imports
from z4j.rules.permissions import Needed
from z4j.web.frame.middleware import role_finder
from z4j.web.services import services

Endpoint = Callable[[Request], Awaitable[Response]]
API: Final = "/api/"


class R(NamedTuple):
    """One route; `endpoint` is "module:function" in `z4j.web`, `role` the role that it requires (see rules/permissions.py)."""

    method: Literal["GET", "POST"]
    path: str
    endpoint: str
    role: Needed


PAGES: Final[tuple[R, ...]] = (
    R("GET", "/static/{mark}/{path:path}", "frame.static:static_file", "public"),
    R("GET", "/healthz", "pages.monitoring.health:show", "public"),
    R("GET", "/metrics", "pages.monitoring.metrics:show", "metrics"),
    # people
    R("GET", "/setup", "auth.setup:show", "public"),
    R("POST", "/setup", "auth.setup:create", "public"),
    R("GET", "/login", "auth.login:show", "public"),
    R("POST", "/login", "auth.login:sign_in", "public"),
    R("POST", "/login/code", "auth.login:check_code", "public"),
    R("POST", "/logout", "auth.login:sign_out", "public"),
    R("POST", "/theme", "pages.theme:choose", "public"),
    # now
    R("GET", "/", "pages.now:page", "viewer"),
    R("GET", "/now.json", "pages.now:to_json", "viewer"),
    R("POST", "/findings/mute", "pages.now:mute", "operator"),
    R("POST", "/findings/unmute", "pages.now:unmute", "operator"),
    # everywhere
    R("GET", "/find", "pages.find.page:page", "viewer"),
    R("GET", "/find/results", "pages.find.page:results", "viewer"),
    R("GET", "/keys", "pages.keyboard_shortcuts:page", "viewer"),
    R("GET", "/news", "pages.news:page", "viewer"),
    R("GET", "/news/bell", "pages.news:bell", "viewer"),
    R("POST", "/news/mark", "pages.news:set_mark", "viewer"),
    # tasks
    R("GET", "/tasks", "pages.tasks.list:list_page", "viewer"),
    R("GET", "/tasks.json", "pages.tasks.exports:list_json", "viewer"),
    R("GET", "/tasks.csv", "pages.tasks.exports:list_csv", "viewer"),
    R("GET", "/tasks/complete", "pages.tasks.completion:complete", "viewer"),
    R("GET", "/tasks/compare", "pages.tasks.compare:compare_page", "viewer"),
    R("GET", "/tasks/views", "pages.tasks.saved_views:views_page", "viewer"),
    R("POST", "/tasks/views", "pages.tasks.saved_views:create", "viewer"),
    R("POST", "/tasks/views/{id:int}/change", "pages.tasks.saved_views:change", "viewer"),
    R("POST", "/tasks/views/{id:int}/delete", "pages.tasks.saved_views:delete", "viewer"),
    R("GET", "/tasks/{id:int}", "pages.tasks.detail:detail_page", "viewer"),
    R("GET", "/tasks/{id:int}.json", "pages.tasks.detail:detail_json", "viewer"),
    R("GET", "/tasks/{id:int}/logs", "pages.tasks.logs:logs_page", "viewer"),
    R("GET", "/tasks/{id:int}/logs.json", "pages.tasks.logs:logs_json", "viewer"),
    R("GET", "/tasks/{id:int}/logs.csv", "pages.tasks.logs:logs_csv", "viewer"),
    R("GET", "/tasks/{id:int}/workflow", "pages.tasks.workflow:workflow_page", "viewer"),
    R("GET", "/tasks/{id:int}/workflow.json", "pages.tasks.workflow:workflow_json", "viewer"),
    R("POST", "/tasks/{id:int}/retry", "pages.tasks.actions:retry", "operator"),
    R("POST", "/tasks/{id:int}/edit", "pages.tasks.actions:edit", "operator"),
    R("POST", "/tasks/{id:int}/restore", "pages.tasks.actions:restore", "operator"),
    R("POST", "/tasks/{id:int}/cancel", "pages.tasks.actions:cancel", "operator"),
    R("POST", "/tasks/{id:int}/release", "pages.tasks.actions:release", "operator"),
    R("POST", "/tasks/{id:int}/prioritise", "pages.tasks.actions:prioritise", "operator"),
    R("POST", "/tasks/{id:int}/move", "pages.tasks.actions:move", "operator"),
    R("POST", "/tasks/{id:int}/terminate", "pages.tasks.actions:terminate", "operator"),
    R("POST", "/tasks/{id:int}/inspect", "pages.tasks.actions:inspect", "operator"),
    R("GET", "/tasks/run", "pages.tasks.run:page", "operator"),
    R("POST", "/tasks/run", "pages.tasks.run:run", "operator"),
    R("GET", "/history/name.json", "pages.names.detail:detail_json", "viewer"),
    R("GET", "/history/queue.json", "pages.queues.detail:history_json", "viewer"),
    R("GET", "/history/worker.json", "pages.workers.detail:history_json", "viewer"),
    R("GET", "/names", "pages.names.list:list_page", "viewer"),
    R("GET", "/names.json", "pages.names.list:list_json", "viewer"),
    R("GET", "/names/{name:path}", "pages.names.detail:detail_page", "viewer"),
    # many at once
    R("GET", "/plans", "pages.plans:list_page", "viewer"),
    R("POST", "/plans", "pages.plans:freeze", "operator"),
    R("GET", "/plans/new", "pages.plans:new_page", "operator"),
    R("GET", "/plans/{id:int}", "pages.plans:detail_page", "viewer"),
    R("POST", "/plans/{id:int}/execute", "pages.plans:execute", "operator"),
    R("POST", "/plans/{id:int}/pause", "pages.plans:pause", "operator"),
    R("POST", "/plans/{id:int}/resume", "pages.plans:resume", "operator"),
    R("POST", "/plans/{id:int}/abort", "pages.plans:abort", "operator"),
    R("POST", "/plans/{id:int}/undo", "pages.plans:undo", "operator"),
    R("POST", "/commands/{id}/undo", "pages.queues.detail:undo", "operator"),
    # failures that are one problem
    R("GET", "/errors", "pages.errors.list:list_page", "viewer"),
    R("GET", "/errors.json", "pages.errors.list:list_json", "viewer"),
    R("GET", "/errors.csv", "pages.errors.list:list_csv", "viewer"),
    R("POST", "/errors/act", "pages.errors.actions:act_on_many", "operator"),
    R("GET", "/errors/{id:int}", "pages.errors.detail:detail_page", "viewer"),
    R("GET", "/errors/{id:int}.json", "pages.errors.detail:detail_json", "viewer"),
    R("POST", "/errors/{id:int}/act", "pages.errors.actions:act", "operator"),
    # what reaches people
    R("GET", "/alerts", "pages.alerts.list:list_page", "viewer"),
    R("GET", "/alerts.json", "pages.alerts.list:list_json", "viewer"),
    R("GET", "/alerts/{id:int}", "pages.alerts.list:detail_page", "viewer"),
    R("GET", "/alerts/{id:int}.json", "pages.alerts.list:detail_json", "viewer"),
    R("POST", "/alerts/{id:int}/acknowledge", "pages.alerts.list:acknowledge", "operator"),
    R("GET", "/acknowledge/{code}", "pages.alerts.acknowledge:show", "public"),
    R("POST", "/acknowledge/{code}", "pages.alerts.acknowledge:confirm", "public"),
    R("GET", "/alerts/rules", "pages.alerts.rules:list_page", "viewer"),
    R("GET", "/alerts/rules/new", "pages.alerts.rules:new_page", "admin"),
    R("POST", "/alerts/rules/new", "pages.alerts.rules:create", "admin"),
    R("GET", "/alerts/rules/{id:int}", "pages.alerts.rules:edit_page", "viewer"),
    R("POST", "/alerts/rules/{id:int}", "pages.alerts.rules:change", "admin"),
    R("POST", "/alerts/rules/{id:int}/delete", "pages.alerts.rules:delete", "admin"),
    R("GET", "/alerts/channels", "pages.alerts.channels:page", "auditor"),
    R("POST", "/alerts/channels", "pages.alerts.channels:create", "admin"),
    R("POST", "/alerts/channels/{id:int}", "pages.alerts.channels:change", "admin"),
    R("POST", "/alerts/channels/{id:int}/test", "pages.alerts.channels:send_test", "admin"),
    R("POST", "/alerts/channels/{id:int}/enable", "pages.alerts.channels:enable", "admin"),
    R("POST", "/alerts/channels/{id:int}/disable", "pages.alerts.channels:disable", "admin"),
    R("POST", "/alerts/channels/{id:int}/delete", "pages.alerts.channels:delete", "admin"),
    R("GET", "/alerts/maintenance", "pages.alerts.maintenance:page", "viewer"),
    R("POST", "/alerts/maintenance", "pages.alerts.maintenance:create", "operator"),
    R("POST", "/alerts/maintenance/{id:int}/end", "pages.alerts.maintenance:end", "operator"),
    R("GET", "/alerts/messages", "pages.alerts.messages:page", "viewer"),
    # lists and settings
    R("GET", "/workers", "pages.workers.list:list_page", "viewer"),
    R("GET", "/workers.json", "pages.workers.list:list_json", "viewer"),
    R("GET", "/workers.csv", "pages.workers.list:list_csv", "viewer"),
    R("GET", "/queues", "pages.queues.list:list_page", "viewer"),
    R("GET", "/queues.json", "pages.queues.list:list_json", "viewer"),
    R("GET", "/queues.csv", "pages.queues.list:list_csv", "viewer"),
    R("POST", "/queues/act", "pages.queues.detail:act", "operator"),
    R("GET", "/queues/{name:path}", "pages.queues.detail:detail_page", "viewer"),
    R("POST", "/workers/act", "pages.workers.detail:act", "operator"),
    R("GET", "/workers/{name:path}", "pages.workers.detail:detail_page", "viewer"),
    # what makes tasks by the clock
    R("GET", "/schedules", "pages.schedules.list:list_page", "viewer"),
    R("GET", "/schedules.json", "pages.schedules.list:list_json", "viewer"),
    R("GET", "/schedules.csv", "pages.schedules.list:list_csv", "viewer"),
    R("GET", "/schedules/calendar", "pages.schedules.calendar:page", "viewer"),
    R("GET", "/schedules/new", "pages.schedules.form:new_page", "operator"),
    R("POST", "/schedules/new", "pages.schedules.form:create", "operator"),
    R("POST", "/schedules/preview", "pages.schedules.form:preview_part", "operator"),
    R("GET", "/schedules/{id:int}", "pages.schedules.detail:detail_page", "viewer"),
    R("GET", "/schedules/{id:int}.json", "pages.schedules.detail:detail_json", "viewer"),
    R("GET", "/schedules/{id:int}/edit", "pages.schedules.form:edit_page", "operator"),
    R("POST", "/schedules/{id:int}/edit", "pages.schedules.form:edit", "operator"),
    R("POST", "/schedules/{id:int}/act", "pages.schedules.detail:act", "operator"),
    # what was recorded
    R("GET", "/incidents", "pages.incidents.list:list_page", "viewer"),
    R("GET", "/incidents.json", "pages.incidents.list:list_json", "viewer"),
    R("POST", "/incidents", "pages.incidents.list:start", "operator"),
    R("GET", "/incidents/shared/{code}", "pages.incidents.exports:shared", "public"),
    R("GET", "/incidents/{id:int}.json", "pages.incidents.detail:detail_json", "viewer"),
    R("GET", "/incidents/{id:int}.html", "pages.incidents.exports:file", "viewer"),
    R("GET", "/incidents/{id:int}.md", "pages.incidents.exports:as_markdown", "viewer"),
    R("GET", "/incidents/{id:int}", "pages.incidents.detail:detail_page", "viewer"),
    R("POST", "/incidents/{id:int}/note", "pages.incidents.detail:note", "operator"),
    R("POST", "/incidents/{id:int}/rename", "pages.incidents.detail:rename", "operator"),
    R("POST", "/incidents/{id:int}/end", "pages.incidents.detail:end", "operator"),
    R("POST", "/incidents/{id:int}/share", "pages.incidents.detail:share", "operator"),
    R("POST", "/incidents/{id:int}/delete", "pages.incidents.detail:delete", "operator"),
    # what was rolled out
    R("GET", "/releases", "pages.releases.list:list_page", "viewer"),
    R("GET", "/releases.json", "pages.releases.list:list_json", "viewer"),
    R("POST", "/releases", "pages.releases.list:mark", "operator"),
    R("GET", "/releases/{release:path}.json", "pages.releases.detail:detail_json", "viewer"),
    R("GET", "/releases/{release:path}", "pages.releases.detail:detail_page", "viewer"),
    # actions of users
    R("GET", "/changes", "pages.changes.commands:list_page", "viewer"),
    R("GET", "/changes.json", "pages.changes.commands:list_json", "viewer"),
    R("GET", "/changes.csv", "pages.changes.commands:list_csv", "viewer"),
    R("GET", "/changes/audit", "pages.changes.audit_log:audit_page", "auditor"),
    R("GET", "/changes/audit.json", "pages.changes.audit_log:audit_json", "auditor"),
    R("GET", "/changes/audit.csv", "pages.changes.audit_log:audit_csv", "auditor"),
    # settings
    R("GET", "/settings", "pages.settings.access:home", "auditor"),
    R("GET", "/settings/apps", "pages.settings.access:apps_page", "auditor"),
    R("POST", "/settings/apps/{id:int}/disable", "pages.settings.access:disable_app", "admin"),
    R("POST", "/settings/apps/{id:int}/enable", "pages.settings.access:enable_app", "admin"),
    R("GET", "/connect", "pages.settings.connect:new_page", "viewer"),
    R("POST", "/connect", "pages.settings.connect:create", "admin"),
    R("GET", "/connect/{id:int}", "pages.settings.connect:steps_page", "viewer"),
    R("POST", "/connect/{id:int}/try", "pages.settings.connect:try_it", "operator"),
    R("GET", "/settings/tokens", "pages.settings.access:tokens_page", "auditor"),
    R("POST", "/settings/tokens", "pages.settings.access:add_token", "admin"),
    R("POST", "/settings/tokens/{id:int}/revoke", "pages.settings.access:revoke_token", "admin"),
    R("GET", "/settings/users", "pages.settings.access:users_page", "auditor"),
    R("POST", "/settings/users", "pages.settings.access:add_user", "admin"),
    R("POST", "/settings/users/{id:int}/role", "pages.settings.access:set_role", "admin"),
    R("POST", "/settings/users/{id:int}/disable", "pages.settings.access:disable_user", "admin"),
    R("POST", "/settings/users/{id:int}/enable", "pages.settings.access:enable_user", "admin"),
    R("GET", "/settings/links", "pages.settings.link_templates:links_page", "auditor"),
    R("POST", "/settings/links", "pages.settings.link_templates:add_link", "admin"),
    R("POST", "/settings/links/{id:int}/delete", "pages.settings.link_templates:delete_link", "admin"),
    R("GET", "/settings/appliance", "pages.settings.appliance:page", "auditor"),
    R("GET", "/settings/forwarding", "pages.settings.forwarding:page", "auditor"),
    R("POST", "/settings/forwarding", "pages.settings.forwarding:create", "admin"),
    R("POST", "/settings/forwarding/{id:int}", "pages.settings.forwarding:change", "admin"),
    R("POST", "/settings/forwarding/{id:int}/test", "pages.settings.forwarding:send_test", "admin"),
    R("POST", "/settings/forwarding/{id:int}/enable", "pages.settings.forwarding:enable", "admin"),
    R("POST", "/settings/forwarding/{id:int}/disable", "pages.settings.forwarding:disable", "admin"),
    R("POST", "/settings/forwarding/{id:int}/delete", "pages.settings.forwarding:delete", "admin"),
    R("GET", "/demo", "pages.demo:page", "viewer"),
    R("POST", "/demo/reset", "pages.demo:reset", "admin"),
    R("GET", "/settings/account", "auth.account:show", "viewer"),
    R("POST", "/settings/account/zone", "auth.account:choose_zone", "viewer"),
    R("POST", "/settings/account/totp", "auth.account:begin", "viewer"),
    R("POST", "/settings/account/totp/confirm", "auth.account:confirm", "viewer"),
    R("POST", "/settings/account/totp/codes", "auth.account:renew_codes", "viewer"),
    R("POST", "/settings/account/totp/off", "auth.account:turn_off", "viewer"),
    # packages
    R("GET", "/simple/", "pages.package_index:list_projects", "packages"),
    R("GET", "/simple/{project}/", "pages.package_index:list_files", "packages"),
    R("GET", "/simple/{project}/{name}", "pages.package_index:get_file", "packages"),
    # documents
    R("GET", "/docs", "pages.documents:list_page", "viewer"),
    R("GET", "/docs/grafana.json", "pages.documents:board", "viewer"),
    R("GET", "/docs/{name}.md", "pages.documents:markdown", "viewer"),
    R("GET", "/docs/{name}", "pages.documents:page", "viewer"),
    # pieces of pages
    R("GET", "/strip", "frame.status_bar:region", "viewer"),
    R("GET", "/events", "frame.live:events", "viewer"),
    R("GET", "/patterns", "pages.component_gallery:show", "viewer"),
)

IN_EVENT_LOOP: Final = frozenset(
    {"/events", "/news", "/find", "/find/results", "/connect/{id:int}", "/settings/account", "/settings/appliance"}
)
"""Pages that await more than reads of the store."""


@cache
def api_rows() -> tuple[R, ...]:
    """Returns the operations of the API, which this imports."""
    operations = lazy_imports.load("z4j.web.api.openapi:OPERATIONS")
    return tuple(R(each.method, each.path, _name_of(each.endpoint), each.role) for each in operations)


def all_rows() -> tuple[R, ...]:
    """Everything that is served."""
    return (*PAGES, *api_rows())


@cache
def compile_routes() -> tuple[list[BaseRoute], Callable[[str, str], str | None]]:
    """Returns the routes of every server in this process, and the function that finds the role that a request requires (None where there
    is no such route)."""
    of_page = _roles_of(PAGES)
    api = cache(lambda: _roles_of(api_rows()))
    routes: list[BaseRoute] = [*(Route(row.path, endpoint_of(row), methods=[row.method]) for row in PAGES), _Api()]
    return routes, lambda method, path: api()(method, path) if path.startswith(API) else of_page(method, path)


class ApiAtFirstUse:
    """Imports the operations of the API in a thread when one is first requested: the event loop serves agents meanwhile."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._is_loaded = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._is_loaded and scope["type"] == "http" and scope["path"].startswith(API):
            await asyncio.to_thread(_api_routes)
            self._is_loaded = True
        await self.app(scope, receive, send)


class _Api(BaseRoute):
    """The routes of the API, which exist once one was requested."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and scope["path"].startswith(API):
            for route in _api_routes():
                found, child = route.matches(scope)
                if found is Match.FULL:
                    return found, {**child, "api_route": route}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["api_route"].handle(scope, receive, send)


@cache
def _api_routes() -> list[Route]:
    return [Route(row.path, endpoint_of(row), methods=[row.method]) for row in api_rows()]


def _name_of(endpoint: Endpoint) -> str:
    return f"{endpoint.__module__.removeprefix('z4j.web.')}:{endpoint.__name__}"


def _roles_of(rows: tuple[R, ...]) -> Callable[[str, str], str | None]:
    return role_finder((row.method, row.path, row.role) for row in rows)


def endpoint_of(row: R) -> Endpoint:
    """Returns the endpoint of a route as it is served. A page is read and written in the thread of one reader, over one state of the
    database: its reads alone would cost thirty changes of threads, and the event loop serves agents meanwhile. Pages are imported there,
    or in a thread of their own."""
    name = f"z4j.web.{row.endpoint}"

    async def at_once(request: Request) -> Response:
        response: Response = await services(request).store.at_once(lambda: lazy_imports.load(name)(request))
        return response

    async def in_event_loop(request: Request) -> Response:
        endpoint = _loaded.get(name)
        if endpoint is None:
            endpoint = _loaded[name] = await asyncio.to_thread(lazy_imports.load, name)
        return await endpoint(request)

    is_read_elsewhere = row.method != "GET" or row.role in ("public", "packages") or row.path in IN_EVENT_LOOP
    return in_event_loop if is_read_elsewhere else at_once


_loaded: Final[dict[str, Endpoint]] = {}
