# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j errors …`: list errors, show one, and resolve, ignore, assign, annotate, merge, split or retry it, by the API."""

from __future__ import annotations

import argparse
from typing import Final, TypedDict

from z4j.cli.common.client import Add, client_of, remote_options
from z4j.cli.common.output import print_json, print_table, say, when
from z4j.exceptions import BadInput
from z4j.settings import Settings

FILTERS: Final = ("state", "app", "environment", "engine", "queue", "name", "assigned")
UNITS: Final = {"m": 60, "h": 3_600, "d": 86_400}


class ErrorItem(TypedDict):
    """An error, as `GET /errors` returns it. Times are microseconds UTC."""

    id: int
    app: str
    title: str
    function: str
    state: str
    first_at: int
    last_at: int
    failed: int
    retried: int
    cured: int
    assigned_to: str
    note: str
    runbook: str


def add_commands(add: Add) -> None:
    """Adds `z4j errors` and its actions."""
    actions = add("errors", "Failures grouped by problem: list, resolve, ignore, retry.").add_subparsers(required=True, metavar="ACTION")
    made = remote_options(add("list", "List errors, last seen first. Without --state: open errors.", list_errors, actions))
    for name in FILTERS:
        made.add_argument(f"--{name}", help="Only matching errors.")
    remote_options(add("show", "Show an error.", show_error, actions)).add_argument("id", type=int)

    def action(word: str, text: str) -> argparse.ArgumentParser:
        made = remote_options(add(word, text, act_on_error, actions), asks=True)
        made.set_defaults(action=word)
        made.add_argument("id", type=int)
        return made

    made = action("resolve", "Mark an error as resolved. If it occurs again, it is marked as regressed.")
    made.add_argument("--next-release", action="store_true", help="Only a failure in a newer release marks the error as regressed.")
    action("reopen", "Show a resolved or an ignored error as unresolved.")
    made = action("ignore", "Ignore an error, until the first of these limits or until it is reopened.")
    made.add_argument("--for", dest="span", metavar="TIME", help="Duration, such as 90m, 12h or 7d.")
    made.add_argument("--rate", type=int, help="Until this many tasks fail within an hour.")
    made.add_argument("--count", type=int, help="Until this many more tasks have failed.")
    action("assign", "Assign an error to a user, or remove the assignment.").add_argument("user", nargs="?", default="")
    made = action("note", "Change the note or the runbook of an error.")
    made.add_argument("note", nargs="?", help="The new note.")
    made.add_argument("--runbook", help="URL of a runbook. Empty: remove it.")
    action("merge", "Merge another error into this one.").add_argument("other", type=int)
    made = action("split", "Split a merged error again or, with a pattern, split off a part of an error. A merge undoes it.")
    made.add_argument("--message", default="", metavar="PATTERN", help="Failures whose message matches; * matches any text.")
    made.add_argument("--code", default="", metavar="LINE", help="Failures raised in this line of code, as shown on the page of the error.")
    action("retry", "Create a plan that retries the failed tasks of an error. It is not executed yet.")


def list_errors(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j errors list`."""
    answer = client_of(words, settings).get("/errors", **{name: getattr(words, name) for name in FILTERS})
    if words.json:
        print_json(answer)
        return 0
    errors: list[ErrorItem] = answer["errors"]
    rows = [
        (str(row["id"]), row["state"], row["title"][:70], row["app"], str(row["failed"]), str(row["retried"] + row["cured"]),
         when(row["last_at"]), row["assigned_to"])
        for row in errors
    ]  # fmt: skip
    print_table(("id", "state", "error", "app", "failed", "attempts", "last seen", "assigned"), rows)
    if answer["after"]:
        say("More errors exist. Filter the list, or use the cursor of the API.")
    return 0


def show_error(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j errors show`."""
    answer = client_of(words, settings).get(f"/errors/{words.id}")
    if words.json:
        print_json(answer)
        return 0
    _print(answer["error"])
    print_table(
        ("task", "queue", "engine", "environment", "failed", "attempts", "cured"),
        [
            (row["name"], row["queue"], row["engine"], row["environment"], str(row["failed"]), str(row["retried"] + row["cured"]),
             str(row["cured"]))
            for row in answer["places"]
        ],
    )  # fmt: skip
    if answer["actions"]:
        history = [(when(row["at"]), row["actor"] or "z4j", row["action"], row["detail"]) for row in answer["actions"]]
        print_table(("at", "by", "action", ""), history)
    return 0


def act_on_error(words: argparse.Namespace, settings: Settings) -> int:
    """Runs the actions of `z4j errors`."""
    action = "resolve_next" if getattr(words, "next_release", False) else words.action
    span = getattr(words, "span", None)
    body = {
        name: getattr(words, name)
        for name in ("rate", "count", "user", "note", "runbook", "other", "message", "code")
        if hasattr(words, name)
    }
    answer = client_of(words, settings).post(
        f"/errors/{words.id}/actions", action=action, for_s=None if span is None else seconds(span), reason=words.reason, **body
    )
    if words.json:
        print_json(answer)
    elif answer["plan"]:
        plan = answer["plan"]
        say(f"Plan {plan['id']} with {plan['items']} tasks was created. No task has been retried.")
        say(f"Execute it with: z4j plan execute {plan['id']} {plan['digest'][:12]}")
    else:
        _print(answer["error"])
    return 0


def seconds(text: str) -> int:
    """Returns a time such as 90m, 12h or 7d in seconds. Raises BadInput."""
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdecimal() and len(number) < 9 and unit in UNITS):
        raise BadInput(f"“{text[:20]}” is not a valid time. No changes were made.", "Use 90m, 12h or 7d.")
    return int(number) * UNITS[unit]


def _print(error: ErrorItem) -> None:
    say(f"{error['id']}: {error['title']}")
    say(f"{error['state']}, {error['app']}, raised in {error['function'] or '-'}, assigned to {error['assigned_to'] or 'no user'}")
    say(
        f"{error['failed']} failed tasks, {error['retried'] + error['cured']} failed attempts, {error['cured']} of them succeeded after "
        f"a retry, first seen {when(error['first_at'])}, last seen {when(error['last_at'])}"
    )
    for text in (error["note"], error["runbook"]):
        if text:
            say(text)
