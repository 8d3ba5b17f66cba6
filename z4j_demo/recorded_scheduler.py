# SPDX-License-Identifier: AGPL-3.0-or-later
"""A recorded scheduler: it lists its entries, fires them, and takes changes as its engine's scheduler would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Iterator
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from z4j_agent import wire
from z4j_agent.wire import cron
from z4j_demo import capabilities, lives
from z4j_demo.brief import Brief
from z4j_demo.link import NOTE, Facts, Link, now
from z4j_demo.lives import Process
from z4j_demo.story import GOOD, HOUR, KINDS, MINUTE, PRODUCTION, SECOND, STAGING, Kind, Worker

PAST: Final = 24
"""Runs of each entry that were reported before the demo began."""
GONE: Final = "beat@staging-1"
"""The one whose process has died: it stops firing, and nobody has noticed."""


TWIN: Final = "rqscheduler@docs-2"
"""The one that runs what another one runs already."""
TROUBLES: Final = {
    "nightly reindex": ("missed", 0, "the scheduler was busy for longer than a period"),
    "train at night": ("failed", 0, "ConnectionError: the broker refused the connection"),
    "sync the crm": ("sent", 40 * SECOND, ""),
    "check quotas": ("sent", 40 * SECOND, ""),
}
"""Entry → outcome of its last run before the demo began, how late that was, and why."""


class Scheduler(NamedTuple):
    """A scheduler's process. Entries are (name, kind, expression, time zone, task name)."""

    app: str
    scheduler: str
    engine: str
    environment: str
    worker: str
    store: str
    is_code: bool
    entries: tuple[tuple[str, str, str, str, str], ...]


SCHEDULERS: Final = (
    Scheduler("shop", "celery_beat", "celery", PRODUCTION, "beat@shop-1", "django", False, (
        ("nightly reindex", "cron", "30 2 * * *", "Europe/Berlin", "search.reindex"),
        ("sync the crm", "interval", "300", "", "users.sync_crm"),
        ("month end", "cron", "0 5 1 * *", "Europe/Berlin", "reports.month_end"),
        ("check quotas", "cron", "7-59/15 * * * *", "UTC", "inventory.reserve"),
        ("expire carts", "cron", "*/10 * * * *", "Europe/Berlin", "carts.expire"),
    )),
    Scheduler("shop", "celery_beat", "celery", STAGING, GONE, "django", False, (
        ("rollup on staging", "cron", "*/15 * * * *", "UTC", "metrics.rollup"),
    )),
    Scheduler("documents", "rq_scheduler", "rq", PRODUCTION, "rqscheduler@docs-1", "redis", False, (
        ("prices of southwind", "interval", "900", "", "partners.pull_prices"),
        ("archive the month", "cron", "0 5 1 * *", "UTC", "documents.archive_month"),
    )),
    Scheduler("documents", "rq_scheduler", "rq", PRODUCTION, TWIN, "redis", False, (
        ("prices of southwind", "interval", "900", "", "partners.pull_prices"),
        ("archive the month", "cron", "0 5 1 * *", "UTC", "documents.archive_month"),
    )),
    Scheduler("documents", "rq_cron", "rq", PRODUCTION, "rqcron@docs-1", "code", True, (
        ("scan leftovers", "cron", "*/15 * * * *", "UTC", "documents.scan_upload"),
    )),
    Scheduler("media", "taskiq_scheduler", "taskiq", PRODUCTION, "taskiq-scheduler@gpu-1", "redis", False, (
        ("refresh recommendations", "cron", "*/5 * * * *", "UTC", "recommend.refresh"),
        ("train at night", "cron", "0 5 * * *", "Europe/Berlin", "recommend.train"),
    )),
    Scheduler("warehouse", "arq_cron", "arq", PRODUCTION, "arq@hall-1", "code", True, (
        ("drafts.sweep", "cron", "0 */5 * * * *", "UTC", "drafts.sweep"),
    )),
)  # fmt: skip


class RecordedScheduler(Link):
    """One scheduler's process."""

    def __init__(self, brief: Brief, scheduler: Scheduler) -> None:
        self.about = scheduler
        host = scheduler.worker.partition("@")[2]
        hello = {
            "host": host, "role": "scheduler", "worker": scheduler.worker, "app": scheduler.app, "environment": scheduler.environment,
            "release": GOOD, "engines": {scheduler.engine: "recorded"},
            "capabilities": capabilities.of_scheduler(scheduler.scheduler, is_code=scheduler.is_code),
        }  # fmt: skip
        boot = lives.boot_of(scheduler.app, scheduler.scheduler, scheduler.worker)
        super().__init__(brief.connections[scheduler.app], boot, hello)
        self.rng = random.Random(f"{brief.seed}{boot}")  # noqa: S311 -- a story, no secret
        worker = Worker(scheduler.app, scheduler.engine, scheduler.environment, scheduler.worker, host, "", 1)
        self.process = Process(worker, boot, GOOD, brief.now)
        self.is_gone = scheduler.worker == GONE
        self.code = {entry["key"]: entry for entry in map(self._entry, scheduler.entries)}
        self.entries = {key: dict(entry) for key, entry in self.code.items()}
        self.applied = ""
        self.waiting.append(self.process.origin())
        for entry in self.entries.values():
            self._report_past(entry, brief.now)

    def _entry(self, of: tuple[str, str, str, str, str]) -> Facts:
        name, kind, expression, zone, task = of
        entry: Facts = {
            "key": name, "name": name, "kind": kind, "expression": expression, "timezone": zone, "task_name": task, "args": "[]",
            "kwargs": "{}", "queue": "", "priority": None, "is_enabled": True, "next_at": None, "last_at": None,
            "is_code": self.about.is_code, "unable": {}, "note": "demo: a recorded scheduler",
        }  # fmt: skip
        entry["next_at"] = next_of(entry, now())
        return entry

    def _report_past(self, entry: Facts, until: int) -> None:
        """Past runs, a few of them late; those of the dead one end hours ago."""
        until -= 5 * HOUR if self.is_gone else 0
        due = due_before(entry, until, PAST)
        for at in due:
            late = self.rng.choice((200_000, 400_000, 900_000)) if self.rng.random() < 0.93 else 40 * SECOND
            if at == due[-1] and entry["name"] in TROUBLES:
                outcome, late, error = TROUBLES[entry["name"]]
                self._fired(entry, at, at + late, outcome, error)
            else:
                self._fired(entry, at, at + late)
        if due:
            entry["last_at"] = due[-1]
            if self.is_gone:
                entry["next_at"] = next_of(entry, due[-1])

    # -- what it reports -------------------------------------------------------------------------------------------------
    async def report(self) -> None:
        """Everything it holds."""
        await self.say(
            {
                "type": "schedules", "scheduler": self.about.scheduler, "engine": self.about.engine, "store": self.about.store,
                "is_firing": True, "tick_us": 5 * SECOND, "timezone": "UTC", "can_create": not self.about.is_code, "applied": self.applied,
                "failed": {}, "notes": [], "is_cut": False, "entries": list(self.entries.values()),
            }
        )  # fmt: skip

    async def changed(self) -> None:
        await self.report()

    async def run(self) -> None:
        """Stays connected; the dead one reports once and is gone."""
        if self.is_gone:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(super().run(), 3.0)
        else:
            await super().run()

    async def live(self) -> None:
        """Fires what is due."""
        while not self.is_gone:
            await asyncio.sleep(1)
            due = [entry for entry in self.entries.values() if entry["is_enabled"] and entry["next_at"] and entry["next_at"] <= now()]
            for entry in due:
                self._fired(entry, entry["next_at"], now())
                entry["last_at"] = now()
                entry["next_at"] = next_of(entry, now())
            if due:
                await self.flush()
                await self.report()

    def _fired(self, entry: Facts, due_at: int | None, at: int, outcome: str = "sent", error: str = "") -> str:
        """A run, and the task that it makes if it is sent."""
        about, task_id = self.about, lives.new_id(self.rng)
        known = next((kind for kind in KINDS if (kind.app, kind.name) == (about.app, entry["task_name"])), None)
        kind = known or Kind(about.app, about.engine, entry["task_name"], entry["queue"] or "default", 1, 100, "[]")
        life = lives.begin(self.rng, kind, self.process, at)._replace(task_id=task_id)
        if outcome == "sent":
            self.waiting += lives.sent(life, None, has_original=True)
            self.waiting.append(lives.succeeded(life._replace(runtime=min(life.runtime, SECOND)), result=f'"{NOTE}"'))
        facts = {
            "scheduler": about.scheduler, "schedule": entry["key"], "due_at": due_at, "outcome": outcome, "error": error,
            "task_id": task_id if outcome == "sent" else "",
        }  # fmt: skip
        self.record("fired", f"{self.boot}.7", at, facts)
        return task_id

    # -- what it answers -------------------------------------------------------------------------------------------------
    def execute(self, action: str, params: Facts) -> tuple[str, Facts]:
        match action:
            case "apply_overrides":
                self._apply(params["overrides"])
            case "save_schedule":
                return "done", {"key": self._save(params)}
            case "delete_schedule":
                self.entries.pop(params["key"], None)
            case "enable_schedule" | "disable_schedule" if params["key"] in self.entries:
                self.entries[params["key"]]["is_enabled"] = action == "enable_schedule"
            case "fire_schedule" if params["key"] in self.entries:
                return "done", {"task_id": self._fired(self.entries[params["key"]], None, now())}
            case _:
                return "failed", {"error": "demo: this scheduler has no such entry"}
        return "done", {}

    def _save(self, spec: Facts) -> str:
        key = str(spec["key"] or spec["name"])
        made = self.entries.get(key) or self._entry((key, spec["kind"], spec["expression"], spec["timezone"], spec["task_name"]))
        made |= {name: spec[name] for name in ("name", "kind", "expression", "timezone", "task_name", "queue", "is_enabled")}
        for name in ("args", "kwargs"):
            if spec.get(name) is not None:
                made[name] = json.dumps(spec[name])
        made["next_at"] = next_of(made, now())
        self.entries[key] = made
        return key

    def _apply(self, overrides: list[Facts]) -> None:
        self.entries = {key: dict(entry) for key, entry in self.code.items()}
        for of in overrides:
            if of["is_deleted"]:
                self.entries.pop(of["key"], None)
                continue
            if of["spec"] is not None:
                self._save({**of["spec"], "key": of["key"]})
            if of["key"] in self.entries:
                self.entries[of["key"]]["is_enabled"] = of["is_enabled"]
        self.applied = wire.digest_of(overrides)


def next_of(entry: Facts, at: int) -> int | None:
    """The first due time of an entry after `at`."""
    if entry["kind"] == "interval":
        every = int(float(entry["expression"]) * SECOND)
        return (at // every + 1) * every
    if entry["kind"] == "cron":
        return cron.parse(entry["expression"]).next_after(at, ZoneInfo(entry["timezone"] or "UTC"))
    return None


def due_before(entry: Facts, until: int, count: int) -> list[int]:
    """The last due times before `until`, at most `count`, oldest first."""
    span = 6 * HOUR if entry["kind"] == "interval" or "/" in entry["expression"] else 26 * 24 * HOUR
    return list(_due(entry, until - span, until))[-count:]


def _due(entry: Facts, since: int, until: int) -> Iterator[int]:
    at = next_of(entry, since)
    while at is not None and at < until - MINUTE:
        yield at
        at = next_of(entry, at)


def schedulers_of(brief: Brief) -> list[RecordedScheduler]:
    """All recorded schedulers."""
    return [RecordedScheduler(brief, scheduler) for scheduler in SCHEDULERS]
