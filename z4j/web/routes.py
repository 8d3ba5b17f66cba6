# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every URL of the product and the role that it requires. Other URLs do not exist; the gateway's /agent is a WebSocket."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Final, Literal, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from z4j.rules.permissions import Needed
from z4j.web.api.document import OPERATIONS
from z4j.web.auth import account, login, setup
from z4j.web.frame import live, static, strip
from z4j.web.pages import component_gallery, demo, documents, keys, news, now, package_index, plans, theme
from z4j.web.pages.alerts import acknowledge as alert_acknowledge
from z4j.web.pages.alerts import channels as alert_channels
from z4j.web.pages.alerts import list as alert_list
from z4j.web.pages.alerts import maintenance as alert_maintenance
from z4j.web.pages.alerts import messages as alert_messages
from z4j.web.pages.alerts import rules as alert_rules
from z4j.web.pages.changes import audit_log
from z4j.web.pages.changes import commands as changes_commands
from z4j.web.pages.errors import actions as error_actions
from z4j.web.pages.errors import detail as error_detail
from z4j.web.pages.errors import list as error_list
from z4j.web.pages.find import page as find
from z4j.web.pages.incidents import detail as incident_detail
from z4j.web.pages.incidents import list as incident_list
from z4j.web.pages.monitoring import health, metrics
from z4j.web.pages.names import detail as name_detail
from z4j.web.pages.names import list as name_list
from z4j.web.pages.queues import detail as queue_detail
from z4j.web.pages.queues import list as queue_list
from z4j.web.pages.releases import detail as release_detail
from z4j.web.pages.releases import list as release_list
from z4j.web.pages.schedules import calendar
from z4j.web.pages.schedules import detail as schedule_detail
from z4j.web.pages.schedules import form as schedule_form
from z4j.web.pages.schedules import list as schedule_list
from z4j.web.pages.settings import access, appliance, connect, forwarding, links
from z4j.web.pages.tasks import actions as task_actions
from z4j.web.pages.tasks import compare as task_compare
from z4j.web.pages.tasks import completion as task_completion
from z4j.web.pages.tasks import detail as task_detail
from z4j.web.pages.tasks import exports as task_exports
from z4j.web.pages.tasks import list as task_list
from z4j.web.pages.tasks import logs as task_logs
from z4j.web.pages.tasks import run
from z4j.web.pages.tasks import views as task_views
from z4j.web.pages.tasks import workflow as task_workflow
from z4j.web.pages.workers import detail as worker_detail
from z4j.web.pages.workers import list as worker_list
from z4j.web.services import services

Endpoint = Callable[[Request], Awaitable[Response]]


class R(NamedTuple):
    """One route; `role` is the role that it requires (see rules/permissions.py)."""

    method: Literal["GET", "POST"]
    path: str
    endpoint: Endpoint
    role: Needed


ROUTES: Final[tuple[R, ...]] = (
    R("GET", "/static/{mark}/{path:path}", static.static_file, "public"),
    R("GET", "/healthz", health.show, "public"),
    R("GET", "/metrics", metrics.show, "metrics"),
    # people
    R("GET", "/setup", setup.show, "public"),
    R("POST", "/setup", setup.create, "public"),
    R("GET", "/login", login.show, "public"),
    R("POST", "/login", login.sign_in, "public"),
    R("POST", "/login/code", login.check_code, "public"),
    R("POST", "/logout", login.sign_out, "public"),
    R("POST", "/theme", theme.choose, "public"),
    # now
    R("GET", "/", now.page, "viewer"),
    R("GET", "/now.json", now.to_json, "viewer"),
    R("POST", "/findings/mute", now.mute, "operator"),
    R("POST", "/findings/unmute", now.unmute, "operator"),
    # everywhere
    R("GET", "/find", find.page, "viewer"),
    R("GET", "/find/results", find.results, "viewer"),
    R("GET", "/keys", keys.page, "viewer"),
    R("GET", "/news", news.page, "viewer"),
    R("GET", "/news/bell", news.bell, "viewer"),
    R("POST", "/news/mark", news.set_mark, "viewer"),
    # tasks
    R("GET", "/tasks", task_list.list_page, "viewer"),
    R("GET", "/tasks.json", task_exports.list_json, "viewer"),
    R("GET", "/tasks.csv", task_exports.list_csv, "viewer"),
    R("GET", "/tasks/complete", task_completion.complete, "viewer"),
    R("GET", "/tasks/compare", task_compare.compare_page, "viewer"),
    R("GET", "/tasks/views", task_views.views_page, "viewer"),
    R("POST", "/tasks/views", task_views.create, "viewer"),
    R("POST", "/tasks/views/{id:int}/change", task_views.change, "viewer"),
    R("POST", "/tasks/views/{id:int}/delete", task_views.delete, "viewer"),
    R("GET", "/tasks/{id:int}", task_detail.detail_page, "viewer"),
    R("GET", "/tasks/{id:int}.json", task_detail.detail_json, "viewer"),
    R("GET", "/tasks/{id:int}/logs", task_logs.logs_page, "viewer"),
    R("GET", "/tasks/{id:int}/logs.json", task_logs.logs_json, "viewer"),
    R("GET", "/tasks/{id:int}/logs.csv", task_logs.logs_csv, "viewer"),
    R("GET", "/tasks/{id:int}/workflow", task_workflow.workflow_page, "viewer"),
    R("GET", "/tasks/{id:int}/workflow.json", task_workflow.workflow_json, "viewer"),
    R("POST", "/tasks/{id:int}/retry", task_actions.retry, "operator"),
    R("POST", "/tasks/{id:int}/edit", task_actions.edit, "operator"),
    R("POST", "/tasks/{id:int}/restore", task_actions.restore, "operator"),
    R("POST", "/tasks/{id:int}/cancel", task_actions.cancel, "operator"),
    R("POST", "/tasks/{id:int}/release", task_actions.release, "operator"),
    R("POST", "/tasks/{id:int}/prioritise", task_actions.prioritise, "operator"),
    R("POST", "/tasks/{id:int}/move", task_actions.move, "operator"),
    R("POST", "/tasks/{id:int}/terminate", task_actions.terminate, "operator"),
    R("POST", "/tasks/{id:int}/inspect", task_actions.inspect, "operator"),
    R("GET", "/tasks/run", run.page, "operator"),
    R("POST", "/tasks/run", run.run, "operator"),
    R("GET", "/history/name.json", name_detail.detail_json, "viewer"),
    R("GET", "/history/queue.json", queue_detail.history_json, "viewer"),
    R("GET", "/history/worker.json", worker_detail.history_json, "viewer"),
    R("GET", "/names", name_list.list_page, "viewer"),
    R("GET", "/names.json", name_list.list_json, "viewer"),
    R("GET", "/names/{name:path}", name_detail.detail_page, "viewer"),
    # many at once
    R("GET", "/plans", plans.list_page, "viewer"),
    R("POST", "/plans", plans.freeze, "operator"),
    R("GET", "/plans/new", plans.new_page, "operator"),
    R("GET", "/plans/{id:int}", plans.detail_page, "viewer"),
    R("POST", "/plans/{id:int}/execute", plans.execute, "operator"),
    R("POST", "/plans/{id:int}/pause", plans.pause, "operator"),
    R("POST", "/plans/{id:int}/resume", plans.resume, "operator"),
    R("POST", "/plans/{id:int}/abort", plans.abort, "operator"),
    R("POST", "/plans/{id:int}/undo", plans.undo, "operator"),
    R("POST", "/commands/{id}/undo", queue_detail.undo, "operator"),
    # failures that are one problem
    R("GET", "/errors", error_list.list_page, "viewer"),
    R("GET", "/errors.json", error_list.list_json, "viewer"),
    R("GET", "/errors.csv", error_list.list_csv, "viewer"),
    R("POST", "/errors/act", error_actions.act_on_many, "operator"),
    R("GET", "/errors/{id:int}", error_detail.detail_page, "viewer"),
    R("GET", "/errors/{id:int}.json", error_detail.detail_json, "viewer"),
    R("POST", "/errors/{id:int}/act", error_actions.act, "operator"),
    # what reaches people
    R("GET", "/alerts", alert_list.list_page, "viewer"),
    R("GET", "/alerts.json", alert_list.list_json, "viewer"),
    R("GET", "/alerts/{id:int}", alert_list.detail_page, "viewer"),
    R("GET", "/alerts/{id:int}.json", alert_list.detail_json, "viewer"),
    R("POST", "/alerts/{id:int}/acknowledge", alert_list.acknowledge, "operator"),
    R("GET", "/acknowledge/{code}", alert_acknowledge.show, "public"),
    R("POST", "/acknowledge/{code}", alert_acknowledge.confirm, "public"),
    R("GET", "/alerts/rules", alert_rules.list_page, "viewer"),
    R("GET", "/alerts/rules/new", alert_rules.new_page, "admin"),
    R("POST", "/alerts/rules/new", alert_rules.create, "admin"),
    R("GET", "/alerts/rules/{id:int}", alert_rules.edit_page, "viewer"),
    R("POST", "/alerts/rules/{id:int}", alert_rules.change, "admin"),
    R("POST", "/alerts/rules/{id:int}/delete", alert_rules.delete, "admin"),
    R("GET", "/alerts/channels", alert_channels.page, "auditor"),
    R("POST", "/alerts/channels", alert_channels.create, "admin"),
    R("POST", "/alerts/channels/{id:int}", alert_channels.change, "admin"),
    R("POST", "/alerts/channels/{id:int}/test", alert_channels.send_test, "admin"),
    R("POST", "/alerts/channels/{id:int}/enable", alert_channels.enable, "admin"),
    R("POST", "/alerts/channels/{id:int}/disable", alert_channels.disable, "admin"),
    R("POST", "/alerts/channels/{id:int}/delete", alert_channels.delete, "admin"),
    R("GET", "/alerts/maintenance", alert_maintenance.page, "viewer"),
    R("POST", "/alerts/maintenance", alert_maintenance.create, "operator"),
    R("POST", "/alerts/maintenance/{id:int}/end", alert_maintenance.end, "operator"),
    R("GET", "/alerts/messages", alert_messages.page, "viewer"),
    # lists and settings
    R("GET", "/workers", worker_list.list_page, "viewer"),
    R("GET", "/workers.json", worker_list.list_json, "viewer"),
    R("GET", "/workers.csv", worker_list.list_csv, "viewer"),
    R("GET", "/queues", queue_list.list_page, "viewer"),
    R("GET", "/queues.json", queue_list.list_json, "viewer"),
    R("GET", "/queues.csv", queue_list.list_csv, "viewer"),
    R("POST", "/queues/act", queue_detail.act, "operator"),
    R("GET", "/queues/{name:path}", queue_detail.detail_page, "viewer"),
    R("POST", "/workers/act", worker_detail.act, "operator"),
    R("GET", "/workers/{name:path}", worker_detail.detail_page, "viewer"),
    # what makes tasks by the clock
    R("GET", "/schedules", schedule_list.list_page, "viewer"),
    R("GET", "/schedules.json", schedule_list.list_json, "viewer"),
    R("GET", "/schedules.csv", schedule_list.list_csv, "viewer"),
    R("GET", "/schedules/calendar", calendar.page, "viewer"),
    R("GET", "/schedules/new", schedule_form.new_page, "operator"),
    R("POST", "/schedules/new", schedule_form.create, "operator"),
    R("POST", "/schedules/preview", schedule_form.preview_part, "operator"),
    R("GET", "/schedules/{id:int}", schedule_detail.detail_page, "viewer"),
    R("GET", "/schedules/{id:int}.json", schedule_detail.detail_json, "viewer"),
    R("GET", "/schedules/{id:int}/edit", schedule_form.edit_page, "operator"),
    R("POST", "/schedules/{id:int}/edit", schedule_form.edit, "operator"),
    R("POST", "/schedules/{id:int}/act", schedule_detail.act, "operator"),
    # what was recorded
    R("GET", "/incidents", incident_list.list_page, "viewer"),
    R("GET", "/incidents.json", incident_list.list_json, "viewer"),
    R("POST", "/incidents", incident_list.start, "operator"),
    R("GET", "/incidents/shared/{code}", incident_detail.shared, "public"),
    R("GET", "/incidents/{id:int}.json", incident_detail.detail_json, "viewer"),
    R("GET", "/incidents/{id:int}.html", incident_detail.file, "viewer"),
    R("GET", "/incidents/{id:int}.md", incident_detail.as_markdown, "viewer"),
    R("GET", "/incidents/{id:int}", incident_detail.detail_page, "viewer"),
    R("POST", "/incidents/{id:int}/note", incident_detail.note, "operator"),
    R("POST", "/incidents/{id:int}/rename", incident_detail.rename, "operator"),
    R("POST", "/incidents/{id:int}/end", incident_detail.end, "operator"),
    R("POST", "/incidents/{id:int}/share", incident_detail.share, "operator"),
    R("POST", "/incidents/{id:int}/delete", incident_detail.delete, "operator"),
    # what was rolled out
    R("GET", "/releases", release_list.list_page, "viewer"),
    R("GET", "/releases.json", release_list.list_json, "viewer"),
    R("POST", "/releases", release_list.mark, "operator"),
    R("GET", "/releases/{release:path}.json", release_detail.detail_json, "viewer"),
    R("GET", "/releases/{release:path}", release_detail.detail_page, "viewer"),
    # actions of users
    R("GET", "/changes", changes_commands.list_page, "viewer"),
    R("GET", "/changes.json", changes_commands.list_json, "viewer"),
    R("GET", "/changes.csv", changes_commands.list_csv, "viewer"),
    R("GET", "/changes/audit", audit_log.audit_page, "auditor"),
    R("GET", "/changes/audit.json", audit_log.audit_json, "auditor"),
    R("GET", "/changes/audit.csv", audit_log.audit_csv, "auditor"),
    # programs
    *(R(operation.method, operation.path, operation.endpoint, operation.role) for operation in OPERATIONS),
    # settings
    R("GET", "/settings", access.home, "auditor"),
    R("GET", "/settings/apps", access.apps_page, "auditor"),
    R("POST", "/settings/apps/{id:int}/disable", access.disable_app, "admin"),
    R("POST", "/settings/apps/{id:int}/enable", access.enable_app, "admin"),
    R("GET", "/connect", connect.new_page, "viewer"),
    R("POST", "/connect", connect.create, "admin"),
    R("GET", "/connect/{id:int}", connect.steps_page, "viewer"),
    R("POST", "/connect/{id:int}/try", connect.try_it, "operator"),
    R("GET", "/settings/tokens", access.tokens_page, "auditor"),
    R("POST", "/settings/tokens", access.add_token, "admin"),
    R("POST", "/settings/tokens/{id:int}/revoke", access.revoke_token, "admin"),
    R("GET", "/settings/users", access.users_page, "auditor"),
    R("POST", "/settings/users", access.add_user, "admin"),
    R("POST", "/settings/users/{id:int}/role", access.set_role, "admin"),
    R("POST", "/settings/users/{id:int}/disable", access.disable_user, "admin"),
    R("POST", "/settings/users/{id:int}/enable", access.enable_user, "admin"),
    R("GET", "/settings/links", links.links_page, "auditor"),
    R("POST", "/settings/links", links.add_link, "admin"),
    R("POST", "/settings/links/{id:int}/delete", links.delete_link, "admin"),
    R("GET", "/settings/appliance", appliance.page, "auditor"),
    R("GET", "/settings/forwarding", forwarding.page, "auditor"),
    R("POST", "/settings/forwarding", forwarding.create, "admin"),
    R("POST", "/settings/forwarding/{id:int}", forwarding.change, "admin"),
    R("POST", "/settings/forwarding/{id:int}/test", forwarding.send_test, "admin"),
    R("POST", "/settings/forwarding/{id:int}/enable", forwarding.enable, "admin"),
    R("POST", "/settings/forwarding/{id:int}/disable", forwarding.disable, "admin"),
    R("POST", "/settings/forwarding/{id:int}/delete", forwarding.delete, "admin"),
    R("GET", "/demo", demo.page, "viewer"),
    R("POST", "/demo/reset", demo.reset, "admin"),
    R("GET", "/settings/account", account.show, "viewer"),
    R("POST", "/settings/account/zone", account.choose_zone, "viewer"),
    R("POST", "/settings/account/totp", account.begin, "viewer"),
    R("POST", "/settings/account/totp/confirm", account.confirm, "viewer"),
    R("POST", "/settings/account/totp/codes", account.renew_codes, "viewer"),
    R("POST", "/settings/account/totp/off", account.turn_off, "viewer"),
    # packages
    R("GET", "/simple/", package_index.list_projects, "packages"),
    R("GET", "/simple/{project}/", package_index.list_files, "packages"),
    R("GET", "/simple/{project}/{name}", package_index.get_file, "packages"),
    # documents
    R("GET", "/docs", documents.list_page, "viewer"),
    R("GET", "/docs/grafana.json", documents.board, "viewer"),
    R("GET", "/docs/{name}.md", documents.markdown, "viewer"),
    R("GET", "/docs/{name}", documents.page, "viewer"),
    # pieces of pages
    R("GET", "/strip", strip.region, "viewer"),
    R("GET", "/events", live.events, "viewer"),
    R("GET", "/patterns", component_gallery.show, "viewer"),
)

IN_EVENT_LOOP: Final = frozenset(
    {"/events", "/news", "/find", "/find/results", "/connect/{id:int}", "/settings/account", "/settings/appliance"}
)
"""Pages that await more than reads of the store."""


def endpoint_of(row: R) -> Endpoint:
    """Returns the endpoint of a route as it is served. A page is read and written in the thread of one reader, over one state of the
    database: its reads alone would cost thirty changes of threads, and the event loop serves agents meanwhile."""
    if row.method != "GET" or row.role in ("public", "packages") or row.path in IN_EVENT_LOOP:
        return row.endpoint

    @functools.wraps(row.endpoint)
    async def at_once(request: Request) -> Response:
        return await services(request).store.at_once(lambda: row.endpoint(request))

    return at_once
