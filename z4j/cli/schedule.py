# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j schedule …`: schedules of every scheduler by the API; import from crontab files, from JSON and from other schedulers."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypedDict

from z4j import files
from z4j.cli.common.client import Add, Client, client_of, only, remote_options
from z4j.cli.common.output import json_text, print_json, print_table, say, when
from z4j.cli.common.secret import ARGUMENTS, arguments_of
from z4j.exceptions import BadInput, Z4jError
from z4j.rules.schedules.crontab import read_crontab
from z4j.rules.schedules.dialects import DIALECTS
from z4j.settings import Settings
from z4j.text import Json, JsonObject
from z4j_agent.wire import cron
from z4j_agent.wire.redaction import MASK

KEPT: Final = (
    "app", "environment", "engine", "name", "kind", "expression", "timezone", "task_name", "args", "kwargs", "queue", "is_enabled",
    "catch_up", "overlap", "jitter_s", "starts_at", "ends_at", "broker",
)  # fmt: skip
"""What an export holds of a schedule of z4j's own, and what an import takes."""


class Schedule(TypedDict):
    """A schedule, as `GET /schedules` returns it. `args` and `kwargs` are JSON, masked; `jitter_us` is microseconds."""

    id: int
    key: str
    name: str
    engine: str
    scheduler: str
    kind: str
    expression: str
    args: str
    kwargs: str
    jitter_us: int


def add_commands(add: Add) -> None:
    """Adds `z4j schedule` and its actions."""
    actions = add("schedule", "Manage the schedules of all schedulers.").add_subparsers(required=True, metavar="ACTION")
    made = remote_options(add("list", "List schedules, next run first.", list_schedules, actions))
    for name in ("app", "environment", "scheduler"):
        made.add_argument(f"--{name}")
    remote_options(add("show", "Show one schedule with its runs and changes, as JSON.", show, actions)).add_argument(
        "schedule", help="Row number or name."
    )
    made = remote_options(add("create", "Create a schedule in z4j's scheduler or another scheduler.", create, actions), asks=True)
    made.add_argument("name")
    made.add_argument("--app", required=True)
    made.add_argument("--task", required=True)
    for name in ("engine", "environment", "scheduler"):
        made.add_argument(f"--{name}")
    made.add_argument("--catch-up", choices=("skip", "once", "all"))
    made.add_argument("--overlap", choices=("allow", "skip"))
    made.add_argument("--jitter", type=float, metavar="SECONDS")
    _rule_options(made)
    made = remote_options(add("edit", "Change a schedule. Options that are not given stay unchanged.", edit, actions), asks=True)
    made.add_argument("schedule", help="Row number or name.")
    made.add_argument("--name")
    made.add_argument("--task")
    _rule_options(made)
    for word, action, text in (
        ("enable", "enable", "Enable a schedule."),
        ("disable", "disable", "Disable a schedule. --reason is required."),
        ("run", "fire", "Run a schedule now. Its next run does not change."),
        ("delete", "delete", "Delete a schedule."),
        ("revert", "revert", "Revert a schedule to the definition in the application's code."),
    ):
        made = remote_options(add(word, text, act, actions), asks=True)
        made.set_defaults(action=action)
        made.add_argument("schedule", help="Row number or name.")
        if word == "delete":
            made.add_argument("--confirm", metavar="delete", required=True, help="Type delete to confirm.")
    made = remote_options(add("export", "Write the schedules of z4j's scheduler as JSON.", export, actions))
    made.add_argument("target", nargs="?", default="-", help="File to write; it must not exist. Default: standard output")
    made.add_argument("--app")
    made = remote_options(add("import", "Import schedules into z4j's scheduler.", import_, actions), asks=True)
    made.add_argument("format", choices=("crontab", "json", "scheduler"))
    made.add_argument("source", help="A file, - for standard input, or a scheduler name.")
    for name in ("app", "environment", "engine", "task"):
        made.add_argument(f"--{name}")
    made.add_argument("--with-user", action="store_true", help="The crontab has a user column, like /etc/crontab.")
    made.add_argument("--dry-run", action="store_true", help="Print what would be imported, without importing it.")


def _rule_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("--cron", metavar="EXPRESSION", help="Five fields, or six with seconds first.")
    made.add_argument("--every", metavar="INTERVAL", help="Seconds, or a duration such as 5m, 2h or 1d.")
    made.add_argument("--at", metavar="TIME", help="Run once at this time, for example 2026-12-24T18:00.")
    made.add_argument("--timezone")
    made.add_argument("--queue")
    made.add_argument("--broker", help="Broker, for a schedule of z4j's scheduler in an app with several brokers.")
    made.add_argument("--arg", action="append", default=[], metavar="JSON", help="A positional argument. Can be repeated.")
    made.add_argument("--kwarg", action="append", default=[], metavar="NAME=JSON")
    made.add_argument("--arguments", metavar="FILE", help=ARGUMENTS)


def list_schedules(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j schedule list`."""
    answer = client_of(words, settings).get("/schedules", app=words.app, environment=words.environment)
    rows = [schedule for schedule in answer["schedules"] if words.scheduler in (None, schedule["scheduler"])]
    if words.json:
        print_json({"schedules": rows})
        return 0
    print_table(
        ("row", "state", "scheduler", "app", "name", "when", "task name", "last", "next"),
        [
            (str(schedule["id"]), schedule["state"], schedule["scheduler"], schedule["app"], schedule["name"], schedule["says"],
             schedule["task_name"], when(schedule["last_at"]), when(schedule["next_at"]))
            for schedule in rows
        ],
    )  # fmt: skip
    return 0


def show(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j schedule show`."""
    client = client_of(words, settings)
    print_json(client.get(f"/schedules/{_row_of(client, words)}"))
    return 0


def create(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j schedule create`."""
    client = client_of(words, settings)
    kind, expression = _rule(words)
    args, kwargs = arguments_of(words)
    made = client.post(
        "/schedules", app=words.app, environment=words.environment or "", scheduler=words.scheduler or "z4j", engine=words.engine or "",
        name=words.name, kind=kind, expression=expression, timezone=words.timezone or "UTC", task_name=words.task,
        args=args, kwargs=kwargs, queue=words.queue or "", catch_up=words.catch_up, **({"broker": words.broker} if words.broker else {}),
        overlap=words.overlap, jitter_s=words.jitter, reason=words.reason,
    )  # fmt: skip
    return _print_result(
        made,
        words,
        f"Schedule {words.name} created, row {made['id']}."
        if made["id"]
        else f"Schedule {words.name}: creation requested from its scheduler.",
    )


def edit(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j schedule edit`."""
    client = client_of(words, settings)
    kind, expression = _rule(words, is_needed=False)
    args, kwargs = arguments_of(words)
    made = client.post(
        f"/schedules/{_row_of(client, words)}", kind=kind or None, expression=expression or None, timezone=words.timezone, name=words.name,
        task_name=words.task, queue=words.queue, args=args or None, kwargs=kwargs or None,
        **({"broker": words.broker} if words.broker is not None else {}),
        reason=words.reason,
    )  # fmt: skip
    return _print_result(made, words, "Schedule changed.")


def act(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j schedule enable | disable | run | delete | revert`."""
    client = client_of(words, settings)
    body = {"action": words.action, "reason": words.reason, "confirm": getattr(words, "confirm", None) or ""}
    made = client.post(f"/schedules/{_row_of(client, words)}/actions", **body)
    return _print_result(made, words, f"Done{', task ' + made['task_id'] if made['task_id'] else ''}.")


def export(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j schedule export`: writes the schedules of z4j's own scheduler, in the form that an import reads."""
    rows = client_of(words, settings).get("/schedules", app=words.app)["schedules"]
    text = json_text({"schedules": [_kept(schedule) for schedule in rows if schedule["scheduler"] == "z4j"]})
    if words.target == "-":
        say(text)
    elif (target := Path(words.target)).exists():
        raise BadInput(f"{target} already exists. Nothing was written.", "Choose another file name.")
    else:
        files.create_whole(target, text + "\n", mode=0o644)
    return 0


def _kept(schedule: Schedule) -> dict[str, object]:
    fields: dict[str, object] = {
        **schedule,
        "args": json.loads(schedule["args"]),
        "kwargs": json.loads(schedule["kwargs"]),
        "jitter_s": schedule["jitter_us"] / 1_000_000,
    }
    return {name: fields[name] for name in KEPT if name in fields}


def import_(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j schedule import`: from a crontab file, a JSON export, or another scheduler. Returns 10 if some could not be imported."""
    client = client_of(words, settings)
    if words.format == "crontab":
        entries = _from_crontab(words)
    elif words.format == "json":
        entries = [(str(schedule.get("name", "?")), schedule, "") for schedule in _json_of(words)]
    else:
        entries = _from_scheduler(client, words)
    known = {(schedule["app"], schedule["name"]) for schedule in client.get("/schedules")["schedules"] if schedule["scheduler"] == "z4j"}
    refused = 0
    for name, body, wrong in entries:
        reason = wrong or ("a schedule with this name already exists" if (body.get("app"), name) in known else "")
        if not reason:
            try:
                if not words.dry_run:
                    client.post("/schedules", **body, reason=words.reason or f"imported from {words.source}")
            except Z4jError as error:
                reason = error.message
        refused += bool(reason)
        say(f"{'not imported' if reason else 'would import' if words.dry_run else 'imported'}  {name}{': ' + reason if reason else ''}")
    say(f"{len(entries) - refused} of {len(entries)} schedules{' would be imported' if words.dry_run else ' imported'}.")
    return 10 if refused else 0


def _read(source: str) -> str:
    try:
        return sys.stdin.read() if source == "-" else Path(source).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{source} could not be read: {error}. No changes were made.") from error


def _json_of(words: argparse.Namespace) -> list[JsonObject]:
    try:
        rows = json.loads(_read(words.source))["schedules"]
        return [
            {name: schedule[name] for name in KEPT if name in schedule} | ({"app": words.app} if words.app else {}) for schedule in rows
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{words.source} is not an export of schedules: {error}. Nothing was imported.") from None


def _from_crontab(words: argparse.Namespace) -> list[tuple[str, JsonObject, str]]:
    if not words.task or not words.app or not words.engine:
        raise BadInput(
            "A crontab contains commands, not tasks. Nothing was imported.",
            "Set --app, --engine and --task. The task receives the command as its argument.",
        )
    entries = []
    for line in read_crontab(_read(words.source), has_user=words.with_user):
        name = line.command[:120] or line.text[:120]
        body = {
            "app": words.app, "environment": words.environment or "", "engine": words.engine, "name": name, "kind": "cron",
            "expression": line.expression, "timezone": line.zone, "task_name": words.task, "args": [line.command],
        }  # fmt: skip
        entries.append((name, body, f"line {line.number}: {line.wrong}" if line.wrong else ""))
    return entries


def _from_scheduler(client: Client, words: argparse.Namespace) -> list[tuple[str, JsonObject, str]]:
    """What another scheduler holds, as schedules of z4j's own: those that mean the same there."""
    dialect = DIALECTS.get(words.source)
    if dialect is None or words.source == "z4j":
        others = ", ".join(name for name in DIALECTS if name != "z4j")
        raise BadInput(f"Unknown scheduler {words.source}. Nothing was imported.", f"Schedulers are {others}.")
    entries = []
    for schedule in client.get("/schedules", app=words.app, environment=words.environment)["schedules"]:
        if schedule["scheduler"] == words.source:
            body = {
                name: schedule[name]
                for name in KEPT
                if name in schedule and name not in ("args", "kwargs", "catch_up", "overlap", "broker")
            }
            args, kwargs = json.loads(schedule["args"]), json.loads(schedule["kwargs"])
            entries.append(
                (schedule["name"], body | {"args": args, "kwargs": kwargs}, _why_not(schedule, args, kwargs, day_or=dialect.day_or))
            )
    return entries


def _why_not(schedule: Schedule, args: Json, kwargs: Json, *, day_or: bool) -> str:
    if schedule["kind"] == "other":
        return f"z4j's scheduler does not support “{schedule['expression']}”"
    if MASK in schedule["args"] + schedule["kwargs"] or not isinstance(args, list) or not isinstance(kwargs, dict):
        return "its arguments are masked or were reported incompletely; create it manually"
    if schedule["engine"] not in ("celery", "rq", "dramatiq", "huey", "arq", "taskiq"):
        return "it runs functions, not tasks of an engine that z4j's scheduler supports"
    if schedule["kind"] == "cron" and not day_or:
        rule = cron.parse(schedule["expression"])
        if not (rule.is_any_day or rule.is_any_weekday):
            return "it requires both the day and the weekday to match; in z4j's scheduler either is enough"
    return ""


def _rule(words: argparse.Namespace, *, is_needed: bool = True) -> tuple[str, str]:
    given = [(kind, text) for kind, text in (("cron", words.cron), ("interval", words.every), ("once", words.at)) if text]
    if len(given) > 1 or (is_needed and not given):
        raise BadInput("Exactly one of --cron, --every and --at is required. No changes were made.")
    return given[0] if given else ("", "")


def _row_of(client: Client, words: argparse.Namespace) -> int:
    """The row given by its number or its name. Raises NotFound or BadInput."""
    if words.schedule.isdecimal() and len(words.schedule) < 18:
        return int(words.schedule)
    listed: list[Schedule] = client.get("/schedules")["schedules"]
    known = [schedule for schedule in listed if words.schedule in (schedule["name"], schedule["key"])]
    return only(known, f"schedule {words.schedule}", "List them with `z4j schedule list`. Choose one by its row number.")["id"]


def _print_result(made: Mapping[str, Json], words: argparse.Namespace, sentence: str) -> int:
    if words.json:
        print_json(made)
    else:
        say(sentence)
    return 0
