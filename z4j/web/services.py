# SPDX-License-Identifier: AGPL-3.0-or-later
"""What endpoints work with: found at `request.app.state.services`, made once by the composition root."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from z4j.background.duty import Duties
from z4j.background.retention import RetentionDuty
from z4j.dispatch import Dispatch
from z4j.hub import Hub
from z4j.live import Live
from z4j.plans import Plans
from z4j.schedules import ScheduleDesk
from z4j.settings import Settings
from z4j.store.audit import AuditLog
from z4j.store.db import Store
from z4j.web.auth import Auth


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one server."""

    store: Store
    hub: Hub
    live: Live
    dispatch: Dispatch
    plans: Plans
    schedules: ScheduleDesk
    settings: Settings
    audit: AuditLog
    auth: Auth
    duties: Duties
    retention: RetentionDuty


def services(request: Request) -> Services:
    """Those of the server this request came to."""
    found: Services = request.app.state.services
    return found
