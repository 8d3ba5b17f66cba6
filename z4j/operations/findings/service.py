# SPDX-License-Identifier: AGPL-3.0-or-later
"""Keeps the findings of this moment: a background duty looks again every few seconds, and pages read what it found last."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Final

from z4j.agents.connections import Hub
from z4j.operations.findings import errors, schedules
from z4j.operations.findings.fleet import FleetFindings
from z4j.operations.findings.gather import Gatherer
from z4j.operations.findings.server import ServerFindings
from z4j.rules.findings import backlog, failing_more, queue_losses, speed, volume
from z4j.rules.findings.activity import QueueActivity
from z4j.rules.findings.causes import without_repeats
from z4j.rules.findings.finding import Finding, ranked
from z4j.store.findings import findings
from z4j.store.findings.findings import Muted, OpenFinding
from z4j.store.sqlite.db import Store

EVERY_S: Final = 10.0
MOST: Final = 200
"""Findings kept at a time: with more, something else is wrong, and the worst of them say it."""


class Findings:
    """One per server. `changed` is called with the topics of `live` that changed."""

    def __init__(
        self, store: Store, hub: Hub, changed: Callable[[Iterable[str]], None], server: ServerFindings | None = None
    ) -> None:  # fmt: skip
        self.store = store
        self.changed = changed
        self.gather = Gatherer(store, hub)
        self.fleet = FleetFindings(store)
        self.server = server
        self.current: tuple[Finding, ...] = ()
        """What is wrong, the worst first; without what was muted."""
        self.muted: tuple[tuple[Finding, Muted], ...] = ()
        """What is wrong and was muted."""
        self.queues: tuple[QueueActivity, ...] = ()
        """Every queue as it was looked at last."""
        self.checked_at: int | None = None
        self.checked = (0, 0)
        """How many task names and queues were looked at."""
        self._open: dict[str, OpenFinding] | None = None

    async def look(self, at: int) -> None:
        """Looks at everything once. Raises StoreError."""
        names, queues = await self.gather.names(at), await self.gather.queues(at)
        found: list[Finding | None] = [rule(name) for name in names for rule in (failing_more.find, speed.find, volume.find)]
        before = {(queue.scope, queue.name): queue for queue in self.queues}
        for queue in queues:
            found += [backlog.find(queue), *queue_losses.find(queue, before.get((queue.scope, queue.name)))]
        by_name = {(name.scope, name.name): name for name in names}
        found += [
            *await self.fleet.find(by_name, at),
            *await errors.find(self.store, by_name, self.fleet.releases, at),
            *await schedules.find(self.store, at),
        ]
        if self.server is not None:
            found += await self.server.find(self.store, at)
        await self._keep(ranked(without_repeats(finding for finding in found if finding is not None))[:MOST], at)
        self.queues = tuple(queues)
        self.checked_at, self.checked = at, (len(names), len(queues))

    async def _keep(self, found: list[Finding], at: int) -> None:
        muted = await findings.list_muted(self.store)
        by_muted = [(finding, next((each for each in muted if each.holds(finding)), None)) for finding in found]
        shown = [finding for finding, each in by_muted if each is None]
        if self._open is None:
            self._open = await findings.list_open(self.store)
        known, keys = self._open, {finding.key for finding in shown}
        begun = [finding for finding in shown if finding.key not in known]
        worse = [finding for finding in shown if finding.key in known and findings.is_worse(finding.level, known[finding.key].level)]
        ended = [key for key in known if key not in keys]
        if begun or worse or ended:
            await self.store.write(partial(findings.save, begun=begun, worse=worse, ended=ended, at=at))
            self._open = await findings.list_open(self.store)
        since = {key: each.began_at for key, each in self._open.items()}
        current = tuple(replace(finding, since=finding.since or since.get(finding.key, at)) for finding in shown)
        if current != self.current:
            self.changed(("now",))
        self.current = current
        self.muted = tuple((finding, each) for finding, each in by_muted if each is not None)

    async def refresh(self, at: int) -> None:
        """Applies what was muted or unmuted to the findings at hand, without looking again."""
        await self._keep(ranked([*self.current, *(finding for finding, _ in self.muted)]), at)
