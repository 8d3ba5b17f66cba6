# SPDX-License-Identifier: AGPL-3.0-or-later
"""Actions of users on error groups: each action checks the role and is written with its audit row in one durable transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from z4j import clock
from z4j.exceptions import BadInput, NotFound, WrongState
from z4j.live import Live
from z4j.operations.audited_change import change, check_role
from z4j.operations.commands import Actor
from z4j.operations.plans import Plans, Source
from z4j.rules.errors.group_states import FAILED
from z4j.rules.errors.splits import MESSAGE, Split, problem_of
from z4j.rules.operator_input import shown_note, shown_reason
from z4j.rules.plans import MAX_ITEMS
from z4j.store.access.audit import AuditLog
from z4j.store.access.users import list_users
from z4j.store.errors import error_actions, error_groups, error_splits
from z4j.store.errors.error_groups import ErrorGroup
from z4j.store.operations.plans import PlanRow
from z4j.store.sqlite.db import Connection
from z4j.text import JsonObject

ACTION: Final = "change_error"
"""What all of these actions need, see rules/permissions.py."""
NOTE: Final = 4_000
LINK: Final = 500
NAME: Final = 100
LARGEST: Final = 1_000_000_000
LONGEST_US: Final = 366 * 24 * 3_600_000_000


class ErrorService:
    """One per server."""

    def __init__(self, plans: Plans, live: Live, audit_log: AuditLog) -> None:
        self.plans = plans
        self.store = plans.store
        self.live = live
        self.audit_log = audit_log

    async def get(self, id: int) -> ErrorGroup:
        """Returns a group. Raises NotFound."""
        group = await error_groups.get_group(self.store, id)
        if group is None:
            raise NotFound("Error group not found. It may have been deleted after the retention period.")
        return group

    async def resolve(self, actor: Actor, id: int, *, is_by_release: bool = False, reason: str = "") -> None:
        """Marks a group as resolved; it is *regressed* if it occurs again. `is_by_release`: only a run of a release that has not been seen
        yet counts.  Raises NotFound, NotAllowed or WrongState."""
        group = await self._open(actor, id)
        releases = await error_groups.list_releases(self.store, group.app_id) if is_by_release else None
        if releases is not None and not releases:
            raise WrongState(
                "The agents of this app report no release, so the next release cannot be detected. No changes were made.",
                "Set Z4J_RELEASE, or resolve the error now.",
            )
        at = clock.now()
        await self._change(
            actor, group, "resolved in the next release" if is_by_release else "resolved", reason,
            lambda db: error_actions.set_state(db, id, "resolved", actor=actor.name, at=at, releases=releases),
        )  # fmt: skip

    async def reopen(self, actor: Actor, id: int, reason: str = "") -> None:
        """Reopens a resolved or an ignored group. Raises NotFound, NotAllowed or WrongState."""
        at = clock.now()
        await self._change(
            actor, await self._open(actor, id), "reopened", reason,
            lambda db: error_actions.set_state(db, id, "unresolved", actor=actor.name, at=at),
        )  # fmt: skip

    async def ignore(
        self, actor: Actor, id: int, *, for_us: int | None = None, rate: int | None = None, count: int | None = None, reason: str = ""
    ) -> None:
        """Ignores a group for a time, until `rate` tasks fail in an hour, until `count` more have failed, or until it is reopened.

        Raises NotFound, NotAllowed, WrongState or BadInput.
        """
        group, at = await self._open(actor, id), clock.now()
        for value, largest in ((for_us, LONGEST_US), (rate, LARGEST), (count, LARGEST)):
            if value is not None and not 0 < value <= largest:
                raise BadInput("The ignore limit must be a positive number, and the time at most a year. No changes were made.")
        until = None if for_us is None else at + for_us
        total = None if count is None else group.failed + count
        limits = [f"for {for_us // 1_000_000} s"] if for_us is not None else []
        limits += [f"until {rate} in an hour"] if rate is not None else []
        limits += [f"until {count} more"] if count is not None else []
        await self._change(
            actor, group, "ignored", "; ".join([*limits, reason] if reason else limits),
            lambda db: error_actions.set_state(db, id, "ignored", actor=actor.name, at=at, until=until, rate=rate, total=total),
        )  # fmt: skip

    async def assign(self, actor: Actor, id: int, user: str, reason: str = "") -> None:
        """Assigns a group to a user, or unassigns it. Raises NotFound, NotAllowed, WrongState or BadInput."""
        group = await self._open(actor, id)
        if user and user not in {known.name for known in await list_users(self.store) if known.disabled_at is None}:
            raise BadInput(f"Unknown user “{user[:NAME]}”. No changes were made.", "Use the name of a user who can sign in.")
        what = f"assigned to {user}" if user else "unassigned"
        await self._change(actor, group, what, reason, lambda db: error_actions.set_assigned(db, id, user))

    async def note(self, actor: Actor, id: int, note: str, runbook: str) -> None:
        """Replaces the note and the link to a runbook. Secrets in the note are masked. Raises NotFound, NotAllowed, WrongState or
        BadInput."""
        group = await self._open(actor, id)
        if runbook and (not runbook.startswith(("https://", "http://")) or len(runbook) > LINK or not runbook.isprintable()):
            raise BadInput("The runbook link must begin with https:// or http://. No changes were made.")
        if shown_note(runbook) != runbook:
            raise BadInput("This link contains a password or a token, which everyone who opens the page could see. No changes were made.")
        note = shown_note(note)
        if len(note) > NOTE:
            raise BadInput(f"A note can have at most {NOTE:,} characters. No changes were made.")
        await self._change(
            actor, group, "changed the note", "", lambda db: error_actions.set_note(db, id, note, runbook)
        )  # fmt: skip

    async def merge(self, actor: Actor, id: int, target: int, reason: str = "") -> None:
        """Merges a group into another one of its app. Raises NotFound, NotAllowed or WrongState."""
        group, other = await self._open(actor, id), await self.get(target)
        if id == target or group.app_id != other.app_id:
            raise WrongState("Only two different errors of one app can be merged. No changes were made.")
        detail = f"into error {target}: {other.title}"
        await self._change(
            actor, group, "merged", f"{detail}; {reason}" if reason else detail, lambda db: error_actions.merge(db, id, target)
        )

    async def split(self, actor: Actor, id: int, reason: str = "") -> None:
        """Undoes a merge. Raises NotFound, NotAllowed or WrongState."""
        group = await self._open(actor, id)
        source = group.merged_into
        if source is None:
            raise WrongState("This error is not merged into another one. No changes were made.")
        await self._change(actor, group, "split", reason, lambda db: error_actions.split(db, id, source))

    async def split_off(self, actor: Actor, id: int, split: Split, reason: str = "") -> int:
        """Splits off the failures of a group that match now and later. Returns the ID of the new group; a merge undoes it.

        Raises NotFound, NotAllowed, WrongState or BadInput.
        """
        group, at = await self._open(actor, id), clock.now()
        split = split._replace(pattern=shown_note(split.pattern)) if split.kind == MESSAGE else split
        if problem := problem_of(split):
            raise BadInput(f"{problem} No changes were made.")
        origin = shown_reason(f"from error {id}: {group.title}, by {split.text}")

        def change(db: Connection) -> int:
            part = error_splits.split_off(db, id, split)
            if part:
                error_actions.add_action(db, part, actor.name, "split off", origin, at)
            return part

        return await self._change(actor, group, f"split off by {split.text}", reason, change)

    async def retry(self, actor: Actor, id: int, reason: str = "") -> PlanRow:
        """Creates a frozen plan that retries the stored failed tasks of a group. Raises NotFound, NotAllowed or BadInput."""
        group = await self._open(actor, id)
        newest = await error_groups.list_newest(self.store, id, MAX_ITEMS, (FAILED,))
        source = Source(f"error {id}: {group.title}"[:300], ids=tuple(task for task, _ in newest))
        return await self.plans.freeze(actor, "retry_task", {}, source, reason)

    async def _open(self, actor: Actor, id: int) -> ErrorGroup:
        """Returns the group if the actor may change it. Raises NotFound, and NotAllowed, which is audited."""
        await check_role(self.store, self.audit_log, actor, ACTION, f"error {id}")
        return await self.get(id)

    async def _change(self, actor: Actor, group: ErrorGroup, action: str, detail: str, work: Callable[[Connection], int]) -> int:
        """Executes a change, which returns 0 if it changed nothing, or the ID of a group that it created. Returns the same."""
        at, shown = clock.now(), shown_reason(detail)
        logged: JsonObject = {"error": group.id, "title": group.title, "change": action, "reason": shown}

        def with_history(db: Connection) -> int | None:
            done = work(db)
            if not done:
                return None
            error_actions.add_action(db, group.id, actor.name, action, shown, at)
            return done

        def detail_of(done: int) -> JsonObject:
            return logged if done is True else {**logged, "made": done}

        done = await change(self.store, self.audit_log, actor, ACTION, lambda _: f"error {group.id}", detail_of, with_history)
        if done is None:
            raise WrongState("This error was merged into another one or deleted meanwhile. No changes were made.", "Reload the list.")
        self.live.changed(("errors", "changes"))
        return done
