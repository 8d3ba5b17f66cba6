# SPDX-License-Identifier: Apache-2.0
"""arq's cron jobs as schedules: listing, changes, and runs. Used in the agent's thread."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

import z4j_agent
from z4j_agent.contract.adapter import Finding, Refused
from z4j_agent.contract.scheduler import Override, ScheduleInfo, Scheduler, show_arguments
from z4j_arq.messages import ENGINE, parameter_names
from z4j_arq.schedulers.cron_jobs import SCHEDULER, OverriddenEntry, Table
from z4j_arq.schedulers.overrides import expression_of, is_frozen, next_of, zone_of
from z4j_arq.state import ArqState
from z4j_arq.task_commands import run_function

LEAST_TICK_S = 0.5
"""Seconds that arq looks ahead, however short `poll_delay` is (arq, worker.py:heart_beat)."""
AT_STARTUP = "It also runs whenever a worker starts."


class ArqCron(Scheduler):
    """The schedules of this process. Every worker with cron jobs is a scheduler."""

    scheduler: ClassVar[str] = SCHEDULER
    engine: ClassVar[str] = ENGINE

    def __init__(self, state: ArqState) -> None:
        self._state = state

    @property
    def store(self) -> str:
        return "code"

    def _tables(self) -> list[tuple[Any, Table]]:
        """Workers of this process with cron jobs, or with overrides."""
        tables = [(worker, self._state.crons.table_of(worker)) for worker in list(self._state.workers)]
        return [(worker, table) for worker, table in tables if table.coded or table.plan]

    def _need(self) -> list[tuple[Any, Table]]:
        tables = self._tables()
        if not tables:
            raise Refused("no worker of this process has cron jobs")
        return tables

    def is_firing(self) -> bool:
        return bool(self._tables())

    def tick_s(self) -> float:
        return max((float(worker.poll_delay_s) for worker, _ in self._tables()), default=LEAST_TICK_S)

    def zone(self) -> str:
        return next((zone_of(worker.timezone) for worker, _ in self._tables()), "UTC")

    def findings(self) -> list[Finding]:
        if not any(is_frozen(worker.timezone) for worker, _ in self._tables()):
            return []
        what = f"The worker keeps the offset {self.zone()} of its host at its start: cron jobs do not follow clock changes."
        return [Finding("warning", what, 'Give the worker its zone: timezone = ZoneInfo("Europe/Berlin").')]

    # -- the list ------------------------------------------------------------------------------------------------------
    def list_schedules(self) -> list[ScheduleInfo]:
        entries: dict[str, ScheduleInfo] = {}
        for worker, table in self._tables():
            for key, job in table.coded.items():
                if key in table.deleted or key in entries:
                    continue
                planned = table.plan.get(key)
                entries[key] = _coded(worker, table, key, job) if planned is None else _planned(worker, table, key, planned, is_code=True)
            for key, planned in table.plan.items():
                if key not in entries:
                    entries[key] = _planned(worker, table, key, planned, is_code=False)
        return list(entries.values())

    # -- commands-----------------------------------------------------------------------------------------
    def apply_overrides(self, overrides: list[Override]) -> dict[str, str]:
        """Applies overrides to each worker of this process; each uses those of its own entries."""
        tables = self._need()
        results = [self._state.crons.apply(worker, overrides) for worker, _ in tables]
        return {key: why for key, why in results[0].items() if all(key in failed for failed in results)}

    def fire_schedule(self, key: str) -> dict[str, Any]:
        """Enqueues the entry's task. Raises Refused if the entry does not exist."""
        for worker, table in self._need():
            planned = table.plan.get(key)
            new_id, broker = uuid.uuid4().hex, self._state.known.identity_of(worker.pool)
            if planned is not None:
                args, kwargs = list(planned.args), dict(planned.kwargs)
                return run_function(self._state, planned.function, args, kwargs, new_id, worker.queue_name, broker)
            if key in table.coded and key not in table.deleted:
                return run_function(self._state, table.coded[key].name, [], {}, new_id, worker.queue_name, broker)
        raise Refused("the scheduler no longer has this schedule. No changes were made.")


def _coded(worker: Any, table: Table, key: str, job: Any) -> ScheduleInfo:
    expression, is_enabled = expression_of(job), key not in table.off
    return ScheduleInfo(
        key=key,
        name=key,
        kind="cron" if expression is not None else "other",
        expression=expression or "never",
        timezone=zone_of(worker.timezone),
        task_name=job.name,
        queue=worker.queue_name,
        is_enabled=is_enabled,
        next_at=next_of(job, worker.timezone) if is_enabled else None,
        last_at=table.last.get(key),
        is_code=True,
        note=AT_STARTUP if job.run_at_startup else "",
    )


def _planned(worker: Any, table: Table, key: str, planned: OverriddenEntry, *, is_code: bool) -> ScheduleInfo:
    agent, known = z4j_agent.current(), worker.functions.get(planned.function)
    names = () if known is None else parameter_names(known.coroutine)
    args, kwargs = show_arguments(planned.args, planned.kwargs, agent.settings.redact if agent is not None else (), names)
    return ScheduleInfo(
        key=key,
        name=planned.spec.name or key,
        kind="cron",
        expression=planned.expression,
        timezone=zone_of(worker.timezone),
        task_name=planned.function,
        args=args,
        kwargs=kwargs,
        queue=worker.queue_name,
        is_enabled=planned.is_enabled,
        next_at=next_of(planned.job, worker.timezone) if planned.is_enabled else None,
        last_at=table.last.get(key),
        is_code=is_code,
        note=AT_STARTUP if planned.job.run_at_startup else "",
    )
