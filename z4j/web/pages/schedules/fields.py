# SPDX-License-Identifier: AGPL-3.0-or-later
"""Converts the fields of the schedule form to a schedule request, and back."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from starlette.requests import Request

from z4j.exceptions import BadInput
from z4j.operations.schedule_request import ScheduleRequest
from z4j.rules import task_signatures
from z4j.rules.schedules.due_times import local_of, zone_of
from z4j.store.schedules import schedules
from z4j.store.schedules.schedules import OWN, ScheduleRow
from z4j.web import command_requests
from z4j.web.pages.schedules.detail import pretty_json
from z4j.web.pages.tasks.actions import read_value
from z4j.web.services import services

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


async def wanted_of(request: Request, form: dict[str, str], row: ScheduleRow | None) -> ScheduleRequest:
    """Returns the schedule request of a form. Raises BadInput."""
    store = services(request).store
    app, environment, scheduler = (
        (row.app, form.get("environment", row.environment) if row.is_own else row.environment, row.scheduler)
        if row
        else tuple(form.get(name, "") for name in ("app", "environment", "scheduler"))
    )
    engine = form.get("engine", "") or await engine_of(request, row, form)
    kind, expression = read_rule(form)
    zone = form.get("timezone", "")
    args, kwargs = _read_arguments(form, row)
    task_name = form.get("task_name", "")
    parameters = await command_requests.parameters_of(store, app, engine, task_name, environment)
    if parameters and args is not None and kwargs is not None and (wrong := task_signatures.why_not(parameters, args, list(kwargs))):
        raise BadInput(f"{wrong} No changes were made.", f"The signature is {task_name}{_signature(parameters)}.")
    return ScheduleRequest(
        app=app, environment=environment, scheduler=scheduler, engine=engine, name=form.get("name", ""), kind=kind, expression=expression,
        timezone=zone, task_name=task_name, args=args, kwargs=kwargs, queue=form.get("queue", ""),
        broker=form.get("broker", "") if scheduler == OWN else "",
        priority=command_requests.integer(form.get("priority"), "priority"), is_enabled=form.get("is_enabled") == "on",
        catch_up=form.get("catch_up") or "skip", overlap=form.get("overlap") or "allow", jitter_s=_seconds(form.get("jitter_s", "")),
        starts_at=_moment(form.get("starts_at", ""), zone, "The start"), ends_at=_moment(form.get("ends_at", ""), zone, "The end"),
    )  # fmt: skip


def read_rule(form: dict[str, str]) -> tuple[str, str]:
    """Returns (kind, expression) of the chosen part of the form. Raises BadInput."""
    kind = form.get("kind", "cron")
    if kind == "interval":
        return kind, form.get("seconds", "") + form.get("unit", "")
    if kind == "once":
        return kind, form.get("once", "")
    if kind != "built":
        return "cron", form.get("expression", "")
    hour, _, minute = form.get("time", "").partition(":")
    at = f"{minute.lstrip('0') or 0} {hour.lstrip('0') or 0}" if hour.isdecimal() and minute[:2].isdecimal() else "x x"
    days = ",".join(day for day in DAYS if form.get(f"day_{day}") == "on")
    match form.get("every"):
        case "minutes":
            return "cron", f"*/{form.get('n') or 'x'} * * * *"
        case "hourly":
            return "cron", f"{form.get('minute') or 'x'} * * * *"
        case "daily":
            return "cron", f"{at} * * *"
        case "weekly":
            if not days:
                raise BadInput("Choose at least one weekday. No changes were made.")
            return "cron", f"{at} * * {days}"
        case "monthly":
            return "cron", f"{at} {form.get('day') or 'x'} * *"
    raise BadInput("Choose how often. No changes were made.")


def _read_arguments(form: dict[str, str], row: ScheduleRow | None) -> tuple[list[Any] | None, dict[str, Any] | None]:
    """Returns (args, kwargs), each None where it was left unchanged, so that values the form does not show are kept."""
    parsed: list[Any] = []
    for name, kind, shape in (("args", list, "a JSON list"), ("kwargs", dict, "a JSON object")):
        text = form.get(name, "")
        before = None if row is None else getattr(row, name)
        if row is not None and (not text or (pretty_json(before or "") and json.loads(before or "null") == _json_or_none(text))):
            parsed.append(None)
            continue
        value = read_value("“Positional arguments”" if name == "args" else "“Named arguments”", text or ("[]" if kind is list else "{}"))
        if not isinstance(value, kind):
            raise BadInput(f"{'Positional' if name == 'args' else 'Named'} arguments must be {shape}. No changes were made.")
        parsed.append(value)
    return parsed[0], parsed[1]


def _json_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _seconds(text: str) -> float:
    try:
        return float(text or 0)
    except ValueError:
        raise BadInput("Jitter must be a number of seconds. No changes were made.") from None


def _moment(text: str, zone: str, what: str) -> int | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise BadInput(f"{what} must be a time such as 2026-11-23 05:30. No changes were made.") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=zone_of(zone))).timestamp() * 1_000_000)


def _signature(parameters: tuple[task_signatures.Parameter, ...]) -> str:
    return "(" + ", ".join(parameter.name if parameter.is_needed else f"{parameter.name}…" for parameter in parameters) + ")"


def values_of(row: ScheduleRow) -> dict[str, str]:
    """Returns the fields of the form for a stored schedule."""
    kind = row.kind if row.kind in ("cron", "interval", "once") else "cron"

    def local(at: int | None) -> str:
        if at is None:
            return ""
        return local_of(datetime.fromtimestamp(at / 1_000_000, zone_of("UTC")), zone_of(row.timezone)).isoformat(" ", "minutes")

    return {
        "kind": kind, "expression": row.expression if kind == "cron" else "", "seconds": row.expression if kind == "interval" else "300",
        "once": row.expression if kind == "once" else "", "every": "daily", "time": "02:30", "minute": "0", "n": "5", "day": "1",
        "name": row.name, "task_name": row.task_name, "args": pretty_json(row.args), "kwargs": pretty_json(row.kwargs), "queue": row.queue,
        "broker": row.broker,
        "priority": "" if row.priority is None else str(row.priority), "timezone": row.timezone, "engine": row.engine,
        "is_enabled": "on" if row.is_enabled else "", "catch_up": row.catch_up, "overlap": row.overlap,
        "jitter_s": f"{row.jitter_us / 1_000_000:g}" if row.jitter_us else "", "starts_at": local(row.starts_at),
        "ends_at": local(row.ends_at),
    }  # fmt: skip


async def engine_of(request: Request, row: ScheduleRow | None, values: dict[str, str]) -> str:
    """Returns the engine whose tasks a scheduler creates; "" where it was not reported."""
    if row is not None:
        return row.engine
    for process in await schedules.list_schedulers(services(request).store):
        if (process.app, process.environment, process.scheduler) == tuple(
            values.get(name, "") for name in ("app", "environment", "scheduler")
        ):
            return process.engine
    return ""
