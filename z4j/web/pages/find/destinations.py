# SPDX-License-Identifier: AGPL-3.0-or-later
"""Searchable pages and general actions, with the role that each requires. A test compares the roles with those of the routes."""

from __future__ import annotations

from typing import Final, NamedTuple

from z4j.rules.permissions import is_allowed
from z4j.rules.queries.search_ranking import Candidate
from z4j.web.frame.shell import RAIL


class Destination(NamedTuple):
    """A page, or the form of an action; `words` are synonyms."""

    kind: str
    text: str
    href: str
    role: str
    words: str = ""


DESTINATIONS: Final[tuple[Destination, ...]] = (
    *(Destination("page", word, href, role) for word, _, href, _, role in RAIL),
    Destination("page", "News", "/news", "viewer", "bell away changed notifications"),
    Destination("page", "Task names", "/names", "viewer", "history functions"),
    Destination("page", "Views", "/tasks/views", "viewer", "saved queries"),
    Destination("page", "Plans", "/plans", "viewer", "bulk actions"),
    Destination("page", "Calendar", "/schedules/calendar", "viewer", "next 24 hours due times"),
    Destination("page", "Commands", "/changes", "viewer", "actions sent to agents"),
    Destination("page", "Audit log", "/changes/audit", "auditor", "who did what"),
    Destination("page", "Releases", "/releases", "viewer", "deployments versions before and after"),
    Destination("page", "Incidents", "/incidents", "viewer", "records outages what happened"),
    Destination("page", "Alert rules", "/alerts/rules", "viewer", "thresholds quiet hours"),
    Destination("page", "Alert channels", "/alerts/channels", "auditor", "slack mail webhook notifications"),
    Destination("page", "Maintenance", "/alerts/maintenance", "viewer", "silence alerts"),
    Destination("page", "Messages", "/alerts/messages", "viewer", "deliveries of alerts"),
    Destination("page", "Apps", "/settings/apps", "auditor"),
    Destination("page", "Tokens", "/settings/tokens", "auditor", "api keys"),
    Destination("page", "Users", "/settings/users", "auditor", "people roles"),
    Destination("page", "Appliance", "/settings/appliance", "auditor", "disk retention backups certificate tls clock duties"),
    Destination("page", "Your account", "/settings/account", "viewer", "profile"),
    Destination("page", "Keys", "/keys", "viewer", "shortcuts keyboard help"),
    Destination("page", "Patterns", "/patterns", "viewer", "components"),
    Destination("action", "Run a task…", "/tasks/run", "operator", "start enqueue send"),
    Destination("action", "New schedule…", "/schedules/new", "operator", "add create cron"),
    Destination("action", "New alert rule…", "/alerts/rules/new", "admin", "add create notify"),
    Destination("action", "Start an incident…", "/incidents", "operator", "record outage"),
    Destination("action", "Start maintenance…", "/alerts/maintenance", "operator", "silence alerts"),
    Destination("action", "Connect an app…", "/connect", "viewer", "add agent connection string install"),
    Destination("action", "Add a user…", "/settings/users", "admin", "new person invite"),
    Destination("action", "New API token…", "/settings/tokens", "admin", "create key"),
    Destination("action", "Change the time zone…", "/settings/account#zone", "viewer", "utc local times"),
    Destination("action", "Set up two-factor authentication…", "/settings/account", "viewer", "totp code security 2fa"),
    Destination("action", "Save a view…", "/tasks/views", "viewer", "query"),
)  # fmt: skip


class Verb(NamedTuple):
    """An action on something with a name: `pause emails` finds the page of the queue, which has its form."""

    word: str
    kind: str
    role: str = "operator"


VERBS: Final[tuple[Verb, ...]] = (
    Verb("pause", "queue"), Verb("resume", "queue"), Verb("purge", "queue"), Verb("run", "name"), Verb("run", "schedule"),
    Verb("edit", "schedule"), Verb("disable", "schedule"), Verb("enable", "schedule"), Verb("restart", "worker"),
    Verb("shut down", "worker"), Verb("resize", "worker"), Verb("retry", "error"), Verb("resolve", "error"), Verb("ignore", "error"),
    Verb("assign", "error"),
)  # fmt: skip


def destinations_for(role: str) -> list[Candidate]:
    """Returns the pages and actions that a role may use."""
    return [Candidate(each.kind, each.text, each.href, "", each.words) for each in DESTINATIONS if is_allowed(role, each.role)]


def verbs_for(role: str, query: str) -> list[tuple[Verb, str]]:
    """Returns the actions that a query begins with, each with the rest of the query: `pau emails` pauses `emails`."""
    first, _, rest = query.lower().strip().partition(" ")
    found = []
    for verb in VERBS:
        if not is_allowed(role, verb.role):
            continue
        whole = f"{verb.word} "
        if query.lower().startswith(whole) and query[len(whole) :].strip():
            found.append((verb, query[len(whole) :].strip()))
        elif " " not in verb.word and len(first) >= 3 and verb.word.startswith(first) and rest.strip():
            found.append((verb, rest.strip()))
    return found
