# SPDX-License-Identifier: AGPL-3.0-or-later
"""The services of endpoints, at `request.app.state.services`; created once by the composition root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from z4j.agents.connections import Hub
from z4j.appliance.demo import Demo
from z4j.background.clock_watch import ClockWatch
from z4j.background.retention import RetentionDuty
from z4j.background.word_index import WordIndexDuty
from z4j.duty_loop import Duties
from z4j.listener.tls import ServerTls
from z4j.live import Live
from z4j.operations.alerts.actions import AlertActions
from z4j.operations.commands import Dispatch
from z4j.operations.errors import ErrorService
from z4j.operations.findings.news import NewsService
from z4j.operations.findings.service import Findings
from z4j.operations.forwarding.actions import ForwardingActions
from z4j.operations.incidents import Incidents
from z4j.operations.metrics.exposition import Metrics
from z4j.operations.plans import Plans
from z4j.operations.schedules import ScheduleService
from z4j.settings import Settings
from z4j.store.access.audit import AuditLog
from z4j.store.sqlite.db import Store
from z4j.web.auth.authentication import Auth
from z4j.web.pages.tasks.sidebar_views import SidebarViews


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one server."""

    store: Store
    hub: Hub
    live: Live
    dispatch: Dispatch
    plans: Plans
    schedules: ScheduleService
    errors: ErrorService
    settings: Settings
    audit: AuditLog
    auth: Auth
    duties: Duties
    retention: RetentionDuty
    clock_watch: ClockWatch
    word_index: WordIndexDuty
    findings: Findings
    alerts: AlertActions
    incidents: Incidents
    news: NewsService
    sidebar_views: SidebarViews
    metrics: Metrics
    forwarding: ForwardingActions
    role_of: Callable[[str, str], str | None]
    """(method, path) → the role that a route requires, None where there is no such route."""
    tls: ServerTls | None = None
    """None where the server does not speak TLS itself."""
    demo: Demo | None = None
    """None on a real server."""


def services(request: Request) -> Services:
    """Returns the services of the server of a request."""
    server: Services = request.app.state.services
    return server
