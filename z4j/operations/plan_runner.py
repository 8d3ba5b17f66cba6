# SPDX-License-Identifier: AGPL-3.0-or-later
"""Executes a plan: checks each item again, passes it to the outbox at the plan's pace, and stores the result of every item.

Everything that must survive is in the database; a run can be dropped at any moment and made again.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from z4j import clock
from z4j.agents.command_frames import OutgoingCommand
from z4j.agents.command_owner import Cause, Chosen, ExpiringOwner, Refused
from z4j.agents.connections import Need
from z4j.agents.ingest import ServerFact, apply_facts
from z4j.agents.outbox import Outbox
from z4j.duty_loop import Duty
from z4j.live import Live
from z4j.operations.commands import NEW_ID
from z4j.rules import plans as rules
from z4j.rules.command_ids import CommandId
from z4j.rules.commands import HELD, RULES
from z4j.rules.plans import ACTIONS, SERVER_ACTIONS, Item, Pace
from z4j.rules.tasks.fold import Event
from z4j.rules.tasks.states import FINAL_CODES, ORIGINAL_NAMES, STATE_NAMES, STATES
from z4j.store.access.audit import AuditLog
from z4j.store.operations import plans
from z4j.store.operations.plans import GroupRow, Next, PlanRow, SentItem
from z4j.store.sqlite.db import Connection
from z4j.store.tasks import task_deletion, task_ids
from z4j.store.tasks.task_columns import unpack_sent
from z4j.text import JsonObject
from z4j.wire.records import NO_PRIORITY

LOOK_S: Final = 0.25
"""How often a run looks at its plan; changes wake it at once."""
SERVER_BATCH: Final = 500
SILENT_US: Final = 60_000_000
"""After its command has expired an item waits so long for the agent's word, then it is unknown."""
OUTCOME_US: Final = 300_000_000
"""How long a canary waits for the tasks it made; one that has not ended by then counts as not failed."""
BAD_CODES: Final = frozenset(STATES[word] for word in ("failed", "lost", "rejected", "expired"))


class PlanRun(ExpiringOwner):
    """One plan while it is executed. Its items are of the kind that `plans.Plans` has registered."""

    kind = "plan_item"
    is_refused_without_agent = True

    def __init__(self, id: int, outbox: Outbox, live: Live, audit_log: AuditLog, duty: Duty | None = None) -> None:
        self.id = id
        self.duty = duty or Duty(f"plan {id}", LOOK_S)
        self.outbox = outbox
        self.store = outbox.store
        self.live = live
        self.audit_log = audit_log
        self._news = asyncio.Event()
        self._groups: dict[int, GroupRow] = {}
        self._judged: set[int] = set()
        self._began = clock.ticks()
        self._already: int | None = None
        """Items begun before this run: the pace counts from here."""

    def wake(self) -> None:
        """Makes the run look at the plan again now."""
        self._news.set()

    @property
    def is_woken(self) -> bool:
        """Whether `wake` was called since the last look."""
        return self._news.is_set()

    async def run(self) -> None:
        """Runs until nothing is left to do for now: the plan is done, or it is paused or aborted and every sent item has a result."""
        while True:
            self._news.clear()
            try:
                is_over = await self._step()
            except Exception as error:  # marked items stay marked; the plan continues when the cause is gone (a full disk has space)
                self.duty.failed(error)
                await asyncio.sleep(self.duty.pause_s)
                continue
            self.duty.succeeded()
            if is_over:
                return
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._news.wait()
            except TimeoutError:
                pass  # nothing new came; look anyway, for paces and expiries

    async def _step(self) -> bool:
        plan = await plans.get_plan(self.store, self.id)
        if plan is None:
            return True
        await self._know_groups()
        counts = await plans.account(self.store, self.id)
        waiting, in_flight = counts["waiting"], counts["sent"]
        if plan.status != "running":
            return not in_flight
        if not waiting and not in_flight:
            await self._end(plan, counts)
            return True
        pace, begun = rules.unpack_pace(plan.pace), plan.items - waiting
        self._already = begun if self._already is None else self._already
        if rules.is_stage_over(pace, begun) and begun not in self._judged and waiting:
            if in_flight or not await self._is_judged_well(plan, pace, begun, counts):
                return False
            self._judged.add(begun)
        allowed = rules.allowance(pace, begun, in_flight, clock.ticks() - self._began, self._already)
        if allowed and waiting:
            await (self._execute_in_server(plan, allowed) if plan.action in SERVER_ACTIONS else self._deliver(plan, allowed, in_flight))
            self.live.changed(("plans",))
            if plan.action in SERVER_ACTIONS:
                self._news.set()
        return False

    async def _know_groups(self) -> None:
        if not self._groups:
            self._groups = {group.number: group for group in await plans.list_groups(self.store, self.id)}

    # -- sending -------------------------------------------------------------------------------------------------------
    async def _deliver(self, plan: PlanRow, allowed: int, in_flight: int) -> None:
        blocked = {number: why for number, group in self._groups.items() if (why := self._why_blocked(plan, group))}
        items = await plans.list_waiting(self.store, plan.id, blocked, allowed)
        if not items and not in_flight and blocked:
            note = f"{rules.NO_AGENT}{next(iter(blocked.values()))}."
            await self.store.write(lambda db: plans.put_note(db, plan.id, note))
            return
        at, changed = clock.now(), {item.seq: reason for item in items if (reason := _why_changed(plan.action, item))}
        if changed:
            await self.store.write(lambda db: self._end_changed(db, changed, at), durable=True)
        await self.outbox.deliver(self, [self._command(plan, item, at) for item in items if item.seq not in changed], at)

    def _why_blocked(self, plan: PlanRow, group: GroupRow) -> str:
        return self.outbox.hub.find(Need(group.app_id, group.engine, plan.action, group.environment))[1]

    def _end_changed(self, db: Connection, changed: Mapping[int, str], at: int) -> None:
        for seq in plans.still_waiting(db, self.id, changed):
            plans.end_item(db, self.id, seq, Item.CHANGED, at, changed[seq])

    def mark(self, db: Connection, chosen: Sequence[Chosen], refused: Sequence[Refused], at: int) -> set[CommandId]:
        """Marks items as sent and ends the refused ones. Returns no id if the plan was paused or aborted since its items were listed."""
        listed = [pair.command for pair in chosen] + [pair.command for pair in refused]
        still = plans.still_waiting(db, self.id, [command.id.number for command in listed])
        for no in refused:
            if no.command.id.number in still:
                status = Item.CHANGED if no.cause is Cause.NO_ORIGINAL else Item.REFUSED
                plans.end_item(db, self.id, no.command.id.number, status, at, no.reason)
        going = [each for each in chosen if each.command.id.number in still]
        plans.mark_sent(db, self.id, [(each.command.id.number, each.link.spool) for each in going], at)
        if still:
            plans.put_note(db, self.id, "")
        self._store_cancellations(db, going, at)
        return {each.command.id for each in going}

    def _store_cancellations(self, db: Connection, going: Iterable[Chosen], at: int) -> None:
        by_app: dict[int, list[ServerFact]] = {}
        for command in (each.command for each in going if each.command.need.action == "cancel_task"):
            assert command.task is not None, "an item is a task"
            fact = ServerFact(command.need.engine, str(command.params["task_id"]), Event("cancel_asked", 0, at), command.task)
            by_app.setdefault(command.need.app_id, []).append(fact)
        for app_id, facts in by_app.items():
            apply_facts(db, app_id, facts)

    def _command(self, plan: PlanRow, item: Next | SentItem, at: int) -> OutgoingCommand:
        """The command of an item that is, or was, sent at that time: always the same."""
        group, spool = self._groups[item.number], item.spool if isinstance(item, SentItem) else ""
        params: JsonObject = {"task_id": task_ids.decode(item.task_id), "name": group.name, "queue": group.queue, **plan.params}
        if plan.action == "restore_task":
            priority = unpack_sent(item.sent)[7] if item.sent else NO_PRIORITY
            params |= {"eta_at": item.eta_at, "priority": None if priority == NO_PRIORITY else priority}
        if plan.action == "move_task":
            params["from_queue"] = group.queue
        if plan.action in NEW_ID:
            params["new_id"] = new_id(plan.key, item.seq)
        worker = item.worker if plan.action == "terminate_task" else ""
        near = item.worker if plan.action in HELD else ""
        need = Need(group.app_id, group.engine, plan.action, group.environment, worker, group.queue, near)
        id = CommandId("plan_item", plan.key, item.seq)
        return OutgoingCommand(id, need, at + RULES[plan.action].expires_us, params, item.task, spool=spool)

    async def list_open(self, app_id: int, at: int) -> list[OutgoingCommand]:
        """Lists the items that were sent and not answered. Waiting items are sent at the pace of the plan."""
        plan = await plans.get_plan(self.store, self.id)
        if plan is None or plan.action in SERVER_ACTIONS:
            return []
        await self._know_groups()
        if all(group.app_id != app_id for group in self._groups.values()):
            return []
        sent = await plans.list_sent(self.store, self.id)
        return [self._command(plan, item, item.sent_at) for item in sent if self._groups[item.number].app_id == app_id]

    # -- what the server does itself -------------------------------------------------------------------------------------
    async def _execute_in_server(self, plan: PlanRow, allowed: int) -> None:
        listed = await plans.list_waiting(self.store, plan.id, (), min(allowed, SERVER_BATCH))
        at, states = clock.now(), ACTIONS[plan.action][1]

        def write(db: Connection) -> None:
            still = plans.still_waiting(db, plan.id, [item.seq for item in listed])
            items = [item for item in listed if item.seq in still]
            if plan.action == "delete_task":
                able = [item for item in items if item.state is not None and STATE_NAMES[item.state] in states]
                done = task_deletion.delete_tasks(db, plan.id, [(item.seq, item.task) for item in able])
            else:
                done = task_deletion.put_back(db, int(plan.params["of"]), [item.task for item in items])
            for item in items:
                is_done = item.task in done
                plans.end_item(
                    db, plan.id, item.seq, Item.DONE if is_done else Item.CHANGED, at, "" if is_done else "its state had changed"
                )

        await self.store.write(write)
        self.live.changed(("tasks", "queues", "strip"))

    # -- ends ------------------------------------------------------------------------------------------------------------
    async def expire(self, at: int) -> None:
        """Ends items whose agent has not answered in time as unknown. A later result still counts."""
        plan = await plans.get_plan(self.store, self.id)
        if plan is None or plan.action in SERVER_ACTIONS:
            return
        overdue = await plans.list_overdue(self.store, plan.id, at - RULES[plan.action].expires_us - SILENT_US)
        if overdue:
            why = "it was sent to an agent that has not answered"

            def write(db: Connection) -> None:
                for seq in overdue:
                    plans.end_item(db, plan.id, seq, Item.UNKNOWN, at, why)

            await self.store.write(write)
            self.live.changed(("plans",))

    async def _is_judged_well(self, plan: PlanRow, pace: Pace, begun: int, counts: dict[str, int]) -> bool:
        """Whether a canary may continue: False while tasks it created still run, and when it has stopped itself."""
        bad = counts["refused"] + counts["failed"] + counts["unknown"] + counts["expired"]
        ended = begun - counts["changed"]
        if plan.action in NEW_ID:
            done = await plans.list_items(self.store, plan.id, status=Item.DONE, limit=begun)
            states = [await self._outcome(plan, item.seq) for item in done]
            is_over = all(state in FINAL_CODES for state in states)
            newest = max((item.ended_at or 0 for item in done), default=0)
            if not is_over and clock.now() - newest < OUTCOME_US:
                note = f"Waiting for the results of the first {begun}."
                await self.store.write(lambda db: plans.put_note(db, plan.id, note))
                return False
            bad += sum(state in BAD_CODES for state in states)
        if rules.is_over_limit(pace, bad, ended):
            note = f"{rules.STOPPED}{bad} of {ended} failed; the limit is {pace.limit} %."
            await self.store.write(lambda db: plans.change_plan(db, plan.id, "paused", ["running"], note=note), durable=True)
            await self._audit("pause_plan", {"why": note})
            self.live.changed(("plans", "changes"))
            return False
        return True

    async def _outcome(self, plan: PlanRow, seq: int) -> int | None:
        """The state of the task an item made; its group is that of any app, for ids of ours are unique."""
        for app_id in {group.app_id for group in self._groups.values()}:
            state = await plans.outcome(self.store, app_id, new_id(plan.key, seq))
            if state is not None:
                return state
        return None

    async def _end(self, plan: PlanRow, counts: dict[str, int]) -> None:
        at = clock.now()
        if await self.store.write(lambda db: plans.change_plan(db, plan.id, "done", ["running"], ended_at=at), durable=True):
            await self._audit("end_plan", {"account": {word: items for word, items in counts.items() if items}})
            self.live.changed(("plans", "changes", "tasks"))

    async def _audit(self, word: str, detail: JsonObject) -> None:
        await self.audit_log.note(
            self.store, at=clock.now(), actor="system", role="", action=word, target=f"plan {self.id}", detail={"plan": self.id, **detail}
        )


def new_id(key: str, seq: int) -> str:
    """Returns the id of the task that an item creates: always the same, so that no item can create two."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"z4j:plan:{key}.{seq}"))


def _why_changed(action: str, item: Next) -> str | None:
    if item.state is None:
        return "the task was deleted"
    state = STATE_NAMES[item.state]
    if state not in ACTIONS[action][1]:
        return f"state is now {state}"
    if RULES[action].needs_original and ORIGINAL_NAMES[item.original_state] not in ("plain", "sealed"):
        return "its original is no longer stored"
    return None
