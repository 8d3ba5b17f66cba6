# SPDX-License-Identifier: Apache-2.0
"""taskiq's schedules: listing, changes, and runs. Used in the agent's thread.

Entries of labels (and of any source that entries cannot be added to) are code, and changed by overrides. Those of a source with
`add_schedule` are in a store and are changed there. One process may have both.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from taskiq.kicker import AsyncKicker

import z4j_agent
from z4j_agent.capture.guard import guard
from z4j_agent.capture.hooks import now
from z4j_agent.contract.adapter import Finding, Refused, Unsupported
from z4j_agent.contract.scheduler import Override, ScheduleInfo, Scheduler, ScheduleSpec, show_arguments
from z4j_agent.runtime.patching import Patches
from z4j_taskiq import originals
from z4j_taskiq.messages import ENGINE, number, queue_of
from z4j_taskiq.schedulers.overrides import Entry, next_of, rule_of, task_of, time_of
from z4j_taskiq.schedulers.scheduler_loop import LOOP_CLASS, SCHEDULER, Firing
from z4j_taskiq.schedulers.sources import Store, StoredEntries, kind_of

OVER = "Its time has passed."
STORED_WHILE_DISABLED = "While it is disabled, it is stored in Redis next to taskiq's own keys."
IS_CODE = "it is defined in code; it is changed by overrides"
OPAQUE = "it has no equivalent expression"
MAX_ID = 150
_MADE_UP = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
AHEAD = "This Redis has so many keys that future one-offs may be missing in the list."


class Schedules(Scheduler):
    """taskiq's scheduler, in any process of the application. A process without a loop declares no capability; otherwise a worker would
    receive commands for the scheduler. Capabilities are declared by the class, so the class of this object is changed when a loop is
    created."""

    scheduler: ClassVar[str] = SCHEDULER
    engine: ClassVar[str] = ENGINE

    def __init__(self, is_watched: Callable[[Any], bool]) -> None:
        """`is_watched` returns whether a broker was passed to `install`."""
        self._is_watched = is_watched
        self._firing: Firing | None = None
        self._is_cut = False
        self._is_hooked = False
        self._patches = Patches()

    # -- hooks -----------------------------------------------------------------------------------------------------------
    def install(self) -> None:
        """Wraps the creation of loops. Versions of taskiq without that class have schedules that are not listed."""
        if not self._is_hooked and LOOP_CLASS is not None:
            self._is_hooked = self._patches.around(LOOP_CLASS, "__init__", self._around_init)

    def _around_init(self, init: Callable[..., None], loop: Any, /, *args: Any, **kwargs: Any) -> None:
        init(loop, *args, **kwargs)
        self._on_loop(loop)

    def uninstall(self) -> None:
        self._is_hooked = False
        self._patches.restore()
        self._leave()

    def unwatch(self, broker: Any) -> None:
        """Removes the hooks from that broker's loop."""
        if self._firing is not None and self._firing.broker is broker:
            self._leave()

    def _leave(self) -> None:
        firing, self._firing = self._firing, None
        self.__class__ = Schedules
        if firing is not None:
            firing.disconnect()

    @guard("SchedulerLoop")
    def _on_loop(self, loop: Any) -> None:
        """Called before a loop reads its sources for the first time."""
        agent = z4j_agent.current()
        if agent is None or not self._is_watched(loop.scheduler.broker):
            return
        if self._firing is not None:
            self._firing.disconnect()
        self._firing = Firing(loop, loop._event_loop)
        self._firing.connect()
        self.__class__ = StoredSchedules if self._firing.stores else CodeSchedules
        if agent.role == "producer" and not agent.is_connected_process:
            agent.become_scheduler(f"taskiq-scheduler@{agent.host}")
        else:
            agent.connect()

    # -- the scheduler-------------------------------------------------------------------------------------------------
    @property
    def store(self) -> str:
        stores = self._firing.stores if self._firing is not None else []
        return kind_of(_new_ones(stores).source) if stores else "code"

    @property
    def can_create(self) -> bool:
        return self._firing is not None and bool(self._firing.stores or self._firing.coded)

    def is_firing(self) -> bool:
        return self._firing is not None and self._firing.is_running

    def tick_s(self) -> float:
        return self._firing.tick if self._firing is not None else 1.0

    def findings(self) -> list[Finding]:
        return [Finding("warning", AHEAD, "Give the schedules a Redis database of their own.")] if self._is_cut else []

    def _need(self) -> Firing:
        if self._firing is None or not self._firing.is_running:
            raise Unsupported("this process does not run a taskiq scheduler")
        return self._firing

    # -- the list ------------------------------------------------------------------------------------------------------
    def list_schedules(self) -> list[ScheduleInfo]:
        firing = self._need()
        stored = firing.ask(lambda: _read(firing))
        self._is_cut = any(read.is_cut for _, read in stored)
        entries = [_coded(firing, entry) for entry in list(firing.plan.entries.values())]
        for store, read in stored:
            entries += [_stored(firing, store, task, is_on=True) for task in read.on.values()]
            entries += [_stored(firing, store, task, is_on=False) for task in read.off.values()]
        return entries


class CodeSchedules(Schedules):
    """The scheduler of this process, whose sources are all code: every change is an override."""

    def apply_overrides(self, overrides: list[Override]) -> dict[str, str]:
        firing = self._need()
        return firing.ask(lambda: firing.apply(overrides))

    def fire_schedule(self, key: str) -> dict[str, Any]:
        """Sends the entry's task. Raises Refused if the entry does not exist."""
        firing = self._need()
        entry = firing.plan.entries.get(key)
        task = entry.task if entry is not None else _find(firing, key)[1]
        return {"task_id": firing.ask(lambda: _send(firing.broker, task)), "queue": queue_of(firing.broker, task.labels)}


class StoredSchedules(CodeSchedules):
    """A scheduler with at least one source to which entries can be added."""

    def save_schedule(self, spec: ScheduleSpec) -> dict[str, Any]:
        """Creates an entry in the store, or changes the one of this key. Raises Refused."""
        firing = self._need()
        if not spec.key:
            store, old, is_on = _new_ones(firing.stores), None, True
            task = task_of(firing.broker, spec, _free_id(firing, spec.name))
        else:
            store, old, is_on = _find(firing, spec.key)
            if rule_of(old).kind == "other":
                raise Refused(OPAQUE)
            if spec.name not in ("", _name(old)):
                raise Refused("an entry of taskiq has no name besides its ID, which cannot be changed. No changes were made.")
            task = task_of(firing.broker, spec, spec.key, old)
        if spec.kind == "once" and time_of(task) <= now():
            raise Refused("that time has passed; run the entry now instead. No changes were made.")

        async def put() -> None:
            if spec.is_enabled:
                await store.put(task, old if is_on else None)
            else:
                await store.switch_off(task, old if is_on else None)
            firing.forget(task.schedule_id)

        firing.ask(put)
        return {"key": task.schedule_id}

    def delete_schedule(self, key: str) -> dict[str, Any]:
        return self._change(key, lambda store, task, is_on: store.delete(task))

    def disable_schedule(self, key: str) -> dict[str, Any]:
        return self._change(key, lambda store, task, is_on: store.switch_off(task) if is_on else None)

    def enable_schedule(self, key: str) -> dict[str, Any]:
        return self._change(key, lambda store, task, is_on: None if is_on else store.switch_on(task))

    def _change(self, key: str, change: Callable[[Store, Any, bool], Awaitable[None] | None]) -> dict[str, Any]:
        firing = self._need()
        store, task, is_on = _find(firing, key)

        async def act() -> None:
            awaitable = change(store, task, is_on)
            if awaitable is not None:
                await awaitable
                firing.forget(task.schedule_id)

        firing.ask(act)
        return {}


# -- one entry -----------------------------------------------------------------------------------------------------------
def _coded(firing: Firing, entry: Entry) -> ScheduleInfo:
    is_over = firing.is_over(entry)
    note = OVER if is_over else ""
    return _info(firing, entry.key, entry.name, entry.task, note, is_enabled=entry.is_enabled, is_over=is_over, is_code=True)


def _stored(firing: Firing, store: Store, task: Any, *, is_on: bool) -> ScheduleInfo:
    unsupported_edits = {} if store.can_disable else {"disable": "this source cannot store a disabled entry; delete it instead"}
    key, note = task.schedule_id, "" if is_on else STORED_WHILE_DISABLED
    return _info(firing, key, _name(task), task, note, is_enabled=is_on, is_over=False, is_code=False, unsupported_edits=unsupported_edits)


def _info(
    firing: Firing, key: str, name: str, task: Any, note: str, *, is_enabled: bool, is_over: bool, is_code: bool,
    unsupported_edits: dict[str, str] | None = None,
) -> ScheduleInfo:  # fmt: skip
    agent, rule, broker = z4j_agent.current(), rule_of(task), firing.broker
    names = originals.parameter_names(broker, task.task_name) or ()
    args, kwargs = show_arguments(task.args, task.kwargs, agent.settings.redact if agent is not None else (), names)
    is_due = is_enabled and not is_over
    return ScheduleInfo(
        key=key,
        name=name,
        kind=rule.kind,
        expression=rule.expression,
        timezone=rule.timezone,
        task_name=task.task_name,
        args=args,
        kwargs=kwargs,
        queue=queue_of(broker, task.labels),
        priority=number(task.labels["priority"]) if "priority" in task.labels else None,
        is_enabled=is_enabled,
        next_at=next_of(task, firing.last_run(task), now()) if is_due else None,
        last_at=firing.last.get(key),
        is_code=is_code,
        unable=(unsupported_edits or {}) | ({"save": OPAQUE} if rule.kind == "other" else {}),
        note=note or rule.note,
    )


async def _read(firing: Firing) -> list[tuple[Store, StoredEntries]]:
    return [(store, await store.read()) for store in firing.stores]


def _find(firing: Firing, key: str) -> tuple[Store, Any, bool]:
    """The store of an entry, the entry, and whether it is enabled. Raises Refused."""
    if key in firing.plan.entries:
        raise Refused(IS_CODE)
    for store, entries in firing.ask(lambda: _read(firing)):
        if key in entries.on or key in entries.off:
            return store, entries.on.get(key) or entries.off[key], key in entries.on
    raise Refused("no such schedule exists now. No changes were made.")


def _name(task: Any) -> str:
    """The name of an entry: an ID that was chosen by a person, else the task's name."""
    return str(task.task_name if _MADE_UP.fullmatch(task.schedule_id) else task.schedule_id)


def _free_id(firing: Firing, name: str) -> str:
    """An ID for a new entry: its name, if no other entry has it, because taskiq has no other field for a name."""
    if not name or len(name) > MAX_ID:
        return uuid.uuid4().hex
    taken = {id for _, entries in firing.ask(lambda: _read(firing)) for id in (*entries.on, *entries.off)}
    return f"{name}-{uuid.uuid4().hex[:6]}" if name in taken or name in firing.plan.entries else name


def _new_ones(stores: list[Store]) -> Store:
    """The store for new entries: preferably one that supports disabled entries."""
    return next((store for store in stores if store.can_disable), stores[0])


async def _send(broker: Any, task: Any) -> str:
    kicker = AsyncKicker(task.task_name, broker, dict(task.labels)).with_labels(schedule_id=task.schedule_id)
    return str((await kicker.with_task_id(broker.id_generator()).kiq(*task.args, **task.kwargs)).task_id)
