# SPDX-License-Identifier: AGPL-3.0-or-later
"""Turns a form or an API request into a CommandRequest: finds the queue, worker or task name and checks the parameters.

Pages and API use the same functions, so that both can do the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from z4j.agents.connections import Need
from z4j.exceptions import BadInput, NotFound
from z4j.operations.commands import CommandRequest
from z4j.rules import task_signatures
from z4j.rules.commands import RULES
from z4j.store.fleet import agents, apps, paused_queues, queues, workers
from z4j.store.fleet.workers import WorkerRow
from z4j.store.sqlite.db import Store
from z4j.text import JsonObject

SECTIONS: Final = ("waiting", "delayed", "dead")
PEEK: Final = 50
RATE: Final = re.compile(r"\d{1,6}(/[smh])?")


async def app_id_of(store: Store, app: str) -> int:
    """Raises NotFound."""
    app_id = next((row.id for row in await apps.list_apps(store) if row.name == app), None)
    if app_id is None:
        raise NotFound(f"Unknown app “{app[:60]}”.", "The Settings page lists all apps.")
    return app_id


async def queue_request(
    store: Store, action: str, app: str, environment: str, engine: str, queue: str, params: Mapping[str, Any], reason: str = "",
    same: queues.SameBrokers = queues.NONE,
) -> CommandRequest:  # fmt: skip
    """Requests an action on a queue in the broker that `params` name, or in its only one. Raises NotFound or BadInput."""
    if (rule := RULES.get(action)) is None or rule.subject != "queue":
        raise BadInput(f"Unknown action {action[:40]} for queues. No changes were made.")
    known = await queues.list_queues(store, app=app, environment=environment, engine=engine, name=queue, same=same) if app else []
    known = [row for row in known if (row.app, row.environment, row.engine, row.name) == (app, environment, engine, queue)]
    if not known:
        where = f" in {environment[:40]}" if environment else " without an environment"
        raise NotFound(f"Unknown queue “{queue[:60]}” of {engine[:20]}{where} of {app[:60]}.", "The Queues page lists all queues.")
    given: dict[str, Any] = {"queue": queue}
    brokers = [row.broker for row in known]
    if action == "resume_queue":  # also where no agent reports the queue now
        brokers += [row.broker for row in paused_queues.of_queue(await paused_queues.list_paused(store, same), known[0]) if row.broker]
    brokers = list(dict.fromkeys(brokers))
    app_id, named = await app_id_of(store, app), params.get("broker")
    broker = _broker(same.get((app_id, engine, named), named) if isinstance(named, str) else named, brokers)
    if action in ("pause_queue", "resume_queue"):
        broker = broker or brokers[0]  # a queue of the same name may appear in another one
    given |= {"broker": broker} if broker else {}
    if action in ("peek_queue", "purge_queue"):
        section = params.get("place") or "waiting"
        if section not in SECTIONS:
            raise BadInput(f"Unknown section. Use one of {', '.join(SECTIONS)}. No changes were made.")
        given["place"] = section
        if action == "peek_queue":
            given["limit"] = min(max(integer(params.get("limit"), "limit") or PEEK, 1), 200)
    need = Need(app_id, engine, action, environment, queue=queue, broker=broker)
    other_brokers = tuple(row.broker for row in known if row.broker not in ("", broker))
    return CommandRequest(need, f"queue {engine}:{queue}{_in(environment)}", given, reason=reason, other_brokers=other_brokers)


def _broker(named: Any, known: list[str]) -> str:
    """Returns the broker of the queue. Raises BadInput where several have the queue and none is named, and for an unknown one."""
    if not named and len(known) > 1:
        raise BadInput(f"Choose a broker: the queue exists in {', '.join(known)[:400]}. No changes were made.")
    if named and named not in known:
        raise BadInput("No agent has reported this queue in that broker. No changes were made.", "The Queues page shows the brokers.")
    return str(named or "")


def _in(environment: str) -> str:
    return f" in {environment[:60]}" if environment else ""


async def find_worker(store: Store, app: str | None, name: str, environment: str | None) -> WorkerRow:
    """Returns the worker of that name; app and environment are None where they were not given. Raises NotFound, or BadInput where several
    match."""
    rows = [
        row for row in await workers.list_workers(store, name=name)
        if app in (None, row.app) and environment in (None, row.environment)
    ]  # fmt: skip
    if not rows:
        where = f" of {app[:60]}" if app else ""
        raise NotFound(
            f"Unknown worker “{name[:60]}”{where}{_in(environment or '')}.", "The Workers page lists those of the last 24 hours."
        )
    if len(rows) > 1:
        matches = ", ".join(f"{row.app} in {row.environment}" if row.environment else row.app for row in rows[:10])
        raise BadInput(
            f"{len(rows)} workers have the name “{name[:60]}”: {matches}. No changes were made.", "Name the app and the environment."
        )
    return rows[0]


async def worker_request(
    store: Store, action: str, app: str, worker: str, environment: str | None, params: Mapping[str, Any], reason: str = ""
) -> CommandRequest:
    """Requests an action on a worker; `environment` may be None where one worker of the app has that name. Raises NotFound or BadInput."""
    if (rule := RULES.get(action)) is None or rule.subject != "worker":
        raise BadInput(f"Unknown action {action[:40]} for workers. No changes were made.")
    row = await find_worker(store, app, worker, environment)
    given: dict[str, Any] = {}
    if action == "resize_worker":
        by = integer(params.get("by"), "by") or 0
        if not by or abs(by) > 100:
            raise BadInput("A worker can be resized by 1 to 100 up or down. No changes were made.")
        given["by"] = by
    elif action in ("consume_queue", "leave_queue"):
        queue = params.get("queue")
        if not isinstance(queue, str) or not queue or len(queue) > 255 or not queue.isprintable():
            raise BadInput("The queue name is missing or not valid. No changes were made.", "Enter up to 255 printable characters.")
        given["queue"] = queue
    able = [item.engine for item in row.agent.capabilities if item.action == action]
    engine = able[0] if able else next(iter(sorted(row.agent.engines)), "")
    need = Need(row.agent.app_id, engine, action, row.environment, worker)
    return CommandRequest(need, f"worker {worker}{_in(row.environment)}", given, reason=reason)


async def run_request(
    store: Store, app: str, environment: str, engine: str, name: str, args: list[Any], kwargs: dict[str, Any], queue: str, reason: str,
    broker: str = "",
) -> CommandRequest:  # fmt: skip
    """Requests a run of a registered task, in `broker` where one is named. Raises NotFound, or BadInput where the arguments do not fit
    its signature."""
    parameters = await parameters_of(store, app, engine, name, environment)
    if parameters is None:
        raise NotFound(
            f"{app[:60]} has no registered task {name[:120]} with {engine[:20]}{_in(environment)}. No task was run.",
            "A task is registered when a worker has imported it.",
        )
    if parameters and (wrong := task_signatures.why_not(parameters, args, list(kwargs))) is not None:
        raise BadInput(f"{wrong} No task was run.")
    need = Need(await app_id_of(store, app), engine, "run_task", environment, queue=queue, broker=broker)
    about = f"{engine}:{name}{_in(environment)}"
    given: JsonObject = {"name": name, "args": args, "kwargs": kwargs, "queue": queue}
    if broker:
        given["broker"] = broker
    return CommandRequest(need, about, given, reason=reason)


async def limit_request(
    store: Store, app: str, environment: str, engine: str, name: str, params: Mapping[str, Any], reason: str
) -> CommandRequest:
    """Requests limits of a task name in every worker. Raises NotFound or BadInput."""
    if await parameters_of(store, app, engine, name, environment) is None:
        raise NotFound(f"{app[:60]} has no registered task {name[:120]} with {engine[:20]}{_in(environment)}.")
    rate = params.get("rate")
    given: dict[str, Any] = {"name": name}
    if rate not in (None, ""):
        if not isinstance(rate, str) or not RATE.fullmatch(rate):
            raise BadInput("A rate must be a number per second, minute or hour: 10/s, 100/m, 1000/h; 0 removes it. No changes were made.")
        given["rate"] = rate
    for key in ("soft_s", "hard_s"):
        if params.get(key) not in (None, ""):
            given[key] = seconds(params[key])
    if len(given) == 1:
        raise BadInput("No rate or time limit was given. No changes were made.")
    need = Need(await app_id_of(store, app), engine, "limit_name", environment)
    return CommandRequest(need, f"{engine}:{name}{_in(environment)}", given, reason=reason)


async def parameters_of(
    store: Store, app: str, engine: str, name: str, environment: str = ""
) -> tuple[task_signatures.Parameter, ...] | None:  # fmt: skip
    """Returns the parameters of a registered task; () when its signature cannot be parsed, None when it is not registered there."""
    row = await agents.find_task_name(store, app, engine, name, environment)
    return None if row is None else task_signatures.parse(row.signature) or ()


def integer(value: Any, name: str) -> int | None:
    """Parses an integer of a form or of JSON; returns None when there is none. Raises BadInput."""
    if value in (None, ""):
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        raise BadInput(f"{name} must be an integer. No changes were made.") from None


def seconds(value: Any) -> float:
    """Parses a positive number of seconds. Raises BadInput."""
    try:
        parsed = float(value)
    except (TypeError, ValueError):
        parsed = 0.0
    if not 0 < parsed < 10_000_000:
        raise BadInput("A time limit must be a number of seconds. No changes were made.")
    return parsed
