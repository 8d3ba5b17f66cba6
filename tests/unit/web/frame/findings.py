# SPDX-License-Identifier: AGPL-3.0-or-later
"""Samples of the page Now, for the test that renders every template."""

from __future__ import annotations

from z4j.appliance.demo_faults import FAULTS, NOT_SHOWN
from z4j.rules.charts.model import Mark, Series, TimeChart
from z4j.rules.findings.activity import QueueActivity, QueueMinute
from z4j.rules.findings.finding import Finding, Link, Scope
from z4j.store.findings.findings import EndedFinding, Muted
from z4j.store.operations.commands import CommandRow
from z4j.web.frame.render import Choice, Shell
from z4j.web.pages.demo import FaultLine, FaultsPage
from z4j.web.pages.finding_items import FindingAction
from z4j.web.pages.now import FindingLine, NowPage, QueueLine

MINUTE_US = 60_000_000


def full(shell: Shell, command: CommandRow, evil: str) -> NowPage:
    """Every part of the page, with hostile names."""
    now, scope = shell.now, Scope(evil, evil, evil)
    finding = Finding(
        "slow", evil, "bad", 1, evil, evil, evil, scope, now, Link(evil, "/tasks?q=1"), (Link(evil, "/tasks?q=2"),), (1.0, None, 3.0), evil
    )
    queue = QueueActivity(scope, evil, now, 9, 5_000_000, 0, 1, 2, 9, 1, 4, False, 1_000_000, (QueueMinute(9, 1, 1, 0),))
    return NowPage(
        shell=shell,
        lines=(
            FindingLine(finding, FindingAction(evil, "/tasks?q=1", ""), "failed", "act"),
            FindingLine(finding, FindingAction(evil, "", "operator"), "failed", "act"),
            FindingLine(Finding("x", "s", "blind", 1, evil, evil, evil), None, "unknown", "unknown"),
        ),
        muted=(FindingLine(finding, FindingAction(evil, "/tasks?q=1", ""), "failed", "act", Muted("slow", scope, evil, evil, evil, now)),),
        ended=(EndedFinding("k", "slow", scope, evil, "bad", evil, evil, now - 9, now),), summary="1 critical",
        checked="3 task names checked",
        is_stale=True,
        queues=(QueueLine(queue, "/queues/x", "/tasks?queue=x", "11–14 min", "retrying"), QueueLine(queue, "/q", "/t", "", "")),
        queues_href="/queues", queue_count=24, actions=(command,), chart=chart(now, evil), spans=(Choice("90 min", "/?range=90m", True),),
        live_href="/?range=90m", may_mute=True, news=evil, news_since="Friday 18:02",
    )  # fmt: skip


def calm(shell: Shell, *, is_stale: bool) -> NowPage:
    """Nothing is found."""
    return NowPage(
        shell=shell, lines=(), muted=(), ended=(), summary="", checked="0 task names checked", is_stale=is_stale, queues=(),
        queues_href="/queues", queue_count=0, actions=(), chart=TimeChart("Finished", (), ()), spans=(), live_href="/", may_mute=False,
        news="", news_since="",
    )  # fmt: skip


def faults(shell: Shell, evil: str) -> FaultsPage:
    """The faults of a demo: found once, twice, and not."""
    found = Finding("x", evil, "bad", 1, evil, evil, evil, action=Link(evil, "/tasks?q=1"))
    offered, refused = (found, FindingAction(evil, "/tasks?q=1", "")), (found, FindingAction(evil, "", "operator"))
    lines = (FaultLine(FAULTS[0], (offered,)), FaultLine(FAULTS[1], (refused, offered)), FaultLine(FAULTS[2], ()))
    return FaultsPage(shell, lines, 2, NOT_SHOWN)


def chart(now: int, evil: str) -> TimeChart:
    times = tuple(now // MINUTE_US * MINUTE_US + number * MINUTE_US for number in range(5))
    return TimeChart(
        evil, times, (Series(evil, "succeeded", (1.0, 2.0, None, 4.0, 5.0)),), marks=(Mark(times[2], evil, "/changes", "action"),)
    )
