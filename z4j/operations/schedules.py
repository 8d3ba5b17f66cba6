# SPDX-License-Identifier: AGPL-3.0-or-later
"""Changes schedules of every scheduler: one entry point for pages, API and command line.

z4j's own are rows here. Those in a store are changed by a command to an agent that has access to it. Those in code are overridden:
the override is stored here, and every agent of that scheduler receives all overrides when it connects and whenever they change.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from z4j import clock
from z4j.agents.command_frames import OutgoingCommand
from z4j.agents.command_owner import Owner
from z4j.agents.connections import LEVELS, AgentLink, Need
from z4j.exceptions import BadInput, NotAllowed, NotFound, Unsupported, WrongState
from z4j.operations.commands import Actor, CommandRequest, Dispatch
from z4j.operations.schedule_request import ScheduleRequest, changes_of, placeholder_row, spec_of, validate_schedule
from z4j.operations.scheduler import Scheduler
from z4j.rules.command_ids import CommandId
from z4j.rules.operator_input import shown_reason, unmasked
from z4j.rules.permissions import may_act
from z4j.rules.schedules.dialects import DIALECTS, check
from z4j.rules.schedules.due_times import BadSchedule, Timing
from z4j.rules.schedules.jitter import wake_of
from z4j.store.access.audit import Appended
from z4j.store.fleet import apps, queues
from z4j.store.fleet.agents import read_proofs
from z4j.store.operations.value_encryption import SealError
from z4j.store.schedules import schedules
from z4j.store.schedules.schedules import OWN, OverrideRow, ScheduleRow
from z4j.store.sqlite.db import Connection
from z4j.text import Json, JsonObject
from z4j.wire.frames import Schedules as SchedulesFrame
from z4j_agent.wire import digest_of

APPLY: Final = "apply_overrides"
APPLY_US: Final = 60_000_000


class ScheduleService(Owner):
    """One per server."""

    kind = "overrides"

    def __init__(self, dispatch: Dispatch, scheduler: Scheduler) -> None:
        self.outbox = dispatch.outbox
        self.store = dispatch.store
        self.dispatch = dispatch
        self.hub = dispatch.hub
        self.scheduler = scheduler
        self.outbox.register(self)

    # -- called by the outbox -----------------------------------------------------------------------------------------------
    async def schedules_listed(self, link: AgentLink, listing: SchedulesFrame) -> None:
        """Takes in a list; a process that does not have the overrides as they are now is sent them."""
        at = clock.now()
        link.schedulers[listing.scheduler] = listing.is_firing
        await self.store.write(lambda db: schedules.record_schedules(db, link.app_id, link.boot, listing, at))
        self.dispatch.live.changed(("schedules",))
        if listing.is_firing and (listing.scheduler, APPLY) in link.capabilities:
            overrides = await schedules.list_overrides(self.store, link.app_id, link.environment, listing.scheduler)
            if listing.applied != _digest(overrides) and (overrides or listing.applied):
                await self._send_overrides(link, listing.scheduler, overrides)

    # -- what operators ask --------------------------------------------------------------------------------------------
    async def create(self, actor: Actor, request: ScheduleRequest, reason: str = "") -> int | None:
        """Creates a schedule. Returns the row id of one of z4j's own; others appear when their scheduler reports them.

        Raises BadInput, NotFound, NotAllowed, AgentGone or Unsupported.
        """
        request = await self.checked(request)
        _keep_masked(request, "[]", "{}")  # a new one has nothing behind a mask
        app_id = await self._app_id(request.app)
        if request.scheduler == OWN:
            key = secrets.token_hex(8)
            return await self._save_own(actor, app_id, request, None, key, "created", reason)
        if await self._is_by_override(app_id, request.environment, request.scheduler):
            key = f"{OWN}:{request.name}"
            taken = [
                row for row in await schedules.list_schedules(self.store) if (row.app_id, row.scheduler) == (app_id, request.scheduler)
            ]
            if any(row.key == key and row.environment == request.environment for row in taken):
                raise WrongState(f"A schedule {request.name} already exists. No changes were made.", "Choose another name.")
            row = OverrideRow(key, True, False, request.is_enabled, spec_of(request, key), clock.now(), actor.name)
            await self._override(
                actor, app_id, request.environment, request.scheduler, key, "created", reason, changes_of(None, request), row
            )
            return None
        need = Need(app_id, request.scheduler, "save_schedule", request.environment)
        await self.dispatch.submit(
            actor, CommandRequest(need, f"schedule {request.scheduler}:{request.name}", spec_of(request, ""), reason=reason)
        )
        return None

    async def edit(self, actor: Actor, row: ScheduleRow, request: ScheduleRequest, reason: str = "") -> None:
        """Changes a schedule. Raises like `create`, and WrongState if it cannot be edited."""
        _refuse_if_unable(row, "save")
        request = await self.checked(
            dataclasses.replace(
                request, app=row.app, scheduler=row.scheduler, environment=request.environment if row.is_own else row.environment
            )
        )  # fmt: skip
        changes = changes_of(row, request)
        if row.is_own:
            await self._save_own(actor, row.app_id, request, row, row.key, "edited", reason)
        elif row.is_by_override:
            before = await self._override_of(row)
            spec = spec_of(request, row.key)
            if before is not None and before.error:
                if request.args is None or request.kwargs is None:
                    _refuse_if_unreadable(before)
                _keep_masked(request, "null", "null")
            if before is not None and before.spec is not None:  # what was overridden before and stays as it is, or shows the mask
                kept = _keep_masked(request, json.dumps(before.spec.get("args")), json.dumps(before.spec.get("kwargs")), is_stored=False)
                for name, value in kept.items():
                    spec[name] = before.spec.get(name) if value is None else value
            made = OverrideRow(row.key, before is not None and before.is_new, False, request.is_enabled, spec, clock.now(), actor.name)
            await self._override(actor, row.app_id, row.environment, row.scheduler, row.key, "edited", reason, changes, made)
        else:
            await self._ask(actor, row, "save_schedule", spec_of(request, row.key), reason, "edited", changes)

    async def delete(self, actor: Actor, row: ScheduleRow, reason: str = "") -> None:
        """Deletes a schedule of z4j's own with its fires; one in code is stopped from running until it is reverted to the code."""
        _refuse_if_unable(row, "delete")
        if row.is_own:
            self._may(actor, "delete_schedule")

            def write(db: Connection) -> None:
                schedules.delete_own(db, row.id)

            await self._write_own(actor, row, "delete_schedule", "deleted", reason, write)
        elif row.is_by_override:
            before = await self._override_of(row)
            if before is not None and before.is_new:
                await self._override(actor, row.app_id, row.environment, row.scheduler, row.key, "deleted", reason, {}, None)
            else:
                gone = OverrideRow(row.key, False, True, True, None, clock.now(), actor.name)
                await self._override(actor, row.app_id, row.environment, row.scheduler, row.key, "deleted", reason, {}, gone)
        else:
            await self._ask(actor, row, "delete_schedule", {"key": row.key}, reason, "deleted", {})

    async def switch(self, actor: Actor, row: ScheduleRow, *, on: bool, reason: str = "") -> None:
        """Enables or disables a schedule. Raises BadInput if it is disabled without a reason."""
        action = "enable_schedule" if on else "disable_schedule"
        _refuse_if_unable(row, "enable" if on else "disable")
        if not on and not reason.strip():
            raise BadInput("A reason is required to disable a schedule. No changes were made.")
        word, changes = "enabled" if on else "disabled", {"is_enabled": [row.is_enabled, on]}
        if row.is_own:
            self._may(actor, action)
            # What was due while it was off was not missed.
            next_at = row.timing.after(clock.now()) if on else row.next_at
            wake_at, at = wake_of(row.id, next_at, row.jitter_us) if on else None, clock.now()
            switch = partial(schedules.switch_own, id=row.id, is_enabled=on, next_at=next_at, wake_at=wake_at, at=at)
            await self._write_own(actor, row, action, word, reason, switch, changes)
        elif row.is_by_override:
            before = await self._override_of(row)
            _refuse_if_unreadable(before)
            spec, is_new = (before.spec, before.is_new) if before is not None else (None, False)
            made = None if on and spec is None else OverrideRow(row.key, is_new, False, on, _with(spec, on), clock.now(), actor.name)
            await self._override(actor, row.app_id, row.environment, row.scheduler, row.key, word, reason, changes, made)
        else:
            await self._ask(actor, row, action, {"key": row.key}, reason, word, changes)

    async def revert(self, actor: Actor, row: ScheduleRow, reason: str = "") -> None:
        """Deletes the override of a schedule, so that the definition in code applies again."""
        if await self._override_of(row) is None:
            raise WrongState("This schedule has no override. No changes were made.")
        await self._override(actor, row.app_id, row.environment, row.scheduler, row.key, "reverted", reason, {}, None)

    async def fire(self, actor: Actor, row: ScheduleRow, reason: str = "") -> str:
        """Runs it now; its next time stays. Returns the id of the task where it is known already, else ""."""
        _refuse_if_unable(row, "fire")
        if not row.is_own:
            await self._ask(actor, row, "fire_schedule", {"key": row.key}, reason, "fired", {})
            return ""
        need = Need(row.app_id, row.engine, "run_task", row.environment, queue=row.queue, broker=row.broker)
        args, kwargs = await schedules.whole_arguments(self.store, row.id)
        params = {"name": row.task_name, "args": json.loads(args), "kwargs": json.loads(kwargs), "queue": row.queue}
        params |= {"broker": row.broker} if row.broker else {}
        made = await self.dispatch.submit(actor, CommandRequest(need, f"schedule z4j:{row.name}", params, reason=reason))
        await self._note(actor, row, "fired", reason, {})
        return str(made[0].params["new_id"])

    async def checked(self, request: ScheduleRequest) -> ScheduleRequest:
        """Returns the request as its scheduler would store it. Raises BadInput with the reason and the nearest possible value."""
        validate_schedule(request)
        zone = "" if request.scheduler == OWN else await self.zone_of(request)
        try:
            expression, timezone = check(request.scheduler, request.kind, request.expression, request.timezone, zone)
        except BadSchedule as error:
            raise BadInput(
                f"{error} No changes were made.", f"The nearest supported timing: {error.nearest}" if error.nearest else ""
            ) from None
        made = dataclasses.replace(request, expression=expression, timezone=timezone)
        if request.scheduler == OWN and request.is_enabled and self._timing(made, clock.now()).after(clock.now()) is None:
            raise BadInput("This schedule would never be due. No changes were made.", "Choose a time in the future.")
        return made

    async def zone_of(self, request: ScheduleRequest) -> str:
        """Returns the time zone of all schedules of a scheduler; "" if it is unknown."""
        for row in await schedules.list_schedulers(self.store):
            if (row.app, row.environment, row.scheduler) == (request.app, request.environment, request.scheduler) and row.is_firing:
                return row.timezone
        return ""

    # -- pieces --------------------------------------------------------------------------------------------------------
    async def _app_id(self, app: str) -> int:
        app_id = next((row.id for row in await apps.list_apps(self.store) if row.name == app), None)
        if app_id is None:
            raise NotFound(f"Unknown app “{app[:60]}”.", "The Settings page lists all apps.")
        return app_id

    @staticmethod
    def _may(actor: Actor, action: str) -> None:
        if not may_act(actor.role, action):
            raise NotAllowed(f"Your role, {actor.role}, does not allow this. No changes were made.", "Ask an operator or an administrator.")

    @staticmethod
    def _timing(request: ScheduleRequest, anchor: int) -> Timing:
        return schedules.timing_of(
            request.scheduler,
            request.kind,
            request.expression,
            request.timezone,
            request.starts_at or anchor,
            request.starts_at,
            request.ends_at,
        )

    async def _save_own(
        self, actor: Actor, app_id: int, request: ScheduleRequest, row: ScheduleRow | None, key: str, word: str, reason: str
    ) -> int | None:
        self._may(actor, "save_schedule")
        if (
            not any(request.environment in ("", link.environment) for link in self.hub.of_app(app_id))
            and row is None
            and not request.engine
        ):
            raise BadInput("Choose the engine of the task. No changes were made.")
        known = sorted({link.environment for link in self.hub.of_app(app_id)})
        if not request.environment and len(known) > 1:
            raise BadInput(f"Choose an environment: agents of {', '.join(known)} are connected. No changes were made.")
        if row is None or (row.broker, row.queue, row.engine) != (request.broker, request.queue, request.engine):
            await self._check_broker(app_id, request)
        args, kwargs = ("[]", "{}") if row is None else await self._arguments_before(row, request)
        typed = _keep_masked(request, args, kwargs)
        at = clock.now()
        is_retimed = row is None or (row.kind, row.expression, row.starts_at) != (request.kind, request.expression, request.starts_at)
        anchor = at if row is None or is_retimed else row.anchor
        timing = dataclasses.replace(self._timing(request, anchor), anchor=request.starts_at or anchor)
        next_at = timing.after(at)
        jitter_us = int(request.jitter_s * 1_000_000)
        id = row.id if row is not None else 0
        values: schedules.OwnSchedule = {
            "id": id, "app_id": app_id, "environment": request.environment, "key": key, "engine": request.engine, "name": request.name,
            "kind": request.kind, "expression": request.expression, "timezone": request.timezone, "task_name": request.task_name,
            "args": args if typed["args"] is None else json.dumps(typed["args"]),
            "kwargs": kwargs if typed["kwargs"] is None else json.dumps(typed["kwargs"]),
            "queue": request.queue, "is_enabled": int(request.is_enabled), "catch_up": request.catch_up, "overlap": request.overlap,
            "broker": request.broker,
            "jitter_us": jitter_us, "starts_at": request.starts_at, "ends_at": request.ends_at, "anchor": timing.anchor,
            "next_at": next_at, "wake_at": wake_of(id, next_at, jitter_us) if request.is_enabled else None, "at": at,
        }  # fmt: skip
        made: list[int] = []

        def write(db: Connection) -> None:
            if row is None:
                made[:] = [schedules.add_own(db, values)]
            else:
                schedules.change_own(db, values)

        about = row or placeholder_row(app_id, request, key)
        await self._write_own(actor, about, "save_schedule", word, reason, write, changes_of(row, request))
        return made[0] if made else id

    async def _check_broker(self, app_id: int, request: ScheduleRequest) -> None:
        """Raises BadInput for a broker that no connected agent uses, and where the queue is in several and none is named."""
        known = self.hub.brokers_of(app_id, request.engine, request.environment)
        if request.broker and known and request.broker not in known:
            raise BadInput(
                f"No connected agent uses the broker {request.broker[:120]}. No changes were made.",
                f"Known brokers: {', '.join(sorted(known))[:400]}.",
            )
        if request.queue and not request.broker and len(known) > 1:
            rows = await queues.list_queues(
                self.store, app=request.app, environment=request.environment, engine=request.engine, name=request.queue,
                same=self.hub.same_brokers(),
            )  # fmt: skip
            its = sorted({row.broker for row in rows} & known)
            if len(its) > 1:
                raise BadInput(f"Choose a broker: the queue exists in {', '.join(its)[:400]}. No changes were made.")

    async def _arguments_before(self, row: ScheduleRow, request: ScheduleRequest) -> tuple[str, str]:
        """Returns (args, kwargs) of a schedule of z4j's own before an edit, as JSON texts. Values that cannot be decrypted are "null",
        which is no loss if all are typed again. Raises SealError otherwise."""
        try:
            return await schedules.whole_arguments(self.store, row.id)
        except SealError:
            if request.args is None or request.kwargs is None:
                raise
            return "null", "null"

    async def _write_own(
        self, actor: Actor, row: ScheduleRow, action: str, word: str, reason: str, write: Callable[[Connection], None],
        changes: Mapping[str, Json] | None = None,
    ) -> None:  # fmt: skip
        """A change to an own schedule, who made it, and the audit row: in one durable transaction."""
        at, reason = clock.now(), shown_reason(reason)
        detail: JsonObject = {"name": row.name, "task": row.task_name, "reason": reason, "changed": sorted(changes or {})}

        def commit(db: Connection) -> Appended:
            write(db)
            self._edit(db, actor, row.app_id, row.environment, row.scheduler, row.key, word, reason, changes or {}, at, row.task_name)
            return self.dispatch.audit_log.append(
                db, at=at, actor=actor.name, role=actor.role, action=action, target=f"schedule {row.scheduler}:{row.name}",
                address=actor.address, detail=detail,
            )  # fmt: skip

        self.dispatch.audit_log.keep_head(await self.store.write(commit, durable=True))
        self.scheduler.wake()
        self.dispatch.live.changed(("schedules", "changes"))

    async def _override(
        self, actor: Actor, app_id: int, environment: str, scheduler: str, key: str, word: str, reason: str, changes: Mapping[str, Json],
        row: OverrideRow | None,
    ) -> None:  # fmt: skip
        """Stores or deletes an override, and sends it to every process of that scheduler."""
        action = {"deleted": "delete_schedule", "enabled": "enable_schedule", "disabled": "disable_schedule"}.get(word, "save_schedule")
        self._may(actor, action)
        at, reason = clock.now(), shown_reason(reason)
        task_name = str(row.spec.get("task_name") or "") if row is not None and row.spec is not None else ""

        def commit(db: Connection) -> Appended:
            if row is None:
                schedules.drop_override(db, app_id, environment, scheduler, key)
            else:
                schedules.put_override(db, app_id, environment, scheduler, row)
            self._edit(db, actor, app_id, environment, scheduler, key, word, reason, changes, at, task_name)
            return self.dispatch.audit_log.append(
                db, at=at, actor=actor.name, role=actor.role, action=action, target=f"schedule {scheduler}:{key}", address=actor.address,
                detail={"override": word, "reason": reason, "changed": sorted(changes)},
            )  # fmt: skip

        self.dispatch.audit_log.keep_head(await self.store.write(commit, durable=True))
        overrides = await schedules.list_overrides(self.store, app_id, environment, scheduler)
        for link in self.hub.able(app_id, scheduler, APPLY):
            if link.environment == environment:
                await self._send_overrides(link, scheduler, overrides)
        self.dispatch.live.changed(("schedules", "changes"))

    async def _send_overrides(self, link: AgentLink, scheduler: str, overrides: list[OverrideRow]) -> None:
        if link.is_secure and LEVELS.index(link.allow) >= LEVELS.index("operate"):
            proofs = await read_proofs(self.store, link.app_id, [str(row.spec["task_name"]) for row in overrides if row.spec is not None])
            params: JsonObject = {"overrides": _to_wire(overrides), "proofs": proofs}
            # A new ID each time: the list is complete, and receiving it twice changes nothing.
            id = CommandId("overrides", secrets.token_hex(8))
            need = Need(link.app_id, scheduler, APPLY, link.environment)
            self.outbox.send_to(link, OutgoingCommand(id, need, clock.now() + APPLY_US, params))

    async def _ask(
        self, actor: Actor, row: ScheduleRow, action: str, params: JsonObject, reason: str, word: str, changes: Mapping[str, Json]
    ) -> None:
        need = Need(row.app_id, row.scheduler, action, row.environment)
        await self.dispatch.submit(actor, CommandRequest(need, f"schedule {row.scheduler}:{row.key}", params, reason=reason))
        await self._note(actor, row, word, reason, changes)

    async def _note(self, actor: Actor, row: ScheduleRow, word: str, reason: str, changes: Mapping[str, Json]) -> None:
        at = clock.now()
        await self.store.note(  # the change itself is already committed
            "edit of a schedule",
            lambda db: self._edit(db, actor, row.app_id, row.environment, row.scheduler, row.key, word, reason, changes, at, row.task_name),
        )

    @staticmethod
    def _edit(
        db: Connection, actor: Actor, app_id: int, environment: str, scheduler: str, key: str, word: str, reason: str,
        changes: Mapping[str, Json], at: int, task_name: str = "",
    ) -> None:  # fmt: skip
        schedules.add_edit(
            db, app_id, environment, scheduler, key, at=at, by=actor.name, action=word, reason=reason, changes=changes, task_name=task_name
        )  # fmt: skip

    async def _override_of(self, row: ScheduleRow) -> OverrideRow | None:
        overrides = await schedules.list_overrides(self.store, row.app_id, row.environment, row.scheduler)
        return next((override for override in overrides if override.key == row.key), None)

    async def _is_by_override(self, app_id: int, environment: str, scheduler: str) -> bool:
        """Whether a new schedule can only be created by an override. Raises Unsupported if the scheduler accepts no new schedules."""
        schedulers = [
            row for row in await schedules.list_schedulers(self.store)
            if (row.app_id, row.environment, row.scheduler) == (app_id, environment, scheduler)
        ]  # fmt: skip
        if schedulers and not any(row.can_create for row in schedulers):
            raise Unsupported(f"{DIALECTS[scheduler].word} does not accept new schedules from z4j. No changes were made.")
        return any(row.store == "code" for row in schedulers)


def _keep_masked(request: ScheduleRequest, args: str, kwargs: str, *, is_stored: bool = True) -> JsonObject:
    """What was typed, with the stored value wherever it still shows the mask; None where it stays. Raises BadInput."""
    try:
        return {
            "args": None if request.args is None else unmasked(request.args, json.loads(args), "args", is_stored=is_stored),
            "kwargs": None if request.kwargs is None else unmasked(request.kwargs, json.loads(kwargs), "kwargs", is_stored=is_stored),
        }
    except ValueError as error:
        raise BadInput(
            f"{str(error)[:1].upper()}{str(error)[1:]}. No changes were made.", "Leave the mask unchanged, or enter the whole value."
        ) from None


def _with(spec: JsonObject | None, is_enabled: bool) -> JsonObject | None:
    return None if spec is None else {**spec, "is_enabled": is_enabled}


def _to_wire(overrides: list[OverrideRow]) -> list[JsonObject]:
    """As an agent is sent them. An entry beside the code that cannot be decrypted is left out: there is nothing it could run."""
    return [row.to_wire() for row in overrides if not (row.is_new and row.error)]


def _digest(overrides: list[OverrideRow]) -> str:
    return digest_of(_to_wire(overrides))


def _refuse_if_unreadable(override: OverrideRow | None) -> None:
    if override is not None and override.error:
        raise WrongState(
            f"{override.error} No changes were made.",
            "Restore values.key from a backup, or edit the schedule with all its arguments, or revert it.",
        )


def _refuse_if_unable(row: ScheduleRow, what: str) -> None:
    if (why := row.unable.get(what)) is not None:
        raise WrongState(f"This is not possible for {row.name}: {why}. No changes were made.")
    if row.gone_at is not None:
        raise WrongState(f"{row.name} no longer exists. No changes were made.")
