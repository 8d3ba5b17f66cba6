# SPDX-License-Identifier: AGPL-3.0-or-later
"""Freezes bulk actions into plans, and executes, pauses, resumes, aborts and undoes plans. The execution itself: see `plan_runner`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Unpack

from z4j import clock
from z4j.agents.command_frames import OutgoingCommand
from z4j.agents.command_owner import ExpiringOwner
from z4j.agents.command_results import Answer
from z4j.agents.connections import AgentLink, Need
from z4j.agents.outbox import Outbox
from z4j.duty_loop import Duties, until_done
from z4j.exceptions import BadInput, NotAllowed, NotFound, WrongState
from z4j.live import Live
from z4j.operations import repeated_cancellations
from z4j.operations.commands import Actor
from z4j.operations.plan_runner import LOOK_S, PlanRun
from z4j.rules import plans as rules
from z4j.rules.command_ids import NEW_BYTES
from z4j.rules.operator_input import shown_reason
from z4j.rules.permissions import may_act
from z4j.rules.plans import ACTIONS, SERVER_ACTIONS, Pace
from z4j.rules.tasks.states import ORIGINAL_NAMES, STATE_NAMES
from z4j.store.access.audit import Appended, AuditLog
from z4j.store.operations import plans as store_plans
from z4j.store.operations.commands import CommandRow
from z4j.store.operations.plans import Candidate, FrozenPlan, NewPlan, PlanChange, PlanParams, PlanRow, Sample
from z4j.store.sqlite.db import Connection, Row
from z4j.store.tasks import task_ids, task_search
from z4j.store.tasks.task_search import TaskFilter
from z4j.text import Json, JsonObject

CHUNK: Final = 1_000
SAMPLES: Final = 20
LOAD_SINCE_US: Final = 24 * 3_600_000_000
WITH_LOAD: Final = frozenset({"retry_task", "restore_task", "release_task"})


@dataclass(frozen=True, slots=True)
class Source:
    """What a plan is made from: everything that matches a filter, or chosen tasks by their row ids. `text` is shown and kept."""

    text: str
    task_filter: TaskFilter | None = None
    ids: tuple[int, ...] = ()
    is_in_order: bool = False
    """Whether `ids` are already in the order of execution."""


class Plans(ExpiringOwner):
    """One per server."""

    kind = "plan_item"

    def __init__(self, outbox: Outbox, live: Live, audit_log: AuditLog, duties: Duties | None = None) -> None:
        self.outbox = outbox
        self.store = outbox.store
        self.hub = outbox.hub
        self.live = live
        self.audit_log = audit_log
        self._duties = duties or Duties()
        self._runs: dict[int, PlanRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        outbox.register(self)

    async def start(self) -> None:
        """Resumes the plans that were running when the server ended, however it ended. Raises nothing: failed reads are retried."""
        duty = self._duties.add("resume plans", 1.0)
        await duty.attempt(lambda: self.store.write(store_plans.drop_freezing))
        task = asyncio.create_task(until_done(duty, self._resume_all))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._duties.remove(duty.name))

    async def _resume_all(self) -> None:
        for id in await store_plans.list_running(self.store):
            self._begin(id)

    async def stop(self) -> None:
        """Stops executing plans in their current state; `start` continues them."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- called by the outbox -----------------------------------------------------------------------------------------------
    async def list_open(self, app_id: int, at: int) -> list[OutgoingCommand]:
        """Lists the items that were sent and not answered. Waiting items are sent at the pace of their plan: each run checks again whether
        they can be."""
        open_commands = []
        for run in list(self._runs.values()):
            open_commands += await run.list_open(app_id, at)
            run.wake()
        return open_commands

    async def list_copies(self, link: AgentLink, at: int) -> list[OutgoingCommand]:
        """Lists the cancellations to repeat, see `repeated_cancellations`."""
        return await repeated_cancellations.of_plans(self.store, link, at)

    async def answered(self, app_id: int, answers: Sequence[Answer]) -> None:
        """Wakes the running plans."""
        for run in self._runs.values():
            run.wake()

    async def expire(self, at: int) -> None:
        """Expires the items of the running plans."""
        for run in list(self._runs.values()):
            await run.expire(at)

    # -- making one ----------------------------------------------------------------------------------------------------
    async def freeze(
        self, actor: Actor, action: str, params: Mapping[str, Json], source: Source, reason: str = "", undo_of: str = ""
    ) -> PlanRow:
        """Creates a frozen plan over the tasks that match now. Raises BadInput or NotAllowed; refusals are audited."""
        checked = _check_params(action, params)
        await self._check_role(actor, action)
        key, at = secrets.token_hex(NEW_BYTES["plan_item"]), clock.now()
        fields: NewPlan = {
            "key": key, "action": action, "params": json.dumps(checked), "source": source.text, "author": actor.name,
            "reason": shown_reason(reason), "undo_of": undo_of, "at": at,
        }  # fmt: skip
        id = await self.store.write(lambda db: store_plans.add_plan(db, **fields))
        try:
            await self._freeze(id, action, checked, source, key)
        except BaseException:
            await asyncio.shield(self.store.write(lambda db: store_plans.delete_plan(db, id)))
            raise
        plan = await self.get(id)
        detail: JsonObject = {
            "plan": id,
            "plan_action": action,
            "items": plan.items,
            "digest": plan.digest,
            "source": source.text,
            "reason": shown_reason(reason),
        }
        await self._audit(actor, "freeze_plan", id, detail)
        return plan

    async def _freeze(self, id: int, action: str, params: Mapping[str, Json], source: Source, key: str) -> None:
        digest = rules.digest_of(action, params, key)
        excluded: Counter[str] = Counter()
        groups: dict[tuple[int, str, str, str, str], list[int]] = {}
        samples, seq = _Samples(), 0
        ids = list(source.ids) if source.task_filter is None else [task async for task in self._matching(source.task_filter)]
        is_newest_first = source.task_filter is not None or not source.is_in_order
        # What is put in front one by one ends in the reverse order; anything else is done oldest first.
        if is_newest_first and not (action == "prioritise_task" and params.get("level") == "next"):
            ids.reverse()
        for start in range(0, len(ids), CHUNK):
            rows = []
            for candidate in await store_plans.read_candidates(self.store, ids[start : start + CHUNK]):
                why = self._why_excluded(action, candidate)
                if why is not None:
                    excluded[why] += 1
                    continue
                seq += 1
                place = (candidate.app_id, candidate.environment, candidate.engine, candidate.queue, candidate.name)
                group = groups.setdefault(place, [len(groups), 0])
                group[1] += 1
                rules.add_item(digest, seq, candidate.id, candidate.task_id)
                samples.add(candidate)
                rows.append((id, seq, candidate.id, candidate.task_id, candidate.state, group[0], None))
            await self.store.write(partial(store_plans.add_items, rows=rows))
        if len(ids) >= rules.MAX_ITEMS:
            excluded[f"over the limit of {rules.MAX_ITEMS:,} tasks per plan; create another plan for the rest"] += 0
        fields: FrozenPlan = {
            "digest": digest.hexdigest(), "items": seq, "excluded": json.dumps(dict(excluded.most_common())),
            "samples": json.dumps(samples.chosen()), "load_us": await self._load(action, groups),
        }  # fmt: skip
        split = [(number, *place, items) for place, (number, items) in groups.items()]
        await self.store.write(lambda db: store_plans.freeze_plan(db, id, split, **fields), durable=True)

    async def _matching(self, task_filter: TaskFilter) -> AsyncIterator[int]:
        """Row ids, newest first whatever the order of the list: of another one only the first tasks are known."""
        task_filter = replace(task_filter, order="first")
        older: str | None = None
        seen = 0
        while seen < rules.MAX_ITEMS:
            page = await task_search.find(self.store, task_filter, older, None, CHUNK)
            for id in page.ids[: rules.MAX_ITEMS - seen]:
                yield id
            seen += len(page.ids)
            older = page.older
            if older is None:
                return

    def _why_excluded(self, action: str, candidate: Candidate) -> str | None:
        can = "" if action in SERVER_ACTIONS else self.hub.find(Need(candidate.app_id, candidate.engine, action, candidate.environment))[1]
        return rules.why_excluded(
            action, STATE_NAMES[candidate.state], ORIGINAL_NAMES[candidate.original_state], is_retried=candidate.is_retried, can=can
        )

    async def _load(self, action: str, groups: Mapping[tuple[int, str, str, str, str], list[int]]) -> int | None:
        if action not in WITH_LOAD:
            return None
        means = await store_plans.mean_runtimes(self.store, clock.now() - LOAD_SINCE_US)
        known = [items * means[engine, name] for (_, _, engine, _, name), (_, items) in groups.items() if (engine, name) in means]
        return sum(known) if known else None

    # -- executing and ending one ------------------------------------------------------------------------------------------
    async def get(self, id: int) -> PlanRow:
        """Raises NotFound."""
        plan = await store_plans.get_plan(self.store, id)
        if plan is None:
            raise NotFound("Plan not found. It may have been deleted after the retention period.")
        return plan

    async def execute(self, actor: Actor, id: int, digest: str, pace: Pace) -> PlanRow:
        """Starts a previewed plan. `digest` proves that the actor has seen this version of it.

        Raises WrongState, BadInput or NotAllowed."""
        plan = await self.get(id)
        await self._check_role(actor, plan.action)
        if not secrets.compare_digest(digest, plan.digest):
            raise BadInput(
                "This plan differs from the one that was previewed. No changes were made.", "Open the plan and check its preview again."
            )
        await self._change(actor, plan, "execute_plan", "running", rules.CAN_EXECUTE, pace=rules.pack_pace(pace), started_at=clock.now())
        self._begin(id)
        return await self.get(id)

    async def pause(self, actor: Actor, id: int) -> PlanRow:
        """Hands nothing more over until it is resumed. Raises WrongState or NotAllowed."""
        await self._change(actor, await self.get(id), "pause_plan", "paused", rules.CAN_PAUSE)
        return await self.get(id)

    async def resume(self, actor: Actor, id: int, pace: Pace | None = None) -> PlanRow:
        """Resumes a plan, at another pace if one is given. Raises WrongState or NotAllowed."""
        packed = None if pace is None else rules.pack_pace(pace)
        await self._change(actor, await self.get(id), "resume_plan", "running", rules.CAN_RESUME, pace=packed)
        self._begin(id)
        return await self.get(id)

    async def abort(self, actor: Actor, id: int) -> PlanRow:
        """Aborts a plan: items that were sent get their results, waiting items are never sent. Raises WrongState or NotAllowed."""
        at = clock.now()
        plan = await self.get(id)
        await self._change(actor, plan, "abort_plan", "aborted", rules.CAN_ABORT, ended_at=at)
        self._begin(id)
        return await self.get(id)

    async def undo(self, actor: Actor, id: int) -> PlanRow:
        """Creates a frozen plan that restores the tasks that this plan cancelled or deleted. Raises WrongState, NotAllowed or BadInput."""
        plan = await self.get(id)
        back = {"cancel_task": "restore_task", "delete_task": "undelete_task"}.get(plan.action)
        if back is None:
            raise WrongState("Only cancelled, purged or deleted tasks can be restored. No changes were made.")
        self._check_age(plan.started_at or plan.created_at)
        done = await store_plans.list_done(self.store, id)
        if back == "undelete_task":
            return await self._freeze_back(actor, plan, done)
        source = Source(f"undo of plan {id}", ids=tuple(row[1] for row in done), is_in_order=True)
        return await self.freeze(actor, back, {}, source, f"undo of plan {id}", f"plan {id}")

    async def undo_purge(self, actor: Actor, command: CommandRow) -> PlanRow:
        """Creates a frozen plan that restores the tasks that a purge removed, in their order. Raises WrongState, NotAllowed or BadInput."""
        if command.action != "purge_queue" or command.status != "done":
            raise WrongState("Only a purge that succeeded can be undone. No changes were made.")
        self._check_age(command.created_at)
        first_at, last_at = command.detail.get("first_at"), command.detail.get("last_at")
        ids = []
        if isinstance(first_at, int) and isinstance(last_at, int):
            ids = await store_plans.list_purged(self.store, command.app_id, command.engine, command.queue, first_at, last_at)
        source = Source(f"undo of the purge of {command.queue}", ids=tuple(ids), is_in_order=True)
        return await self.freeze(actor, "restore_task", {}, source, f"undo of a purge by {command.asked_by}", f"command {command.id}")

    # -- pieces --------------------------------------------------------------------------------------------------------
    async def _freeze_back(self, actor: Actor, plan: PlanRow, done: list[Row]) -> PlanRow:
        """Deleted tasks have no rows to look at; what was frozen then is frozen again."""
        await self._check_role(actor, "undelete_task")
        key, at = secrets.token_hex(NEW_BYTES["plan_item"]), clock.now()
        digest = rules.digest_of("undelete_task", {"of": plan.id}, key)
        groups: dict[Row, list[int]] = {}
        rows: list[tuple[int, int, bytes, int, int]] = []
        for seq, (_, task, raw, state, *place) in enumerate(done, 1):
            group = groups.setdefault(tuple(place), [len(groups), 0])
            group[1] += 1
            rules.add_item(digest, seq, task, raw)
            rows.append((seq, task, raw, state, group[0]))

        def write(db: Connection) -> int:
            id = store_plans.add_plan(
                db, key=key, action="undelete_task", params=json.dumps({"of": plan.id}), source=f"undo of plan {plan.id}",
                author=actor.name, reason=f"undo of plan {plan.id}", undo_of=f"plan {plan.id}", at=at,
            )  # fmt: skip
            store_plans.add_items(db, [(id, *row, None) for row in rows])
            split = [(number, *place, items) for place, (number, items) in groups.items()]
            store_plans.freeze_plan(
                db, id, split, digest=digest.hexdigest(), items=len(rows), excluded="{}", samples=json.dumps(plan.samples), load_us=None
            )
            return id

        id = await self.store.write(write, durable=True)
        await self._audit(actor, "freeze_plan", id, {"plan": id, "plan_action": "undelete_task", "items": len(rows)})
        return await self.get(id)

    def _check_age(self, at: int) -> None:
        if clock.now() - at > rules.UNDO_US:
            raise WrongState("This was executed more than 7 days ago and can no longer be undone. No changes were made.")

    async def _check_role(self, actor: Actor, action: str) -> None:
        if not may_act(actor.role, action):
            await self.audit_log.note(
                self.store, at=clock.now(), actor=actor.name, role=actor.role, action=action, target="plan", outcome="refused",
                detail={"why": "role"}, address=actor.address,
            )  # fmt: skip
            raise NotAllowed(f"Your role, {actor.role}, does not allow this. No changes were made.", "Ask an operator or an administrator.")

    async def _change(
        self, actor: Actor, plan: PlanRow, word: str, status: str, expected: Iterable[str], **changes: Unpack[PlanChange]
    ) -> None:
        await self._check_role(actor, plan.action)
        detail: JsonObject = {"plan": plan.id, "plan_action": plan.action, "items": plan.items, "digest": plan.digest}
        at = clock.now()

        def commit(db: Connection) -> Appended | None:
            if not store_plans.change_plan(db, plan.id, status, expected, **changes):
                return None
            if status == "aborted":
                store_plans.abort_waiting(db, plan.id, at)
            return self.audit_log.append(
                db, at=at, actor=actor.name, role=actor.role, action=word, target=f"plan {plan.id}", detail=detail, address=actor.address
            )

        head = await self.store.write(commit, durable=True)
        if head is None:
            raise WrongState(f"This is not possible: the plan is {plan.status}. No changes were made.")
        self.audit_log.keep_head(head)
        self.live.changed(("plans", "changes"))

    async def _audit(self, actor: Actor, word: str, id: int, detail: JsonObject) -> None:
        await self.audit_log.note(
            self.store, at=clock.now(), actor=actor.name, role=actor.role, action=word, target=f"plan {id}", detail=detail,
            address=actor.address,
        )  # fmt: skip

    def _begin(self, id: int) -> None:
        """One run for a plan at a time; one that is there looks at the plan again."""
        if (run := self._runs.get(id)) is not None:
            run.wake()
            return
        run = self._runs[id] = PlanRun(id, self.outbox, self.live, self.audit_log, self._duties.add(f"plan {id}", LOOK_S))
        task = asyncio.create_task(run.run())
        self._tasks.add(task)

        def ended(finished: asyncio.Task[None]) -> None:
            self._tasks.discard(finished)
            self._runs.pop(id, None)
            self._duties.remove(f"plan {id}")
            if not finished.cancelled() and run.is_woken:  # it was resumed at this moment
                with contextlib.suppress(RuntimeError):  # the loop is being closed
                    self._begin(id)

        task.add_done_callback(ended)


class _Samples:
    """About SAMPLES of what is added, evenly spread, without knowing how many will come."""

    def __init__(self) -> None:
        self._kept: list[Candidate] = []
        self._every = 1
        self._seen = 0

    def add(self, candidate: Candidate) -> None:
        if self._seen % self._every == 0:
            self._kept.append(candidate)
            if len(self._kept) > 2 * SAMPLES:
                self._kept = self._kept[::2]
                self._every *= 2
        self._seen += 1

    def chosen(self) -> list[Sample]:
        step = max(len(self._kept) / SAMPLES, 1)
        some = [self._kept[int(i * step)] for i in range(min(SAMPLES, len(self._kept)))]
        return [
            {"id": sample.id, "task_id": task_ids.decode(sample.task_id), "name": sample.name, "engine": sample.engine,
             "queue": sample.queue, "state": STATE_NAMES[sample.state], "args": sample.args[:200], "error_type": sample.error_type}
            for sample in some
        ]  # fmt: skip


def _check_params(action: str, params: Mapping[str, Json]) -> PlanParams:
    """Only what the action takes. Raises BadInput."""
    if action not in ACTIONS or action == "undelete_task":
        raise BadInput(f"Unknown action {action[:40]} for plans. No changes were made.")
    if action == "prioritise_task":
        level = params.get("level", "next")
        if level not in rules.LEVELS:
            raise BadInput(f"Unknown priority. Use one of {', '.join(rules.LEVELS)}. No changes were made.")
        return {"level": str(level)}
    if action == "move_task":
        queue = str(params.get("queue", "")).strip()
        if not queue or len(queue) > 255 or not queue.isprintable():
            raise BadInput("The queue name is missing or not valid. No changes were made.")
        return {"queue": queue}
    return {}
