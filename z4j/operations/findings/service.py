# SPDX-License-Identifier: AGPL-3.0-or-later
"""Holds the current findings: a background duty evaluates them every few seconds, and pages read the last result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Final

from z4j.agents.connections import Hub
from z4j.operations.findings import errors, queue_ledger, schedules
from z4j.operations.findings.fleet import FleetFindings
from z4j.operations.findings.rule_inputs import Gatherer
from z4j.operations.findings.server import ServerFindings
from z4j.operations.findings.thresholds import ThresholdFindings
from z4j.rules.findings import backlog, failure_rate, queue_losses, run_and_retry_rates, runtimes
from z4j.rules.findings.activity import NameActivity, QueueActivity
from z4j.rules.findings.causes import without_repeats
from z4j.rules.findings.finding import Finding, ranked
from z4j.store.findings import findings
from z4j.store.findings.findings import Muted, OpenFinding
from z4j.store.sqlite.db import Store

EVERY_S: Final = 10.0
MOST: Final = 200
"""Maximum findings; with more, only the worst are kept."""


class Findings:
    """One per server. `changed` is called with the topics of `live` that changed."""

    def __init__(
        self, store: Store, hub: Hub, changed: Callable[[Iterable[str]], None], server: ServerFindings | None = None
    ) -> None:  # fmt: skip
        self.store = store
        self.changed = changed
        self.gather = Gatherer(store, hub)
        self.fleet = FleetFindings(store)
        self.thresholds = ThresholdFindings(store)
        self.server = server
        self.current: tuple[Finding, ...] = ()
        """Current findings without muted ones, the worst first."""
        self.muted: tuple[tuple[Finding, Muted], ...] = ()
        """Muted findings."""
        self.queues: tuple[QueueActivity, ...] = ()
        """Every queue at the last evaluation."""
        self.checked_at: int | None = None
        self.checked = (0, 0)
        """Numbers of evaluated task names and queues."""
        self._open: dict[str, OpenFinding] | None = None

    async def look(self, at: int) -> None:
        """Evaluates all rules once. Raises StoreError."""
        # Beside the event loop: it takes a tenth of a second.
        names, queues, found = await self.store.at_once(lambda: self._look_at_activity(at))
        by_name = {(name.scope, name.name): name for name in names}
        found += [
            *await self.fleet.find(by_name, at),
            *await errors.find(self.store, by_name, self.fleet.releases, at),
            *await schedules.find(self.store, at),
            *await self.thresholds.find(at),
        ]
        if self.server is not None:
            found += await self.server.find(self.store, at)
        await self._keep(ranked(without_repeats(finding for finding in found if finding is not None))[:MOST], at)
        self.queues = tuple(queues)
        self.checked_at, self.checked = at, (len(names), len(queues))

    async def _look_at_activity(self, at: int) -> tuple[list[NameActivity], list[QueueActivity], list[Finding | None]]:
        names, queues = await self.gather.names(at), await self.gather.queues(at)
        found: list[Finding | None] = [
            rule(name) for name in names for rule in (failure_rate.find, runtimes.find, run_and_retry_rates.find)
        ]
        before = {(queue.scope, queue.name): queue for queue in self.queues}
        for queue in queues:
            of_queue = await queue_ledger.read_unbalanced(self.store, queue, at)
            found += [backlog.find(queue), *queue_losses.find(queue, before.get((queue.scope, queue.name)), of_queue)]
        return names, queues, found

    async def _keep(self, found: list[Finding], at: int) -> None:
        muted = await findings.list_muted(self.store)
        by_muted = [(finding, next((each for each in muted if each.holds(finding)), None)) for finding in found]
        shown = [finding for finding, each in by_muted if each is None]
        if self._open is None:
            self._open = await findings.list_open(self.store)
        known, keys = self._open, {finding.key for finding in found}
        begun = [finding for finding in shown if finding.key not in known]
        worse = [finding for finding in shown if finding.key in known and findings.is_worse(finding.level, known[finding.key].level)]
        ended = [key for key in known if key not in keys]
        if begun or worse or ended:
            await self.store.write(partial(findings.save, begun=begun, worse=worse, ended=ended, at=at))
            self._open = await findings.list_open(self.store)
        current = tuple(_dated(finding, self._open.get(finding.key), at) for finding in shown)
        if current != self.current:
            self.changed(("now",))
        self.current = current
        self.muted = tuple((finding, each) for finding, each in by_muted if each is not None)

    async def refresh(self, at: int) -> None:
        """Applies muting and unmuting to the current findings, without a new evaluation."""
        await self._keep(ranked([*self.current, *(finding for finding, _ in self.muted)]), at)


def _dated(finding: Finding, known: OpenFinding | None, at: int) -> Finding:
    """Returns the finding with the times at which it began and was first reported."""
    began_at, found_at = (at, at) if known is None else (known.began_at, known.found_at)
    return replace(finding, since=finding.since or began_at, found_at=found_at)
