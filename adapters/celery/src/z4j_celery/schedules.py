# SPDX-License-Identifier: Apache-2.0
"""Celery Beat: what it fires, and its entries in whichever store its scheduler has.

`celery beat` and `celery worker -B` are watched in the process where the scheduler runs, from `beat_init` on. A store that other
processes reach (django-celery-beat, redbeat, sqlalchemy-celery-beat) is only listed and changed there too, unless Django has set it up
in this process: then any of them may.
"""

from __future__ import annotations

import socket
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, ClassVar, Final, Protocol

from celery import signals

import z4j_agent
from z4j_agent.adapter import Refused, Unsupported
from z4j_agent.display import show_error
from z4j_agent.guard import guard
from z4j_agent.hooks import now, text_of
from z4j_agent.schedules import Override, ScheduleInfo, Scheduler, ScheduleSpec
from z4j_agent.scheduling import kept
from z4j_celery import apps
from z4j_celery.beat_forms import due_of, us, zone_name

NAME: Final = "celery_beat"
MAX_SLEEP_S: Final = 5.0
"""How long beat may sleep while it is watched, so that what an operator changes holds soon. Its own limit is 300 s."""
REMEMBERED: Final = 2_000


class Store(Protocol):
    """Where the entries are."""

    name: ClassVar[str]

    def told(self, last: OrderedDict[str, int]) -> list[ScheduleInfo]: ...
    def save(self, spec: ScheduleSpec) -> dict[str, Any]: ...
    def delete(self, key: str) -> dict[str, Any]: ...
    def switch(self, key: str, *, on: bool) -> dict[str, Any]: ...
    def entry(self, key: str) -> tuple[str, list[Any], dict[str, Any], dict[str, Any]]:
        """(task name, args, kwargs, options) of an entry. Raises Refused."""
        ...


class CeleryBeat(Scheduler):
    """The scheduler of a beat that runs here. `apps` are the adapter's."""

    scheduler: ClassVar[str] = NAME
    engine: ClassVar[str] = "celery"
    list_every_s: ClassVar[float] = 2.0

    def __init__(self, apps: Callable[[], list[Any]]) -> None:
        self._apps = apps
        self._service: Any = None
        self._store: Store | None = None
        self._last: OrderedDict[str, int] = OrderedDict()
        """When an entry fired here, microseconds UTC: stores learn it late (facts, §6)."""
        self._originals: list[tuple[Any, str, Any]] = []

    # -- the hooks -----------------------------------------------------------------------------------------------------
    def install(self) -> None:
        signals.beat_init.connect(self._on_beat, weak=False, dispatch_uid=f"z4j-beat-{id(self)}")
        signals.beat_embedded_init.connect(self._on_beat, weak=False, dispatch_uid=f"z4j-beat-{id(self)}")

    def uninstall(self) -> None:
        signals.beat_init.disconnect(self._on_beat, dispatch_uid=f"z4j-beat-{id(self)}")
        signals.beat_embedded_init.disconnect(self._on_beat, dispatch_uid=f"z4j-beat-{id(self)}")
        for target, name, original in self._originals:
            setattr(target, name, original)
        self._originals = []
        self._service = self._store = None

    @guard("beat_init")
    def _on_beat(self, sender: Any = None, **_: Any) -> None:
        """Before the first tick, in the process where the scheduler runs."""
        agent = z4j_agent.current()
        if agent is None or all(apps.real(sender.app) is not app for app in self._apps()):
            return
        scheduler = sender.scheduler
        self._service = sender
        self._store = self._store_of(scheduler)
        scheduler.max_interval = min(scheduler.max_interval or MAX_SLEEP_S, MAX_SLEEP_S)
        self._wrap(scheduler, "apply_async", self._around_apply(scheduler.apply_async))
        if (around := getattr(self._store, "around_tick", None)) is not None:
            self._wrap(scheduler, "tick", around(scheduler.tick))
            held = kept(self.scheduler)
            held.changed()
            self._store.apply(held.overrides)  # type: ignore[union-attr]
        agent.become_scheduler(f"beat@{socket.gethostname()}")

    def _wrap(self, target: Any, name: str, made: Any) -> None:
        self._originals.append((target, name, getattr(target, name)))
        setattr(target, name, made)

    def _store_of(self, scheduler: Any) -> Store | None:
        modules = {kind.__module__ for kind in type(scheduler).__mro__}
        if "django_celery_beat.schedulers" in modules:
            from z4j_celery.beat_django import DjangoStore

            return DjangoStore(self._service.app)
        if "redbeat.schedulers" in modules:
            from z4j_celery.beat_redbeat import RedbeatStore

            return RedbeatStore(self._service.app)
        if "sqlalchemy_celery_beat.schedulers" in modules:
            from z4j_celery.beat_sqlalchemy import SqlalchemyStore

            return SqlalchemyStore(self._service.app, scheduler)
        if type(scheduler).__module__ == "celery.beat":
            from z4j_celery.beat_code import CodeStore

            return CodeStore(self._service.app, scheduler, self._fired)
        return None

    def _around_apply(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def apply_async(entry: Any, *args: Any, **options: Any) -> Any:
            due_at = self._due(entry)
            try:
                result = original(entry, *args, **options)
            except Exception as error:
                self._fired(entry.name, due_at, "", error)
                raise
            self._fired(entry.name, due_at, str(getattr(result, "id", "") or ""))
            return result

        return apply_async

    @guard("what was due")
    def _due(self, entry: Any) -> int | None:
        """Before the entry moves on."""
        return us(due_of(entry.schedule, entry.last_run_at))

    @guard("a fire of beat")
    def _fired(self, key: str, due_at: int | None, task_id: str, error: BaseException | None = None) -> None:
        agent = z4j_agent.current()
        if agent is None:
            return
        at = now()
        self._last[key] = at
        while len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        if error is None:
            agent.fired(self.scheduler, key, min(due_at or at, at), task_id=task_id)
        else:
            said = f"{type(error).__name__}: {show_error(text_of(error))}"
            agent.fired(self.scheduler, key, min(due_at or at, at), outcome="failed", error=said)

    # -- what is there -------------------------------------------------------------------------------------------------
    @property
    def store(self) -> str:
        found = self._reachable()
        return found.name if found is not None else "code"

    def is_here(self) -> bool:
        return self._reachable() is not None

    def is_firing(self) -> bool:
        """Not while another beat holds redbeat's lock: this one only waits then."""
        if self._service is None or self._store is None:
            return False
        scheduler = self._service.scheduler
        return getattr(scheduler, "lock_key", None) is None or scheduler.lock is not None

    def tick_s(self) -> float:
        return MAX_SLEEP_S

    def zone(self) -> str:
        apps = self._apps()
        app = self._service.app if self._service is not None else apps[0] if apps else None
        return zone_name(app.timezone) if app is not None else "UTC"

    def _reachable(self) -> Store | None:
        """The store of the beat that runs here, else Django's, where this process has set it up."""
        if self._store is not None:
            return self._store
        registry = getattr(sys.modules.get("django.apps"), "apps", None)
        if registry is not None and registry.ready and registry.is_installed("django_celery_beat") and self._apps():
            from z4j_celery.beat_django import DjangoStore

            self._store = DjangoStore(self._apps()[0])
        return self._store

    def _need(self) -> Store:
        found = self._reachable()
        if found is None:
            raise Refused("this process runs no beat")
        return found

    def list_schedules(self) -> list[ScheduleInfo]:
        return self._need().told(self._last)

    # -- what operators ask --------------------------------------------------------------------------------------------
    def apply_overrides(self, overrides: list[Override]) -> dict[str, str]:
        apply = getattr(self._need(), "apply", None)
        if apply is None:
            raise Unsupported("these entries are in a store and are changed there")
        failed: dict[str, str] = apply(overrides)
        return failed

    def save_schedule(self, spec: ScheduleSpec) -> dict[str, Any]:
        return self._need().save(spec)

    def delete_schedule(self, key: str) -> dict[str, Any]:
        return self._need().delete(key)

    def enable_schedule(self, key: str) -> dict[str, Any]:
        return self._need().switch(key, on=True)

    def disable_schedule(self, key: str) -> dict[str, Any]:
        return self._need().switch(key, on=False)

    def fire_schedule(self, key: str) -> dict[str, Any]:
        """Sends its task by its own options."""
        name, args, kwargs, options = self._need().entry(key)
        app = self._service.app if self._service is not None else self._apps()[0]
        task = app.tasks.get(name)
        send = {of: value for of, value in options.items() if of in ("queue", "exchange", "routing_key", "priority") and value is not None}
        sent = task.apply_async(args, kwargs, **send) if task is not None else app.send_task(name, args, kwargs, **send)
        return {"task_id": str(sent.id)}
