# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a click to an agent: role, state and capability; command row and audit row in one durable transaction; then the hub.

Once handed over, a command is handed again only to the same spool folder, where the ledger of its id lies. Results come back as
records, through `ingest`.
"""

from __future__ import annotations

import base64
import dataclasses
import secrets
import uuid
from dataclasses import dataclass
from typing import Any, Protocol

from z4j import clock, logs
from z4j.exceptions import AgentGone, NotAllowed, NotFound, Unsupported, WrongState, Z4jError
from z4j.hub import AgentLink, Hub
from z4j.ingest import ServerFact, ingest_facts
from z4j.live import Live
from z4j.rules.access import may_act
from z4j.rules.audit import SignedHead
from z4j.rules.commands import EXPIRES_US, OFFERED, why_not
from z4j.rules.fold import Event
from z4j.store import commands, heads, originals
from z4j.store.audit import AuditLog
from z4j.store.commands import CommandRow
from z4j.store.db import Store
from z4j.store.tasks import TaskDetail, get_task

LEVEL_NEEDED = {"retry_task": "operate", "cancel_task": "operate", "terminate_task": "all"}
LEVELS = ("read", "operate", "all")
MISSING_AT_MOST = 1_000
"""Alarms about a log that was cut are remembered, so that each is written once; more say nothing new."""


class Asker(Protocol):
    """Who asks: `web.auth.Identity`, or anything with these."""

    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def address(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Offer:
    """One action as the page shows it; `why_not` is empty when it can be asked for now."""

    action: str
    label: str
    why_not: str
    note: str = ""

    @property
    def is_allowed(self) -> bool:
        return not self.why_not


class Dispatch:
    """One per server."""

    def __init__(self, store: Store, hub: Hub, live: Live, audit_log: AuditLog) -> None:
        self.store = store
        self.hub = hub
        self.live = live
        self.audit_log = audit_log
        self._missing_heads: set[tuple[str, int, str]] = set()

    async def offers(self, role: str, task: TaskDetail) -> list[Offer]:
        """What the page of this task offers a person of this role, with the reason where it cannot be done."""
        row = task.row
        offered = []
        for action, (label, states) in OFFERED.items():
            if row.state not in states:
                continue
            reason = why_not(action, row.state, task.original_state) or ""
            if not reason and not may_act(role, action):
                reason = f"your role is {role}"
            if not reason:
                _, reason = self._find(task.app_id, row.engine, action, row.worker if action == "terminate_task" else "")
            offered.append(Offer(action, label, reason))
        return offered

    async def ask(self, asker: Asker, action: str, task: TaskDetail, reason: str = "") -> CommandRow:
        """Writes the command and hands it to an agent. Raises NotAllowed, WrongState, Unsupported or AgentGone; a refusal is
        audited like anything else."""
        try:
            command = self._make(asker, action, task, reason)
        except Z4jError as error:
            await self._audit_refusal(asker, action, task, error)
            raise
        facts = {"command": command.id, "task": task.row.id, "task_id": command.task_id, "name": task.row.name, "reason": reason}

        def write(db: Any) -> Any:
            commands.add_command(db, command)
            return self.audit_log.append(
                db, at=command.created_at, actor=asker.name, role=asker.role, action=action,
                target=f"{task.row.engine}:{command.task_id}", detail=facts, address=asker.address,
            )  # fmt: skip

        self.audit_log.keep_head(await self.store.write(write, durable=True))
        if action == "cancel_task":
            event = Event("cancel_asked", task.row.attempt, command.created_at)
            await ingest_facts(self.store, task.app_id, [ServerFact(task.row.engine, task.row.task_id, event)])
        await self._hand_over(command)
        self.live.changed(("changes", "tasks"))
        return command

    async def agent_connected(self, link: AgentLink) -> None:
        """Tells a new connection what waits for it, what it may have missed, and every cancellation that is still open."""
        at = clock.now()
        for command in await commands.list_open(self.store, link.app_id, at):
            if command.status == "waiting":
                await self._hand_over(command)
            elif command.spool == link.spool and command.status == "sent":
                await self._send(command, link)
        if link.role == "worker":
            for command in await commands.list_cancellations(self.store, link.app_id, at):
                if (command.engine, command.action) in link.capabilities and link.is_secure:
                    # A new id for each boot: this process has never been told, whatever stands in its ledger.
                    link.send(self._frame(dataclasses.replace(command, id=f"{command.id}.{link.boot}"), {}))

    async def audit_head(self) -> dict[str, Any] | None:
        """What agents are shown of the audit log, so that they can witness it: the newest signed head."""
        return _shown(await heads.newest_head(self.store))

    def newer_head(self, after: int) -> dict[str, Any] | None:
        """The newest signed head if it covers more than row `after`; reads nothing, for it is asked with every ack."""
        head = self.audit_log.newest
        return _shown(head) if head is not None and head.seq > after else None

    async def check_witness(self, app: str, host: str, spool: str, seq: int, digest: str) -> bool:
        """Whether the log still holds the head an agent was shown. If not, that is audited, once for each spool and head."""
        if await heads.holds_head(self.store, seq, bytes.fromhex(digest)):
            return True
        if (spool, seq, digest) not in self._missing_heads and len(self._missing_heads) < MISSING_AT_MOST:
            self._missing_heads.add((spool, seq, digest))
            logs.audit_head_missing(app, host, seq)
            await self.audit_log.record(
                self.store, at=clock.now(), actor=f"agent on {host}", role="", action="audit_head_missing", outcome="failed",
                target=f"app:{app}", detail={"row": seq, "digest": digest, "spool": spool},
            )  # fmt: skip
            self.live.changed(("changes",))
        return False

    # -- pieces --------------------------------------------------------------------------------------------------------
    def _make(self, asker: Asker, action: str, task: TaskDetail, reason: str) -> CommandRow:
        row = task.row
        if not may_act(asker.role, action):
            raise NotAllowed(f"Your role, {asker.role}, may not ask for this. Nothing was changed.", "Ask an operator or an administrator.")
        if (wrong := why_not(action, row.state, task.original_state)) is not None:
            kind = WrongState if row.state not in OFFERED.get(action, ("", frozenset()))[1] else Unsupported
            raise kind(f"{OFFERED[action][0]} is not possible: {wrong}. Nothing was changed.")
        target = row.worker if action == "terminate_task" else ""
        link, missing = self._find(task.app_id, row.engine, action, target)
        if link is None:
            raise AgentGone(f"Nobody can do that now: {missing}. Nothing was changed.", "Start a worker of this app and try again.")
        at = clock.now()
        params: dict[str, Any] = {"task_id": row.task_id, "name": row.name, "queue": row.queue}
        if action == "retry_task":
            params["new_id"] = str(uuid.uuid4())
        return CommandRow(
            id=secrets.token_hex(16), app_id=task.app_id, engine=row.engine, action=action, task=row.id, task_id=row.task_id,
            params=params, target=target, status="waiting", detail={}, asked_by=asker.name, reason=reason[:500], created_at=at,
            expires_at=at + EXPIRES_US[action], sent_at=None, spool="", ended_at=None,
        )  # fmt: skip

    def _find(self, app_id: int, engine: str, action: str, worker: str) -> tuple[AgentLink | None, str]:
        """An agent that can and may, or the reason why there is none."""
        able = self.hub.able(app_id, engine, action)
        if worker:
            able = [link for link in able if link.worker == worker or link.capabilities[engine, action] == "any"]
        if not able:
            return None, f"no agent that can do this for {engine} is connected" + (f" on {worker}" if worker else "")
        secure = [link for link in able if link.is_secure]
        if not secure:
            return None, "its agents are connected in plaintext over a network, where commands are refused"
        willing = [link for link in secure if action not in link.denied and LEVELS.index(link.allow) >= LEVELS.index(LEVEL_NEEDED[action])]
        if not willing:
            return None, f"the application's owner does not allow it (Z4J_ALLOW={secure[0].allow}); it needs {LEVEL_NEEDED[action]!r}"
        return willing[0], ""

    async def _hand_over(self, command: CommandRow) -> None:
        link, _ = self._find(command.app_id, command.engine, command.action, command.target)
        if link is not None:
            await self._send(command, link)

    async def _send(self, command: CommandRow, link: AgentLink) -> None:
        extra: dict[str, Any] = {}
        if command.action == "retry_task" and command.task is not None:
            kept = await originals.get_original(self.store, command.task)
            if kept is None:
                at = clock.now()
                facts = {"error": "the original was deleted meanwhile"}
                await self.store.write(lambda db: commands.finish_command(db, command.id, at, "failed", facts), durable=True)
                return
            blob, key_id = kept
            extra = {"original": base64.b64encode(blob).decode("ascii"), "key_id": key_id}
        at = clock.now()
        await self.store.write(lambda db: commands.mark_sent(db, command.id, link.spool, at), durable=True)
        link.send(self._frame(command, extra))
        logs.command_sent(command.id, command.action, link.boot)

    @staticmethod
    def _frame(command: CommandRow, extra: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "command",
            "id": command.id,
            "action": command.action,
            "engine": command.engine,
            "expires_at": command.expires_at,
            "params": command.params | extra,
        }

    async def _audit_refusal(self, asker: Asker, action: str, task: TaskDetail, error: Z4jError) -> None:
        await self.audit_log.record(
            self.store, at=clock.now(), actor=asker.name, role=asker.role, action=action, outcome="refused",
            target=f"{task.row.engine}:{task.row.task_id}", detail={"why": error.message}, address=asker.address,
        )  # fmt: skip


def _shown(head: SignedHead | None) -> dict[str, Any] | None:
    if head is None:
        return None
    return {"seq": head.seq, "at": head.at, "digest": head.digest.hex(), "key_id": head.key_id, "signature": head.signature.hex()}


async def find_task(store: Store, id: int) -> TaskDetail:
    """The task of a page. Raises NotFound."""
    task = await get_task(store, id)
    if task is None:
        raise NotFound("There is no such task, or it is older than what is kept.", "See Settings for how long tasks are kept.")
    return task
