# SPDX-License-Identifier: AGPL-3.0-or-later
"""Settings, Appliance: the state of every background duty, the storage used, and whether retention limits are exceeded."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.background.clock_watch import ClockWatch
from z4j.background.word_index import IndexReport
from z4j.clock import DAY_US
from z4j.duty_loop import WHENEVER_S
from z4j.exceptions import StoreError
from z4j.listener.tls import ServerTls, days_left
from z4j.rules.backups import OLD_US
from z4j.rules.clock_watch import Step
from z4j.settings import Settings
from z4j.store.backups.backup_results import BackupResult, BackupResults, folder_of, read_results
from z4j.store.fleet import agents, apps
from z4j.store.fleet.agents import UnpinnedProcess
from z4j.store.sqlite.db import Store
from z4j.store.tasks import disk_usage
from z4j.store.tasks.bulk_deletion import DeletionFilter, WalkPosition, list_deletable, oldest_task, read_size
from z4j.store.tasks.disk_usage import Part
from z4j.web.frame.render import Shell, render
from z4j.web.frame.shell import make_shell
from z4j.web.services import services

LISTED = 12
NEXT_LISTED = 2_000
REMEMBERED_US = 60_000_000
MOMENT_S = 0.01
WORDS: Final[dict[disk_usage.Kind, str]] = {
    "tasks": "tasks", "statistics": "statistics per minute", "errors": "errors", "listed": "listed queues and task names",
    "logs": "log lines of tasks",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class DutyLine:
    """One background duty. `every_s` is None for a duty that runs on demand."""

    name: str
    state: str
    every_s: float | None
    ran_at: int | None
    succeeded_at: int | None
    failing_since: int | None
    failures: int
    error: str


@dataclass(frozen=True, slots=True)
class PartLine:
    """The estimated size of a kind of data, and its share of the limit in percent."""

    app: str
    what: str
    bytes: int
    share: int


@dataclass(frozen=True, slots=True)
class TlsPanel:
    """The certificate of the server. `next_pin` is "" unless a rotation of its own key has begun; `lacking` are the processes that are not
    configured with it."""

    is_own: bool
    file: str
    names: tuple[str, ...]
    expires_at: int
    days_left: int
    fingerprint: str
    pin: str
    problem: str
    next_pin: str
    lacking: tuple[UnpinnedProcess, ...]


@dataclass(frozen=True, slots=True)
class RetentionPanel:
    """What is kept and what that costs. `bytes_per_day` and `tasks_per_day` are measured over the `days` that the stored tasks span, and
    are None below one day. `days_to_limit`: days of tasks at this rate that fill the limit of the size. `next_tasks` tasks reach the limit
    of the age within a day, or more if `is_more`."""

    originals_days: int
    days: float
    bytes_per_day: int | None
    tasks_per_day: int | None
    days_to_limit: int | None
    next_tasks: int
    is_more: bool


@dataclass(frozen=True, slots=True)
class BackupPanel:
    """The nightly backups: those that exist and recent failures, newest first. `problem` says why the last one failed, or why the results
    cannot be read."""

    is_enabled: bool
    daily: int
    weekly: int
    time: str
    results: tuple[BackupResult, ...]
    is_old: bool
    problem: str
    folder: str


@dataclass(frozen=True, slots=True)
class ClockPanel:
    """Steps of the wall clock since the server started, newest first. `ahead_us`: how far it is ahead of the time that retention measures
    ages with, which follows it after `held_us` of running time; both None while there is no difference."""

    steps: tuple[Step, ...]
    ahead_us: int | None
    held_us: int | None


@dataclass(frozen=True, slots=True)
class AppliancePage:
    """The context of settings/appliance.html."""

    shell: Shell
    days_kept: int
    gigabytes_kept: float
    duties: tuple[DutyLine, ...]
    used_bytes: int
    free_bytes: int
    oldest_at: int | None
    deleted: int
    deleted_per_s: float
    why_not_held: str
    parts: tuple[PartLine, ...]
    tls: TlsPanel | None
    backups: BackupPanel
    retention: RetentionPanel
    clock: ClockPanel
    tab: str = "appliance"
    index: IndexReport = IndexReport()
    is_measured: bool = True
    """Whether the sizes of `parts` are known."""


async def _measure_parts(store: Store, used: int) -> list[Part] | None:
    """Returns the size of each kind of data as it was computed last; None while that is done for the first time. Whole tables are read for
    it, so it is done at most once a minute, and a page waits for it only where it takes a moment."""
    until, (known, running) = store.memo.get("parts", (0, (None, None)))
    if running is None and clock.ticks() >= until:
        running = asyncio.create_task(disk_usage.measure(store, used))
        running.add_done_callback(lambda done: done.cancelled() or done.exception())  # perhaps never requested again
        store.memo["parts"] = (until, (known, running))
        await asyncio.wait({running}, timeout=MOMENT_S)
    if running is not None and running.done():
        done, running = running, None
        store.memo["parts"] = (0, (known, None))
        known, until = done.result(), clock.ticks() + REMEMBERED_US
    store.memo["parts"] = (until, (known, running))
    parts: list[Part] | None = known
    return parts


async def _tls(store: Store, tls: ServerTls | None, at: int) -> TlsPanel | None:
    if tls is None:
        return None
    found, following = tls.certificate, tls.next_pin
    lacking = await agents.list_without_pin(store, following, since=at - agents.MAY_RETURN_US) if following else []
    return TlsPanel(
        is_own=tls.is_own, file=str(tls.certificate_file), names=found.names, expires_at=found.expires_at, days_left=days_left(found, at),
        fingerprint=found.fingerprint, pin=found.pin, problem=tls.problem, next_pin=following, lacking=tuple(lacking),
    )  # fmt: skip


async def _retention(store: Store, settings: Settings, parts: list[Part] | None, oldest_at: int | None, at: int) -> RetentionPanel:
    tasks = [part for part in parts or () if part.kind == "tasks"]
    days = (at - oldest_at) / DAY_US if oldest_at is not None else 0.0
    is_known = days >= 1 and parts is not None
    per_day = int(sum(part.bytes for part in tasks) / days) if is_known else None
    limit = at - (settings.days_kept - 1) * DAY_US
    next_tasks, _, is_end = await list_deletable(store, DeletionFilter(limit, limit), WalkPosition(), NEXT_LISTED)
    return RetentionPanel(
        settings.originals_days_kept, days, per_day, int(sum(part.rows for part in tasks) / days) if is_known else None,
        days_to_limit=int(settings.gigabytes_kept * 1e9 / per_day) if per_day else None, next_tasks=len(next_tasks), is_more=not is_end,
    )  # fmt: skip


def _clock(watch: ClockWatch, at: int) -> ClockPanel:
    held_us, trusted = watch.held_us, watch.trusted
    return ClockPanel(tuple(watch.steps), at - trusted.at if held_us is not None and trusted is not None else None, held_us)


def _backups(settings: Settings, at: int) -> BackupPanel:
    problem, known = "", BackupResults()
    try:
        known = read_results(settings.data)
    except StoreError as error:
        problem = error.explanation
    good, failed = known.until(at).last_good, known.until(at).last_failed
    if failed is not None:
        problem = f"The last nightly backup failed. {failed.problem}"
    since = good.at if good else known.since
    return BackupPanel(
        settings.has_backups, settings.backups_daily, settings.backups_weekly, settings.backup_at,
        results=tuple(each for each in known.results if not each.is_deleted)[:LISTED],
        is_old=settings.has_backups and since is not None and at - since > OLD_US,
        problem=problem, folder=str(folder_of(settings.data)),
    )  # fmt: skip


async def page(request: Request) -> Response:
    """GET /settings/appliance."""
    server = services(request)
    report, settings, store = server.retention.report, server.settings, server.store
    used, _ = await read_size(store)
    names = await apps.names_by_id(store)
    parts_measured, oldest_at = await _measure_parts(store, used), await oldest_task(store)
    made = AppliancePage(
        shell=await make_shell(request, "settings"),
        days_kept=settings.days_kept,
        gigabytes_kept=settings.gigabytes_kept,
        duties=tuple(
            DutyLine(
                duty.name, duty.state, duty.every_s if duty.every_s < WHENEVER_S else None, duty.ran_at, duty.succeeded_at,
                duty.failing_since, duty.failures, duty.error,
            )
            for duty in sorted(server.duties.all(), key=lambda duty: duty.state not in ("failing", "stalled"))
        ),
        used_bytes=used,
        free_bytes=shutil.disk_usage(settings.data).free,
        oldest_at=oldest_at,
        retention=await _retention(store, settings, parts_measured, oldest_at, clock.now()),
        index=server.word_index.report,
        deleted=report.deleted,
        deleted_per_s=report.deleted_per_s,
        why_not_held=report.why_not_held,
        backups=await asyncio.to_thread(_backups, settings, clock.now()),
        tls=await _tls(store, server.tls, clock.now()),
        clock=_clock(server.clock_watch, clock.now()),
        parts=tuple(
            PartLine(names.get(part.app_id, "?"), WORDS[part.kind], part.bytes, round(part.bytes * 100 / max(report.max_bytes, 1)))
            for part in [part for part in parts_measured or () if part.bytes][:LISTED]
        ),
        is_measured=parts_measured is not None,
    )  # fmt: skip
    return render(request, "settings/appliance.html", made)
