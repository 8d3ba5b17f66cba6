# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j alerts …`: list and acknowledge alerts, list and try rules, test channels, and begin or end maintenance, by the API."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any, Final

from z4j.cli.common.client import Add, client_of, remote_options
from z4j.cli.common.output import print_json, print_table, say, when
from z4j.cli.errors import seconds
from z4j.exceptions import BadInput
from z4j.formats import plural
from z4j.settings import Settings

SHOWN: Final = 20


def add_commands(add: Add) -> None:
    """Adds `z4j alerts` and its actions."""
    actions = add("alerts", "Alerts: list, acknowledge, rules, channels, maintenance.").add_subparsers(required=True, metavar="ACTION")
    remote_options(add("list", "List open alerts, then resolved ones.", list_alerts, actions))
    remote_options(add("show", "Show an alert with its findings and messages.", show_alert, actions)).add_argument("id", type=int)
    made = remote_options(add("acknowledge", "Acknowledge an alert and stop its reminders.", acknowledge, actions))
    made.add_argument("id", type=int)
    remote_options(add("rules", "List the rules. With --json, in the format that `try` and `add-rule` accept.", list_rules, actions))
    made = remote_options(add("try", "Dry run: show what a rule would have done with the findings of the last week.", try_rule, actions))
    made.add_argument("file", help="File with a rule as JSON.")
    made = remote_options(add("add-rule", "Add a rule.", add_rule, actions))
    made.add_argument("file", help="File with a rule as JSON.")
    remote_options(add("channels", "List the channels.", list_channels, actions))
    remote_options(add("test", "Send a test message through a channel.", send_test, actions)).add_argument("id", type=int)
    made = remote_options(add("maintenance", "Start maintenance: delay alerts.", begin_maintenance, actions))
    made.add_argument("--for", dest="span", default="1h", metavar="TIME", help="Duration, such as 90m, 12h or 7d. Default: 1h")
    for name in ("app", "environment", "reason"):
        made.add_argument(f"--{name}", default="")
    remote_options(add("end-maintenance", "End maintenance now.", end_maintenance, actions)).add_argument("id", type=int)


def list_alerts(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j alerts list`."""
    answer = client_of(words, settings).get("/alerts")
    if words.json:
        print_json(answer)
        return 0
    rows = [
        (str(row["id"]), _state(row), row["title"][:70], f"{row['app']} {row['environment']}".strip(), when(row["opened_at"]), row["rule"])
        for row in [*answer["open"], *answer["over"][:SHOWN]]
    ]
    print_table(("id", "state", "alert", "where", "began", "rule"), rows)
    return 0


def _state(row: dict[str, Any]) -> str:
    if row["resolved_at"] is not None:
        return "resolved" if row["fired_at"] is not None else "never fired"
    if row["fired_at"] is None:
        return "delayed"
    return f"acknowledged by {row['acknowledged_by']}" if row["acknowledged_by"] else str(row["severity"])


def show_alert(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j alerts show`."""
    return _print(words, client_of(words, settings).get(f"/alerts/{words.id}"))


def acknowledge(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j alerts acknowledge`."""
    return _print(words, client_of(words, settings).post(f"/alerts/{words.id}/acknowledge"))


def _print(words: argparse.Namespace, alert: dict[str, Any]) -> int:
    if words.json:
        print_json(alert)
        return 0
    say(f"{alert['id']}: {alert['title']}")
    say(f"{_state(alert)}, rule {alert['rule']}, began {when(alert['opened_at'])}")
    findings = [("over" if row["ended_at"] is not None else row["level"], row["title"], row["text"]) for row in alert["findings"][:SHOWN]]
    print_table(("state", "finding", ""), findings)
    if alert["messages"]:
        sent = [
            (when(row["created_at"]), row["kind"], row["channel"], row["outcome"] or "waiting", row["error"]) for row in alert["messages"]
        ]
        print_table(("at", "message", "channel", "delivery", "error"), sent)
    return 0


def list_rules(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j alerts rules`."""
    rules = client_of(words, settings).get("/alert-rules")["rules"]
    if words.json:
        print_json({"rules": rules})
        return 0
    rows = [
        (str(each["id"]), each["rule"]["name"], each["rule"].get("severity", "warning"), each["changed_by"], when(each["changed_at"]))
        for each in rules
    ]
    print_table(("id", "rule", "severity", "by", "changed"), rows)
    return 0


def try_rule(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j alerts try`."""
    answer = client_of(words, settings).post("/alert-rules/dry-run", rule=_read(words.file))
    if words.json:
        print_json(answer)
        return 0
    say(f"Would have fired {plural(len(answer['fired']), 'time')} since {when(answer['since'])}. {answer['why']}".strip())
    print_table(
        ("at", "alert", "where", "over"),
        [
            (when(row["fired_at"]), row["title"][:70], f"{row['app']} {row['environment']}".strip(), when(row["resolved_at"]))
            for row in answer["fired"][-SHOWN:]
        ],
    )
    return 0


def add_rule(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j alerts add-rule`."""
    made = client_of(words, settings).post("/alert-rules", **_read(words.file))
    print_json(made) if words.json else say(f"Rule {made['id']} added.")
    return 0


def _read(file: str) -> dict[str, Any]:
    try:
        rule = json.loads(Path(file).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{file} could not be read as JSON: {error}. No changes were made.") from error
    if not isinstance(rule, dict):
        raise BadInput(f"{file} is not a rule. No changes were made.", "See docs/alerts.md for an example.")
    return rule


def list_channels(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j alerts channels`."""
    channels = client_of(words, settings).get("/alert-channels")["channels"]
    if words.json:
        print_json({"channels": channels})
        return 0
    rows = [(str(each["id"]), each["name"], each["kind"], each["shown"], when(each["delivered_at"]), each["error"]) for each in channels]
    print_table(("id", "channel", "kind", "address", "last delivered", "error"), rows)
    return 0


def send_test(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j alerts test`."""
    made = client_of(words, settings).post(f"/alert-channels/{words.id}/test")
    print_json(made) if words.json else say(f"Message {made['message']} queued. `z4j alerts channels` shows whether it was delivered.")
    return 0


def begin_maintenance(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j alerts maintenance`."""
    ends = (int(time.time()) + seconds(words.span)) * 1_000_000
    made = client_of(words, settings).post(
        "/maintenance", ends_at=ends, app=words.app, environment=words.environment, reason=words.reason
    )  # fmt: skip
    print_json(made) if words.json else say(f"Maintenance {made['id']} began. Alerts are delayed until {when(ends)}.")
    return 0


def end_maintenance(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j alerts end-maintenance`."""
    made = client_of(words, settings).post(f"/maintenance/{words.id}/end")
    print_json(made) if words.json else say("Maintenance ended.")
    return 0
