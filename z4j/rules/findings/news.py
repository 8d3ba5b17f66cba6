# SPDX-License-Identifier: AGPL-3.0-or-later
"""News: changes since a user's last visit. Pure; times are microseconds UTC."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlencode

from z4j.formats import plural
from z4j.rules.findings.finding import Scope, name_href, queue_href, workers_href

BEGAN, ENDED, PLAN, COMMAND, ERROR, SCHEDULE, RELEASE = "began", "ended", "plan", "command", "error", "schedule", "release"
_OF_NAMES: Final = frozenset({"slow", "quick", "seldom", "retries", "failing_more", "stuck", "killed", "unregistered"})
_OF_QUEUES: Final = frozenset({"backlog", "unserved_queue", "broker_loss", "unaccounted", "dead_letters", "different_workers"})
_OF_SERVER: Final = frozenset({"disk", "certificate", "retention", "backup", "duty"})
_WORDS: Final = {
    BEGAN: ("finding began", "findings began"), ENDED: ("ended", "ended"), PLAN: ("plan finished", "plans finished"),
    COMMAND: ("of your actions failed", "of your actions failed"), ERROR: ("error regressed", "errors regressed"),
    SCHEDULE: ("schedule was changed", "schedules were changed"), RELEASE: ("new release", "new releases"),
}  # fmt: skip
"""Singular and plural phrases."""


class News(NamedTuple):
    """One change. `mine`: the only user who sees it, "" for every user. `by`: the user who made it and does not see it, "" for none."""

    at: int
    kind: str
    title: str
    text: str
    href: str
    state: str
    mine: str = ""
    by: str = ""

    def is_for(self, name: str) -> bool:
        """Whether it is shown to a user."""
        return self.mine in ("", name) and self.by != name


def in_order(news: Iterable[News]) -> tuple[News, ...]:
    """Returns the news, the newest first."""
    return tuple(sorted(news, key=lambda each: (-each.at, each.kind, each.title)))


def unread(news: Sequence[News], name: str, read_until: int) -> list[News]:
    """Returns the unread ones of sorted news."""
    found = []
    for each in news:
        if each.at <= read_until:
            break
        if each.is_for(name):
            found.append(each)
    return found


def summary(news: Iterable[News]) -> str:
    """3 findings began, 2 ended, 1 plan finished; "" for none."""
    counts = Counter(each.kind for each in news)
    return ", ".join(plural(counts[kind], *words) for kind, words in _WORDS.items() if counts[kind])


def finding_href(kind: str, scope: Scope, subject: str) -> str:
    """Returns the URL of the subject of a finding. Needed for findings that have ended, which Now no longer links."""
    if kind == "error":
        return f"/errors/{subject}"
    if kind in _OF_NAMES:
        return name_href(scope, subject)
    if kind in _OF_QUEUES:
        return queue_href(scope, subject)
    if "schedule" in kind:
        places = [(key, value) for key, value in (("app", scope.app), ("environment", scope.environment)) if value]
        return f"/schedules?{urlencode(places)}" if places else "/schedules"
    if kind in ("stopped_plan", "stalled_plan"):
        return f"/plans/{subject}"
    if kind == "audit_alarm":
        return "/changes"
    if kind in _OF_SERVER:
        return "/settings/appliance"
    return workers_href(scope)
