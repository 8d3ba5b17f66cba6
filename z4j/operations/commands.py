# SPDX-License-Identifier: AGPL-3.0-or-later
"""Commands of operators: checks role, state and capability, stores command and audit row in one durable transaction, and gives the command
to the outbox. Results come back as records, through `ingest`. Many at once are a plan, see `plans`."""

from __future__ import annotations

import dataclasses
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from z4j import clock, logs
from z4j.agents.command_frames import OutgoingCommand
from z4j.agents.command_owner import Chosen, ExpiringOwner, Refused
from z4j.agents.connections import AgentLink, Need
from z4j.agents.ingest import ServerFact, apply_facts
from z4j.agents.outbox import Outbox
from z4j.agents.paused_queues import PausedQueues
from z4j.exceptions import AgentGone, NotAllowed, NotFound, StoreError, Unsupported, WrongState, Z4jError
from z4j.live import Live
from z4j.operations import repeated_cancellations
from z4j.rules.command_ids import NEW_BYTES, CommandId
from z4j.rules.commands import HELD, RULES, TASK_ACTIONS, why_not
from z4j.rules.operator_input import shown_reason
from z4j.rules.permissions import may_act
from z4j.rules.tasks.fold import Event
from z4j.store.access.audit import Appended, AuditLog
from z4j.store.operations import commands
from z4j.store.operations.commands import CommandRow
from z4j.store.sqlite.db import Connection, Store
from z4j.store.tasks.tasks import TaskDetail, get_task
from z4j.text import Json, JsonObject

NAMED: Final = {"run_task": "name", "save_schedule": "task_name"}
"""Actions that name a task, and the parameter that does. The proof that the application knows it goes along."""
NOT_ASKED: Final = (
    "no worker can report the stack: stacks of greenlets are not available, "
    "and child processes require Z4J_STACKS=1 in the environment of their worker"
)
NEW_ID: Final = frozenset({"retry_task", "edit_task", "restore_task", "run_task"})
"""Actions that make a task; its id is chosen here, so that a command that is delivered twice cannot make two."""
AT_WORKER: Final = frozenset({"terminate_task", "inspect_task"})
"""Actions that only the worker of a running task can execute."""
UNSENT_US: Final = 5_000_000


class Actor(Protocol):
    """Who requests an action: `web.auth.authentication.Identity`, or anything with these attributes."""

    @property
    def name(self) -> str:
        """The name in the audit log."""

    @property
    def role(self) -> str:
        """The role: viewer, auditor, operator or admin."""

    @property
    def address(self) -> str:
        """The address of the client, "" if it is unknown."""


@dataclass(frozen=True, slots=True)
class AvailableAction:
    """One action as the page shows it; `why_not` is empty when it can be requested now."""

    action: str
    label: str
    why_not: str
    note: str = ""

    @property
    def is_allowed(self) -> bool:
        """Whether the action can be requested now."""
        return not self.why_not


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """What a user requests of which agents. `about` is what the audit log calls it: `celery:<task id>`, `queue celery:emails`."""

    need: Need
    about: str
    params: Mapping[str, Json] = field(default_factory=dict)
    task: TaskDetail | None = None
    reason: str = ""
    other_brokers: tuple[str, ...] = ()
    """Of a queue: the other brokers that have one of its name."""


class Dispatch(ExpiringOwner):
    """One per server."""

    kind = "command"

    def __init__(self, outbox: Outbox, live: Live, audit_log: AuditLog) -> None:
        self.outbox = outbox
        self.store = outbox.store
        self.hub = outbox.hub
        self.live = live
        self.audit_log = audit_log
        self.paused_queues = PausedQueues(outbox)
        outbox.register(self)

    async def offers(self, role: str, task: TaskDetail) -> list[AvailableAction]:
        """Returns the actions that the page of this task offers a user of this role, with the reason for each that is not possible."""
        row, offered = task.row, []
        for action in TASK_ACTIONS:
            rule = RULES[action]
            if row.state not in rule.states or action == "lookup_task":
                continue
            reason = why_not(action, row.state, task.original_state) or ""
            if not reason and not may_act(role, action):
                reason = f"your role is {role}"
            if not reason:
                _, reason = self.hub.find(_need(task, action))
                if reason and action == "inspect_task" and not self.hub.able(task.app_id, row.engine, action):
                    reason = NOT_ASKED
            offered.append(AvailableAction(action, rule.label, reason))
        return offered

    async def ask(
        self, actor: Actor, action: str, task: TaskDetail, reason: str = "", params: Mapping[str, Json] | None = None
    ) -> CommandRow:
        """Requests an action on one task: stores the command and sends it to an agent. Raises NotAllowed, WrongState, Unsupported or
        AgentGone; refusals are audited too."""
        row = task.row
        facts = {"task_id": row.task_id, "name": row.name, "queue": row.queue, **(params or {})}
        if action == "move_task":
            facts["from_queue"] = row.queue
        if action == "inspect_task":
            facts["process"] = next((run.run for run in reversed(task.runs) if run.state == "running"), "")
        if action == "restore_task":
            facts |= {"eta_at": row.eta_at, "priority": task.sent.get("priority")}
        request = CommandRequest(_need(task, action), f"{row.engine}:{row.task_id}", facts, task, reason)
        return (await self.submit(actor, request))[0]

    async def submit(self, actor: Actor, request: CommandRequest) -> list[CommandRow]:
        """Requests any action: one command, or one for each worker it concerns. Returns the commands. Raises like `ask`."""
        request = dataclasses.replace(request, reason=shown_reason(request.reason))
        try:
            made = self._make(actor, request)
        except Z4jError as error:
            await self.audit_log.note(
                self.store, at=clock.now(), actor=actor.name, role=actor.role, action=request.need.action, outcome="refused",
                target=request.about, detail={"why": error.message}, address=actor.address,
            )  # fmt: skip
            raise
        at, shown = clock.now(), list[CommandRow]()
        task_name = request.task.row.name if request.task is not None else ""

        def write(db: Connection) -> Appended:
            shown[:] = [commands.add_command(db, command, task_name) for command in made]
            self.paused_queues.store_request(db, request.need, at, actor.name, request.reason[:500], request.other_brokers)
            return self.audit_log.append(
                db, at=at, actor=actor.name, role=actor.role, action=request.need.action, target=request.about, address=actor.address,
                detail=_audited(request, made),
            )  # fmt: skip

        self.audit_log.keep_head(await self.store.write(write, durable=True))
        if request.need.action == "cancel_task" and request.task is not None:
            row = request.task.row
            event = Event("cancel_asked", row.attempt, at)
            facts, app_id = [ServerFact(row.engine, row.task_id, event, row.id)], request.task.app_id
            await self.store.note("request to cancel a task", lambda db: apply_facts(db, app_id, facts))
        try:
            await self.outbox.deliver(self, [_near(outgoing(row), request.need.near) for row in shown], clock.now())
        except StoreError as error:  # they are committed and wait: `Outbox.retry` sends them
            for command in shown:
                logs.command_not_sent(command.id, error.message)
        self.live.changed(("changes", "tasks", "queues"))
        return shown

    # -- called by the outbox -----------------------------------------------------------------------------------------------
    async def list_open(self, app_id: int, at: int) -> list[OutgoingCommand]:
        """Lists the commands of an app that wait or have no result yet."""
        return [outgoing(row) for row in await commands.list_open(self.store, app_id, at) if row.status in ("waiting", "sent")]

    async def list_waiting(self, app_id: int, at: int) -> list[OutgoingCommand]:
        """Lists the commands of an app that wait for longer than `UNSENT_US`."""
        rows = await commands.list_open(self.store, app_id, at)
        return [outgoing(row) for row in rows if row.status == "waiting" and at - row.created_at > UNSENT_US]

    async def complete(self, command: OutgoingCommand) -> OutgoingCommand:
        """Returns the command with its parameters as they were typed. Raises SealError."""
        params = await commands.whole_params(self.store, command.id.owner, command.params)
        return dataclasses.replace(command, params=params, task_name=str(params.get(NAMED.get(command.need.action, "")) or ""))

    def mark(self, db: Connection, chosen: Sequence[Chosen], refused: Sequence[Refused], at: int) -> set[CommandId]:
        """Marks the commands as sent and ends the refused ones. Returns the ids that were still waiting."""
        for each in refused:
            commands.finish_command(db, each.command.need.app_id, each.command.id.owner, at, "failed", {"error": each.reason})
        return {pair.command.id for pair in chosen if commands.mark_sent(db, pair.command.id.owner, pair.link.spool, at)}

    def sent(self, chosen: Chosen) -> None:
        """Logs a command that was sent."""
        logs.command_sent(chosen.command.id.text, chosen.command.need.action, chosen.link.boot)

    async def list_copies(self, link: AgentLink, at: int) -> list[OutgoingCommand]:
        """Lists the cancellations to repeat, see `repeated_cancellations`."""
        rows = await commands.list_cancellations(self.store, link.app_id, at)
        return await repeated_cancellations.of_commands(self.store, link, [outgoing(row) for row in rows])

    async def expire(self, at: int) -> None:
        """Ends commands without a result in time."""
        if await self.store.write(lambda db: commands.expire_commands(db, at)):
            self.live.changed(("changes", "tasks"))

    # -- pieces --------------------------------------------------------------------------------------------------------
    def _make(self, actor: Actor, request: CommandRequest) -> list[CommandRow]:
        need, rule = request.need, RULES.get(request.need.action)
        if rule is None:
            raise Unsupported(f"Unknown action {need.action}. No changes were made.")
        if not may_act(actor.role, need.action):
            raise NotAllowed(f"Your role, {actor.role}, does not allow this. No changes were made.", "Ask an operator or an administrator.")
        if request.task is not None:
            state = request.task.row.state
            if (wrong := why_not(need.action, state, request.task.original_state)) is not None:
                kind = WrongState if state not in rule.states else Unsupported
                raise kind(f"{rule.label} is not possible: {wrong}. No changes were made.")
        links, missing = self.hub.find(need)
        if not links and not self.paused_queues.may_be_stored(need):
            is_forbidden = missing.startswith("the application's owner")
            hint = "Change it in the configuration of the application." if is_forbidden else "Start a worker of this app and try again."
            raise AgentGone(f"No connected agent can do this: {missing}. No changes were made.", hint)
        return [self._row(actor, request, link) for link in (links if rule.is_everywhere else links[:1])]

    def _row(self, actor: Actor, request: CommandRequest, link: AgentLink) -> CommandRow:
        need, rule, at = request.need, RULES[request.need.action], clock.now()
        params = dict(request.params)
        if need.action in NEW_ID:
            params["new_id"] = str(uuid.uuid4())
        return CommandRow(
            id=secrets.token_hex(NEW_BYTES["command"]), app_id=need.app_id, engine=need.engine, action=need.action,
            task=request.task.row.id if request.task else None, task_id=request.task.row.task_id if request.task else "", params=params,
            target=link.worker if rule.is_everywhere else need.worker, status="waiting", detail={}, asked_by=actor.name,
            reason=request.reason[:500], created_at=at, expires_at=at + rule.expires_us, sent_at=None, spool="", ended_at=None,
            # The agent's: where the task's is unknown, it must not reach another environment when it is sent later.
            environment=link.environment, queue=need.queue if request.task is None else "",
        )  # fmt: skip


def _need(task: TaskDetail, action: str) -> Need:
    row = task.row
    worker = row.worker if action in AT_WORKER else ""
    near = row.worker if action in HELD else ""
    return Need(task.app_id, row.engine, action, row.environment, worker, row.queue, near, task.broker)


def need_of(command: CommandRow) -> Need:
    """Returns what an agent must be to receive a waiting command."""
    queue = command.queue or str(command.params.get("queue", ""))
    broker = str(command.params.get("broker", ""))
    return Need(command.app_id, command.engine, command.action, command.environment, command.target, queue, broker=broker)


def outgoing(row: CommandRow) -> OutgoingCommand:
    """Returns a stored command as the outbox takes it, with masked parameters."""
    return OutgoingCommand(CommandId("command", row.id), need_of(row), row.expires_at, row.params, row.task, spool=row.spool)


def _near(command: OutgoingCommand, worker: str) -> OutgoingCommand:
    return dataclasses.replace(command, need=dataclasses.replace(command.need, near=worker)) if worker else command


def _audited(request: CommandRequest, made: list[CommandRow]) -> JsonObject:
    """What the log keeps of a requested command: never the arguments, which may be secret."""
    detail: JsonObject = {"command": made[0].id if made else "", "reason": request.reason}
    if environment := made[0].environment if made else request.need.environment:
        detail["environment"] = environment
    if len(made) > 1:
        detail["workers"] = len(made)
    if request.task is not None:
        detail |= {"task": request.task.row.id, "task_id": request.task.row.task_id, "name": request.task.row.name}
    kept: JsonObject = {
        key: value
        for key, value in request.params.items()
        if key in ("level", "place", "broker", "by", "rate", "soft_s", "hard_s") and value is not None
    }
    if request.need.action in ("move_task", "consume_queue", "leave_queue", "run_task"):
        kept["queue"] = request.params.get("queue", "")
    return detail | kept


async def find_task(store: Store, id: int) -> TaskDetail:
    """Returns the task of a page. Raises NotFound."""
    task = await get_task(store, id)
    if task is None:
        raise NotFound(
            "Task not found. It may have been deleted after the retention period.", "The Settings page shows the retention period."
        )
    return task
