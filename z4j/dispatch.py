# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a click to an agent: role, state and capability; command row and audit row in one durable transaction; then the hub.

Once handed over, a command is handed again only to the same spool folder, where the ledger of its id lies. Results come back as
records, through `ingest`. Many at once are a plan, see `plans`.
"""

from __future__ import annotations

import base64
import dataclasses
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from z4j import clock, logs
from z4j.exceptions import AgentGone, NotAllowed, NotFound, StoreError, Unsupported, WrongState, Z4jError
from z4j.hub import AgentLink, Hub, Need
from z4j.ingest import ServerFact, apply_facts
from z4j.live import Live
from z4j.rules.access import may_act
from z4j.rules.commands import HELD, RULES, TASK_ACTIONS, why_not
from z4j.rules.fold import Event
from z4j.rules.pauses import newest
from z4j.rules.typed import shown_reason
from z4j.store import agents, commands, holds, originals, plans
from z4j.store.audit import AuditLog
from z4j.store.commands import CommandRow
from z4j.store.db import Connection, Store
from z4j.store.seal import SealError
from z4j.store.tasks import TaskDetail, get_task
from z4j_agent.wire import digest_of

NAMED: Final = {"run_task": "name", "save_schedule": "task_name"}
"""Actions that name a task, and the parameter that does. The proof that the application knows it goes along."""
NEW_ID: Final = frozenset({"retry_task", "edit_task", "restore_task", "run_task"})
"""Actions that make a task; its id is chosen here, so that a command that is delivered twice cannot make two."""
UNSENT_US: Final = 5_000_000
HOLD_MEMORY_US: Final = 7 * 24 * 3_600_000_000
"""How long a worker that was away is told, when it comes back, that a queue goes on."""


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


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants of which agents. `about` is what the audit log calls it: `celery:<task id>`, `queue celery:emails`."""

    need: Need
    about: str
    params: Mapping[str, Any] = field(default_factory=dict)
    task: TaskDetail | None = None
    reason: str = ""
    beside: tuple[str, ...] = ()
    """Of a queue: the other brokers that have one of its name."""


class Dispatch:
    """One per server."""

    def __init__(self, store: Store, hub: Hub, live: Live, audit_log: AuditLog) -> None:
        self.store = store
        self.hub = hub
        self.live = live
        self.audit_log = audit_log

    async def offers(self, role: str, task: TaskDetail) -> list[Offer]:
        """What the page of this task offers a person of this role, with the reason where it cannot be done."""
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
            offered.append(Offer(action, rule.label, reason))
        return offered

    async def ask(
        self, asker: Asker, action: str, task: TaskDetail, reason: str = "", params: Mapping[str, Any] | None = None
    ) -> CommandRow:
        """An action on one task. Writes the command and hands it to an agent. Raises NotAllowed, WrongState, Unsupported or AgentGone;
        a refusal is audited like anything else."""
        row = task.row
        facts = {"task_id": row.task_id, "name": row.name, "queue": row.queue, **(params or {})}
        if action == "move_task":
            facts["from_queue"] = row.queue
        if action == "restore_task":
            facts |= {"eta_at": row.eta_at, "priority": task.sent.get("priority")}
        wish = Wish(_need(task, action), f"{row.engine}:{row.task_id}", facts, task, reason)
        return (await self.wish(asker, wish))[0]

    async def wish(self, asker: Asker, wish: Wish) -> list[CommandRow]:
        """Any action: one command, or one for each worker it concerns. Raises like `ask`."""
        wish = dataclasses.replace(wish, reason=shown_reason(wish.reason))
        try:
            made = self._make(asker, wish)
        except Z4jError as error:
            await self.audit_log.note(
                self.store, at=clock.now(), actor=asker.name, role=asker.role, action=wish.need.action, outcome="refused",
                target=wish.about, detail={"why": error.message}, address=asker.address,
            )  # fmt: skip
            raise
        at, shown = clock.now(), list[CommandRow]()
        task_name = wish.task.row.name if wish.task is not None else ""

        def write(db: Connection) -> Any:
            shown[:] = [commands.add_command(db, command, task_name) for command in made]
            self._note_hold(db, asker, wish, at)
            return self.audit_log.append(
                db, at=at, actor=asker.name, role=asker.role, action=wish.need.action, target=wish.about, address=asker.address,
                detail=_audited(wish, made),
            )  # fmt: skip

        self.audit_log.keep_head(await self.store.write(write, durable=True))
        if wish.need.action == "cancel_task" and wish.task is not None:
            row = wish.task.row
            event = Event("cancel_asked", row.attempt, at)
            facts, app_id = [ServerFact(row.engine, row.task_id, event, row.id)], wish.task.app_id
            await self.store.note("request to cancel a task", lambda db: apply_facts(db, app_id, facts))
        for command in made:
            try:
                await self._hand_over(command, wish.need.near)
            except StoreError as error:  # it is committed and waits: `deliver_waiting` hands it over
                logs.command_not_sent(command.id, error.message)
        self.live.changed(("changes", "tasks", "queues"))
        return shown

    async def agent_connected(self, link: AgentLink) -> None:
        """Tells a new connection what waits for it, what it may have missed, every open cancellation, and which queues are paused."""
        at = clock.now()
        for command in await commands.list_open(self.store, link.app_id, at):
            if command.status == "waiting":
                await self._hand_over(command)
            elif command.status == "sent" and command.spool == link.spool and concerns(command, link):
                need = await self._need_of(command)
                if self.hub.may_use_broker(link, need):
                    await self._send(command, link, need)
        await self._tell_missed(link, at)

    async def brokers_learned(self, link: AgentLink) -> None:
        """Send what concerns the brokers that its discovery named and its hello did not."""
        at = clock.now()
        for command in await commands.list_open(self.store, link.app_id, at):
            if command.status == "waiting":
                await self._hand_over(command)
        await self._tell_missed(link, at)

    async def _tell_missed(self, link: AgentLink, at: int) -> None:
        """What every worker must know, however often: each id is carried out once."""
        if link.role != "worker" or not link.is_secure:
            return
        of_broker = self._params_by_broker(link)
        cancelled = [each for each in await commands.list_cancellations(self.store, link.app_id, at) if concerns(each, link)]
        brokers = await plans.read_brokers(self.store, [each.task for each in cancelled if each.task is not None])
        for command in cancelled:
            params = of_broker(command.engine, brokers.get(command.task or 0, ""))
            if params is not None:
                # A new id for each boot: this process has never been told, whatever stands in its ledger.
                link.send(frame(dataclasses.replace(command, id=f"{command.id}.{link.boot}"), params))
        expires_us = RULES["cancel_task"].expires_us
        for id, task_id, engine, environment, broker in await plans.list_cancelled(self.store, link.app_id, at - expires_us):
            params = of_broker(engine, broker) if environment in ("", link.environment) else None
            if params is not None and (engine, "cancel_task") in link.capabilities:
                params = {"task_id": task_id, **params}
                link.send(command_frame(f"{id}.{link.boot}", "cancel_task", engine, at + expires_us, params))
        await self._tell_holds(link, at)

    def _params_by_broker(self, link: AgentLink) -> Callable[[str, str], dict[str, str] | None]:
        """(engine, broker) → the parameters that name it to this agent, None where the agent does not use it. Found once for each broker:
        what is asked is looked for in every agent of the app, and of the tasks there may be twenty thousand."""
        known: dict[tuple[str, str], dict[str, str] | None] = {}

        def params(engine: str, broker: str) -> dict[str, str] | None:
            if (engine, broker) not in known:
                need = Need(link.app_id, engine, "cancel_task", broker=broker)
                known[engine, broker] = self.hub.broker_param(link, need) if self.hub.may_use_broker(link, need) else None
            return known[engine, broker]

        return params

    async def deliver_waiting(self, at: int) -> int:
        """Hands over what waits though an agent that can is connected: marking it as sent had failed. Returns how many were looked at."""
        found = [
            command for app_id in {link.app_id for link in self.hub.all()} for command in await commands.list_open(self.store, app_id, at)
        ]
        waiting = [command for command in found if command.status == "waiting" and at - command.created_at > UNSENT_US]
        for command in waiting:
            await self._hand_over(command)
        return len(waiting)

    # -- pieces --------------------------------------------------------------------------------------------------------
    def _make(self, asker: Asker, wish: Wish) -> list[CommandRow]:
        need, rule = wish.need, RULES.get(wish.need.action)
        if rule is None:
            raise Unsupported(f"There is no action {need.action}. Nothing was changed.")
        if not may_act(asker.role, need.action):
            raise NotAllowed(f"Your role, {asker.role}, may not ask for this. Nothing was changed.", "Ask an operator or an administrator.")
        if wish.task is not None:
            state = wish.task.row.state
            if (wrong := why_not(need.action, state, wish.task.original_state)) is not None:
                kind = WrongState if state not in rule.states else Unsupported
                raise kind(f"{rule.label} is not possible: {wrong}. Nothing was changed.")
        found, missing = self.hub.find(need)
        if not found and not self.may_be_noted(need):
            is_forbidden = missing.startswith("the application's owner")
            hint = "It is set where the application is configured." if is_forbidden else "Start a worker of this app and try again."
            raise AgentGone(f"Nobody can do that now: {missing}. Nothing was changed.", hint)
        return [self._row(asker, wish, link) for link in (found if rule.is_everywhere else found[:1])]

    def _row(self, asker: Asker, wish: Wish, link: AgentLink) -> CommandRow:
        need, rule, at = wish.need, RULES[wish.need.action], clock.now()
        params = dict(wish.params)
        if need.action in NEW_ID:
            params["new_id"] = str(uuid.uuid4())
        return CommandRow(
            id=secrets.token_hex(16), app_id=need.app_id, engine=need.engine, action=need.action,
            task=wish.task.row.id if wish.task else None, task_id=wish.task.row.task_id if wish.task else "", params=params,
            target=link.worker if rule.is_everywhere else need.worker, status="waiting", detail={}, asked_by=asker.name,
            reason=wish.reason[:500], created_at=at, expires_at=at + rule.expires_us, sent_at=None, spool="", ended_at=None,
            # The agent's: where the task's is not known, it must not reach another environment when it is sent later.
            environment=link.environment, queue=need.queue if wish.task is None else "",
        )  # fmt: skip

    def _note_hold(self, db: Connection, asker: Asker, wish: Wish, at: int) -> None:
        need = wish.need
        if need.action not in ("pause_queue", "resume_queue"):
            return
        names = frozenset(self.hub.names_of(need)) if need.broker else frozenset[str]()
        queue = holds.Paused(need.app_id, need.environment, need.engine, need.queue, need.broker, names)
        if need.action == "pause_queue":
            holds.begin_hold(db, queue, at, asker.name, wish.reason[:500])
        else:
            holds.end_hold(db, queue, at, asker.name, wish.beside)

    async def _tell_holds(self, link: AgentLink, at: int) -> None:
        """The newest word on each queue, for this process has heard none of them; its engine may have forgotten."""
        found = await holds.list_for_agent(self.store, link.app_id, at - HOLD_MEMORY_US)
        its = [hold for hold in found if hold.environment == link.environment or (not hold.environment and self._is_only(link, hold))]
        told = newest((broker, each) for each in its for broker in self._brokers_in(link, each))
        for (engine, queue, broker), hold in told.items():
            action = "pause_queue" if hold.ended_at is None else "resume_queue"
            if (engine, action) in link.capabilities:
                named = broker or hold.broker  # an agent that has reported no broker yet may know it all the same
                id = f"{action}.{hold.id}.{link.boot}{f'.{digest_of(named)[:8]}' if named else ''}"
                params = {"queue": queue} | ({"broker": named} if named else {})
                link.send(command_frame(id, action, engine, at + RULES[action].expires_us, params))

    def _brokers_in(self, link: AgentLink, hold: holds.HoldRow) -> list[str]:
        """The names under which an agent has the broker of a pause, or each of its own where the pause is of all; "" where it reported
        none, which matches any; nothing where it has other brokers."""
        reported = link.brokers.get(hold.engine)
        if not reported:
            return [""]
        if not hold.broker:
            return list(reported)
        name = self.hub.name_for(link, Need(link.app_id, hold.engine, "pause_queue", hold.environment, broker=hold.broker))
        return [name] if name else []

    def may_be_noted(self, need: Need) -> bool:
        """A pause is noted, for workers that come later, also while none is connected that it concerns."""
        able = self.hub.able(need.app_id, need.engine, need.action)
        others = [link for link in able if not self.hub.may_use_broker(link, need)]
        return need.action in ("pause_queue", "resume_queue") and len(others) == len(able)

    def _is_only(self, link: AgentLink, hold: holds.HoldRow) -> bool:
        """Whether a pause without an environment can mean this agent alone: the agents of the app are all of one environment."""
        return link in self.hub.find(Need(link.app_id, hold.engine, "pause_queue"))[0]

    async def _hand_over(self, command: CommandRow, near: str = "") -> None:
        need = await self._need_of(command)
        found, _ = self.hub.find(dataclasses.replace(need, near=near))
        if not found:
            return
        if await self._send(command, found[0], need) and command.action == "cancel_task":
            # Where an engine keeps cancellations in its workers or their host, everybody else has to know too.
            for other in {link.spool: link for link in found[1:] if link.capabilities[command.engine, command.action] == "worker"}.values():
                if other.spool != found[0].spool:
                    other.send(frame(dataclasses.replace(command, id=f"{command.id}.{other.boot}"), self.hub.broker_param(other, need)))

    async def _need_of(self, command: CommandRow) -> Need:
        """What an agent must be to get a command that waits, with the broker it concerns."""
        need = need_of(command)
        if command.task is None:
            return need
        return dataclasses.replace(need, broker=await originals.broker_of(self.store, command.task) or "")

    async def _send(self, command: CommandRow, link: AgentLink, need: Need) -> bool:
        """Whether it was sent: not where it cannot be, or was handed to another agent since it was read."""
        extra: dict[str, Any] = {}
        try:
            command = dataclasses.replace(command, params=await commands.whole_params(self.store, command))
        except SealError as error:
            at, facts = clock.now(), {"error": error.message}
            await self.store.write(lambda db: commands.finish_command(db, command.app_id, command.id, at, "failed", facts), durable=True)
            return False
        if RULES[command.action].needs_original and command.task is not None:
            kept = await originals.get_original(self.store, command.task)
            if kept is None:
                at = clock.now()
                facts = {"error": "the original was deleted meanwhile"}
                await self.store.write(
                    lambda db: commands.finish_command(db, command.app_id, command.id, at, "failed", facts), durable=True
                )
                return False
            command = dataclasses.replace(command, params=original_params(kept, command.params, link))
        elif command.action in NAMED and (name := command.params.get(NAMED[command.action])):
            proofs = await agents.read_proofs(self.store, command.app_id, [str(name)])
            extra = {"proofs": proofs.get(str(name), {})}
        if not RULES[command.action].needs_original:  # an original says itself
            extra |= self.hub.broker_param(link, need)
        extra |= queue_proof(self.hub, command.app_id, command.engine, {**command.params, **extra}, command.environment)
        at = clock.now()
        is_ours = bool(await self.store.write(lambda db: commands.mark_sent(db, command.id, link.spool, at), durable=True))
        if is_ours:
            link.send(frame(command, extra))
            logs.command_sent(command.id, command.action, link.boot)
        return is_ours


def _need(task: TaskDetail, action: str) -> Need:
    row = task.row
    worker = row.worker if action == "terminate_task" else ""
    near = row.worker if action in HELD else ""
    return Need(task.app_id, row.engine, action, row.environment, worker, row.queue, near, task.broker)


def need_of(command: CommandRow) -> Need:
    """What an agent must be to get a command that waits."""
    queue = command.queue or str(command.params.get("queue", ""))
    broker = str(command.params.get("broker", ""))
    return Need(command.app_id, command.engine, command.action, command.environment, command.target, queue, broker=broker)


def concerns(command: CommandRow, link: AgentLink) -> bool:
    """Whether an agent is one that a command is for. Agents of several engines, environments and workers may share a spool folder."""
    return (
        (command.engine, command.action) in link.capabilities
        and command.environment in ("", link.environment)
        and command.target in ("", link.worker)
    )


def queue_proof(hub: Hub, app_id: int, engine: str, params: Mapping[str, Any], environment: str = "") -> dict[str, str]:
    """{"queue_proof": …} for the queue that the parameters of a command name, and {"from_queue_proof": …} for the one its task waits in,
    where a connected agent of the environment gave one."""
    found = {}
    for name, queue in (("queue_proof", params.get("move_to") or params.get("queue")), ("from_queue_proof", params.get("from_queue"))):
        if queue and (proof := hub.queue_proof(app_id, engine, str(queue), environment)):
            found[name] = proof
    return found


def original_params(original: originals.Original, params: Mapping[str, Any], link: AgentLink) -> dict[str, Any]:
    """The parameters of a command with the kept message.

    An agent that authenticates originals takes name and queue from there, and is told where the task was moved to; one that does not has to
    be told both, and sends the task to the queue it is told.
    """
    kept = {"original": base64.b64encode(original.data).decode("ascii"), "key_id": original.key_id}
    if not link.authenticates_originals:
        return {**params, **kept}
    stated = {key: value for key, value in params.items() if key not in ("name", "queue")}
    return {**stated, **kept, **({"move_to": original.moved_to} if original.moved_to else {})}


def frame(command: CommandRow, extra: Mapping[str, Any]) -> dict[str, Any]:
    """A command as it goes to an agent."""
    return command_frame(command.id, command.action, command.engine, command.expires_at, {**command.params, **extra})


def command_frame(id: str, action: str, engine: str, expires_at: int, params: Mapping[str, Any]) -> dict[str, Any]:
    """The same of its pieces."""
    return {"type": "command", "id": id, "action": action, "engine": engine, "expires_at": expires_at, "params": dict(params)}


def _audited(wish: Wish, made: list[CommandRow]) -> dict[str, Any]:
    """What the log keeps of a wish: never the arguments, which may be secret."""
    found: dict[str, Any] = {"command": made[0].id if made else "", "reason": wish.reason}
    if environment := made[0].environment if made else wish.need.environment:
        found["environment"] = environment
    if len(made) > 1:
        found["workers"] = len(made)
    if wish.task is not None:
        found |= {"task": wish.task.row.id, "task_id": wish.task.row.task_id, "name": wish.task.row.name}
    kept = {
        key: value
        for key, value in wish.params.items()
        if key in ("level", "place", "broker", "by", "rate", "soft_s", "hard_s") and value is not None
    }
    if wish.need.action in ("move_task", "consume_queue", "leave_queue", "run_task"):
        kept["queue"] = wish.params.get("queue", "")
    return found | kept


async def find_task(store: Store, id: int) -> TaskDetail:
    """The task of a page. Raises NotFound."""
    task = await get_task(store, id)
    if task is None:
        raise NotFound("There is no such task, or it is older than what is kept.", "See Settings for how long tasks are kept.")
    return task
