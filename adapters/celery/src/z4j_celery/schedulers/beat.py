# SPDX-License-Identifier: Apache-2.0
"""Celery Beat: its fires, and its entries in the store of its scheduler.

`celery beat` and `celery worker -B` are watched in the process where the scheduler runs, from `beat_init` on. A store that other processes
reach (django-celery-beat, redbeat, sqlalchemy-celery-beat) is also listed and changed only there, unless Django has been set up in this
process: then every such process may do it.
"""

from __future__ import annotations

import dataclasses
import socket
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, Protocol
from uuid import uuid4

from celery import signals
from celery.schedules import crontab

import z4j_agent
from z4j_agent.capture.guard import faults, guard, let_through
from z4j_agent.capture.hooks import now, override_store, report_fire
from z4j_agent.contract.adapter import Refused, Unsupported
from z4j_agent.contract.scheduler import Override, ScheduleInfo, Scheduler, ScheduleSpec
from z4j_agent.runtime.native_threads import ticks
from z4j_agent.runtime.patching import Patches
from z4j_celery import apps
from z4j_celery.schedulers.beat_conversion import due_of, send, us, zone_name

NAME: Final = "celery_beat"
MAX_SLEEP_S: Final = 5.0
"""Seconds that beat may sleep while it is monitored, so that an operator's changes apply soon. Its own limit is 300 s."""
REMEMBERED: Final = 2_000
READ_EVERY_S: Final = 5.0
"""Seconds between two reads of a store without changes from this process: it is the application's database."""


class Store(Protocol):
    """Where the entries are."""

    name: ClassVar[str]

    def list_entries(self, last: OrderedDict[str, int]) -> list[ScheduleInfo]: ...
    def save(self, spec: ScheduleSpec) -> dict[str, Any]: ...
    def delete(self, key: str) -> dict[str, Any]: ...
    def switch(self, key: str, *, on: bool) -> dict[str, Any]: ...
    def entry(self, key: str) -> tuple[str, Any, Any, dict[str, Any]]:
        """(task name, args, kwargs, options) of an entry. Raises Refused."""
        ...


class CeleryBeat(Scheduler):
    """The scheduler for a beat in this process. `apps` are the adapter's; `ask` calls a function where this process's sockets may be
    used."""

    scheduler: ClassVar[str] = NAME
    engine: ClassVar[str] = "celery"
    list_every_s: ClassVar[float] = 2.0

    def __init__(self, apps: Callable[[], list[Any]], ask: Callable[[Callable[[], Any]], Any] = lambda act: act()) -> None:
        self._apps = apps
        self._ask = ask
        self._service: Any = None
        self._store: Store | None = None
        self._listed: list[ScheduleInfo] = []
        self._listed_at = -READ_EVERY_S
        self._last: OrderedDict[str, int] = OrderedDict()
        """When an entry fired here, in microseconds UTC: stores are updated late."""
        self._patches = Patches()

    # -- the hooks -----------------------------------------------------------------------------------------------------
    def install(self) -> None:
        signals.beat_init.connect(self._on_beat, weak=False, dispatch_uid=f"z4j-beat-{id(self)}")
        signals.beat_embedded_init.connect(self._on_beat, weak=False, dispatch_uid=f"z4j-beat-{id(self)}")

    def uninstall(self) -> None:
        signals.beat_init.disconnect(self._on_beat, dispatch_uid=f"z4j-beat-{id(self)}")
        signals.beat_embedded_init.disconnect(self._on_beat, dispatch_uid=f"z4j-beat-{id(self)}")
        self._patches.restore()
        self._service = self._store = None

    @guard("beat_init")
    def _on_beat(self, sender: Any = None, **_: Any) -> None:
        """Called before the first tick, in the process where the scheduler runs."""
        agent = z4j_agent.current()
        if agent is None or sender is self._service or all(apps.real(sender.app) is not app for app in self._apps()):
            return  # an embedded beat sends both signals (celery/beat.py: `Service.start`)
        scheduler = sender.scheduler
        self._service = sender
        try:
            self._store = self._store_of(scheduler)
        except Exception as error:  # its fires are reported all the same
            let_through(error)
            faults.report("finding the entries of beat", error)
        self._patches.set(scheduler, "max_interval", min(scheduler.max_interval or MAX_SLEEP_S, MAX_SLEEP_S))
        self._patches.around(scheduler, "apply_async", self._around_apply)
        if (around := getattr(self._store, "around_tick", None)) is not None:
            self._patches.around(scheduler, "tick", around)
            self._store.apply(override_store(self.scheduler).read())  # type: ignore[union-attr]
        if threading.current_thread() is threading.main_thread():
            agent.become_scheduler(f"beat@{socket.gethostname()}")
        # A beat in a thread belongs to a worker or a producer, which opens its own connection.

    def _store_of(self, scheduler: Any) -> Store | None:
        modules = {kind.__module__ for kind in type(scheduler).__mro__}
        if "django_celery_beat.schedulers" in modules:
            from z4j_celery.schedulers.beat_django import DjangoStore

            return DjangoStore(self._service.app)
        if "redbeat.schedulers" in modules:
            from z4j_celery.schedulers.beat_redbeat import RedbeatStore

            return RedbeatStore(self._service.app)
        if "sqlalchemy_celery_beat.schedulers" in modules:
            from z4j_celery.schedulers.beat_sqlalchemy import SqlalchemyStore

            return SqlalchemyStore(self._service.app, scheduler)
        from celery import beat  # 5 ms: only where beat runs, which has imported it

        kind = type(scheduler)
        if kind.tick is beat.Scheduler.tick and kind.schedule in (beat.Scheduler.schedule, beat.PersistentScheduler.schedule):
            from z4j_celery.schedulers.beat_code import CodeStore, own_memory

            return CodeStore(self._service.app, scheduler, self._fired, own_memory())
        return None

    def _around_apply(self, apply_async: Callable[..., Any], entry: Any, *args: Any, **options: Any) -> Any:
        due_at = self._due(entry)
        try:
            result = apply_async(entry, *args, **options)
        except Exception as error:
            self._fired(entry.name, due_at, "", error)
            raise
        self._fired(entry.name, due_at, str(getattr(result, "id", "") or ""))
        return result

    @guard("the due time of a fire")
    def _due(self, entry: Any) -> int | None:
        """The due time of an entry, read before its next run is computed."""
        rule, due = entry.schedule, due_of(entry.schedule, entry.last_run_at)
        deadline = rule.app.conf.beat_cron_starting_deadline if isinstance(rule, crontab) else None
        if due is None or deadline is None:
            return us(due)
        since = datetime.now(UTC) - timedelta(seconds=deadline, microseconds=1)  # like celery/schedules.py: `crontab.is_due`
        if due.astimezone(UTC) > since:
            return us(due)
        report_fire(self.scheduler, entry.name, us(due), outcome="missed")
        return us(due_of(rule, since))

    @guard("a fire of beat")
    def _fired(self, key: str, due_at: int | None, task_id: str, error: BaseException | None = None) -> None:
        if z4j_agent.current() is None:
            return
        at = now()
        self._last[key] = at
        while len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        report_fire(self.scheduler, key, min(due_at or at, at), task_id, error)  # beat wakes up to 10 ms early (celery/beat.py: `adjust`)

    # -- listing entries----------------------------------------------------------------------------------------------
    @property
    def store(self) -> str:
        reached = self._reachable()
        return reached.name if reached is not None else "code"

    def is_here(self) -> bool:
        return self._reachable() is not None

    def is_firing(self) -> bool:
        """False while another beat holds redbeat's lock, for which this one waits."""
        if self._service is None or self._store is None:
            return False
        scheduler = self._service.scheduler
        return getattr(scheduler, "lock_key", None) is None or scheduler.lock is not None

    def tick_s(self) -> float:
        return float(self._service.scheduler.max_interval) if self._service is not None else MAX_SLEEP_S

    def zone(self) -> str:
        apps = self._apps()
        app = self._service.app if self._service is not None else apps[0] if apps else None
        return zone_name(app.timezone) if app is not None else "UTC"

    def _reachable(self) -> Store | None:
        """The store of the beat in this process, else Django's, if this process has set Django up and no other scheduler is configured."""
        if self._store is not None or self._service is not None:
            return self._store
        registry = getattr(sys.modules.get("django.apps"), "apps", None)
        if registry is None or not registry.ready or not registry.is_installed("django_celery_beat") or not self._apps():
            return None
        app = self._apps()[0]
        if str(app.conf.beat_scheduler).partition(":")[0].partition(".")[0] in ("redbeat", "sqlalchemy_celery_beat"):
            return None
        from z4j_celery.schedulers.beat_django import DjangoStore

        self._store = DjangoStore(app)
        return self._store

    def _need(self) -> Store:
        reached = self._reachable()
        if reached is None:
            raise Refused("this process does not run beat")
        return reached

    def list_schedules(self) -> list[ScheduleInfo]:
        store = self._need()
        if store.name != "code" and ticks() - self._listed_at < READ_EVERY_S:
            return self._listed
        entries: list[ScheduleInfo] = self._ask(lambda: store.list_entries(self._last))
        if not self.is_firing():  # a store is updated late after a run, so a past time may be due for beat or not
            at = now()
            entries = [
                dataclasses.replace(entry, next_at=None) if entry.next_at is not None and entry.next_at < at else entry for entry in entries
            ]
        self._listed, self._listed_at = entries, ticks()
        return entries

    # -- commands ---------------------------------------------------------------------------------------------------
    def apply_overrides(self, overrides: list[Override]) -> dict[str, str]:
        apply = getattr(self._need(), "apply", None)
        if apply is None:
            raise Unsupported("these entries are in a store; overrides do not apply to them")
        failed: dict[str, str] = apply(overrides)
        return failed

    def save_schedule(self, spec: ScheduleSpec) -> dict[str, Any]:
        return self._change(lambda store: store.save(spec))

    def delete_schedule(self, key: str) -> dict[str, Any]:
        return self._change(lambda store: store.delete(key))

    def enable_schedule(self, key: str) -> dict[str, Any]:
        return self._change(lambda store: store.switch(key, on=True))

    def disable_schedule(self, key: str) -> dict[str, Any]:
        return self._change(lambda store: store.switch(key, on=False))

    def _change(self, act: Callable[[Store], dict[str, Any]]) -> dict[str, Any]:
        store = self._need()
        try:
            done: dict[str, Any] = self._ask(lambda: act(store))
        finally:
            self._listed_at = -READ_EVERY_S
        return done

    def fire_schedule(self, key: str) -> dict[str, Any]:
        """Sends the entry's task with the entry's options."""
        store, task_id = self._need(), str(uuid4())
        app = self._service.app if self._service is not None else self._apps()[0]
        self._ask(lambda: send(app, *store.entry(key), task_id=task_id))
        return {"task_id": task_id}
