# SPDX-License-Identifier: AGPL-3.0-or-later
"""Evaluates processes, their running tasks, their own reports, and their registered task names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from z4j.rules.findings.activity import NameActivity
from z4j.rules.findings.finding import Finding, Scope
from z4j.rules.findings.fleet import agents, missing_heartbeats, stuck_tasks, unregistered_tasks, worker_differences, worker_restarts
from z4j.rules.findings.fleet.agents import FaultReport, GapReport, RefusedReport
from z4j.rules.findings.fleet.process import MINUTE_US, Process
from z4j.rules.findings.fleet.unregistered_tasks import WaitingName
from z4j.rules.rollups import DAY_US, HOUR_US
from z4j.store.findings import fleet
from z4j.store.findings.activity import Subject
from z4j.store.fleet import gaps
from z4j.store.names.name_limits import refused_text
from z4j.store.sqlite.db import Store


class FleetFindings:
    """One per server."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.processes = 0
        """Number of processes in the last evaluation."""
        self.releases: dict[str, set[str]] = {}
        """App → the releases that its connected processes run."""
        self._waits: dict[Subject, int] = {}
        """Since when a name waits without being registered."""

    async def find(self, names: Mapping[Subject, NameActivity], at: int) -> list[Finding]:
        """Returns the findings of processes. Raises StoreError."""
        processes = await self._processes(at)
        self.processes, self.releases = len(processes), {}
        for process in processes:
            if process.is_connected and process.release:
                self.releases.setdefault(process.scope.app, set()).add(process.release)
        running = await fleet.list_running(self.store, at - DAY_US, at - stuck_tasks.LEAST_US)
        ends = await fleet.list_ends(self.store, at - DAY_US, at - worker_restarts.RECENT_MIN * MINUTE_US)
        of_processes = await asyncio.to_thread(_find, processes, at)  # thousands of them take longer than a page
        return [
            *of_processes, *stuck_tasks.find(running, names, at), *worker_restarts.find_killed(ends, at),
            *unregistered_tasks.find(ends, await self._waiting(processes, names, at)), *await self._reports(at),
        ]  # fmt: skip

    async def _processes(self, at: int) -> list[Process]:
        """Every process of the last day; silent ones with their running tasks."""
        known = await fleet.list_processes(self.store, at - DAY_US)
        silent = {(app_id, process.boot) for app_id, process in known if missing_heartbeats.is_silent(process, at)}
        held = await fleet.count_held(self.store, sorted(silent)) if silent else {}
        return [
            replace(process, last_running=held[app_id, process.boot]) if (app_id, process.boot) in held else process
            for app_id, process in known
        ]

    async def _waiting(self, processes: Sequence[Process], names: Mapping[Subject, NameActivity], at: int) -> list[WaitingName]:
        workers: dict[Scope, int] = {}
        for process in processes:
            if process.is_connected and process.role == "worker":
                for engine in process.engines:
                    scope = process.scope._replace(engine=engine)
                    workers[scope] = workers.get(scope, 0) + 1
        waiting = await fleet.list_unregistered(self.store)
        self._waits = {subject: self._waits.get(subject, at) for subject in waiting}
        return [
            WaitingName(
                scope=subject[0], name=subject[1], queue=queue, tasks=tasks, workers=workers.get(subject[0], 0),
                started=names[subject].last(60).started if subject in names else 0, waits_us=at - self._waits[subject],
            )
            for subject, (queue, tasks) in waiting.items()
        ]  # fmt: skip

    async def _reports(self, at: int) -> list[Finding]:
        """Problems that agents reported in the last hour, and their refused reports."""
        since = at - HOUR_US
        dropped = [
            GapReport(gap.app, gap.at, gap.events, gap.first_at, gap.last_at, gap.cause)
            for gap in await gaps.list_gaps(self.store, since=since)
        ]
        faults = [
            FaultReport(fault.app, fault.at, fault.place, fault.error, fault.events)
            for fault in await gaps.list_faults(self.store, since=since)
        ]
        refused = [
            RefusedReport(row.app, refused_text(row.cause, row.events), row.last_at)
            for row in await gaps.list_refused(self.store) if row.last_at >= since
        ]  # fmt: skip
        return [*agents.find_dropped(dropped), *agents.find_faults(faults), *agents.find_refused(refused)]


def _find(processes: Sequence[Process], at: int) -> list[Finding]:
    """The findings that need only processes."""
    return [
        *missing_heartbeats.find(processes, at), *worker_restarts.find_loops(processes, at), *worker_differences.find(processes, at),
        *agents.find_clocks(processes), *agents.find_behind(processes),
    ]  # fmt: skip
