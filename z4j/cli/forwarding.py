# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j forwarding …`: list, add, test, enable, disable and delete targets of the audit log and of alerts, by the API."""

from __future__ import annotations

import argparse
from pathlib import Path

from z4j.cli.common.client import Add, client_of, remote_options
from z4j.cli.common.output import print_json, print_table, say, when
from z4j.cli.common.secret import read_secret
from z4j.exceptions import BadInput
from z4j.settings import Settings


def add_commands(add: Add) -> None:
    """Adds `z4j forwarding` and its actions."""
    text = "Forward the audit log and alerts to other tools: webhook, syslog, JSON lines."
    actions = add("forwarding", text).add_subparsers(required=True, metavar="ACTION")
    remote_options(add("list", "List targets with the number of rows not delivered yet.", list_targets, actions))
    made = remote_options(add("add", "Add a target. It receives rows recorded from now on.", add_target, actions))
    made.add_argument("name", help="Name of the target.")
    made.add_argument("kind", choices=("webhook", "syslog", "json"))
    made.add_argument(
        "url",
        help="Address: tls://host:port, tcp://host:port, udp://host:port, file:NAME. "
        "For a webhook: a file that contains the address, or - for standard input.",
    )
    made.add_argument("--key-file", metavar="FILE", help="File with the key that signs a webhook. Default: a generated key")
    made.add_argument("--ca", metavar="FILE", help="Certificate (PEM) of the CA of a TLS target. Default: the CAs of the system")
    made.add_argument("--no-audit", action="store_true", help="Do not forward the audit log.")
    made.add_argument("--alerts", action="store_true", help="Forward events of alerts.")
    made.add_argument("--action", action="append", default=[], metavar="PATTERN", help="Only these actions, such as delete_*. Repeat it.")
    made.add_argument("--from-beginning", action="store_true", help="Also send existing rows of the audit log.")
    for name, what, command in (
        ("test", "Send a test message now.", test_target),
        ("enable", "Enable a target. Rows recorded while it was disabled are sent.", set_enabled),
        ("disable", "Disable a target.", set_enabled),
        ("delete", "Delete a target.", set_enabled),
    ):
        made = remote_options(add(name, what, command, actions))
        made.set_defaults(change=name)
        made.add_argument("id", type=int)


def list_targets(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j forwarding list`."""
    found = client_of(words, settings).get("/forwarding")
    if words.json:
        print_json(found)
        return 0
    rows = [
        (str(each["id"]), each["name"], each["kind"], each["address"],
         "off" if not each["is_enabled"] else "failing" if each["failing_since"] else "works" if each["sent_at"] else "nothing sent yet",
         str(each["waiting_audit"] + each["waiting_alerts"]), when(each["sent_at"]), each["error"])
        for each in found["targets"]
    ]  # fmt: skip
    print_table(("id", "target", "kind", "address", "state", "waiting", "last sent", "error"), rows)
    return 0


def add_target(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j forwarding add`. The address of a webhook may be a secret, so it is not taken from the command line."""
    url = words.url if words.kind != "webhook" else read_secret(words.url, "the address", "Z4J_WEBHOOK")
    made = client_of(words, settings).post(
        "/forwarding", name=words.name, kind=words.kind, url=url, key=_read(words.key_file).strip(), ca=_read(words.ca),
        audit=not words.no_audit, alerts=words.alerts, actions=words.action, from_beginning=words.from_beginning,
    )  # fmt: skip
    print_json(made) if words.json else say(f"Target {made['id']} was added. Try it with `z4j forwarding test {made['id']}`.")
    return 0


def _read(file: str | None) -> str:
    if not file:
        return ""
    try:
        return Path(file).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise BadInput(f"{file} could not be read: {error}. No changes were made.") from error


def test_target(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j forwarding test`. Returns 1 if the message did not arrive."""
    answer = client_of(words, settings).post(f"/forwarding/{words.id}/test")
    if words.json:
        print_json(answer)
    else:
        say(f"The test message did not arrive. {answer['why']}" if answer["why"] else "The test message was sent.")
    return 1 if answer["why"] else 0


def set_enabled(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j forwarding enable`, `disable` and `delete`."""
    made = client_of(words, settings).post(f"/forwarding/{words.id}/{words.change}")
    done = {"enable": "was enabled", "disable": "was disabled", "delete": "was deleted"}[words.change]
    print_json(made) if words.json else say(f"Target {made['id']} {done}.")
    return 0
