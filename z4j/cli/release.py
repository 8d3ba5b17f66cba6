# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j release …`: list releases, mark one, and compare the tasks of one with those before it, by the API."""

from __future__ import annotations

import argparse

from z4j.cli.common.client import Add, client_of, remote_options
from z4j.cli.common.output import print_json, print_table, say, when
from z4j.settings import Settings


def add_commands(add: Add) -> None:
    """Adds `z4j release` and its actions."""
    actions = add("release", "Releases: list, mark, compare.").add_subparsers(required=True, metavar="ACTION")
    remote_options(add("list", "List releases, newest first.", list_releases, actions))
    for name, text, command in (
        ("mark", "Mark a release that no agent reports, as of now.", mark),
        ("compare", "Compare each task before and with a release.", compare),
    ):
        made = remote_options(add(name, text, command, actions))
        made.add_argument("release")
        made.add_argument("--app", required=name == "mark", default="", help="The app.")
        made.add_argument("--environment", default="", help="The environment.")


def list_releases(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j release list`."""
    answer = client_of(words, settings).get("/releases")
    if words.json:
        print_json(answer)
        return 0
    print_table(
        ("release", "app", "environment", "first seen"),
        [(row["release"], row["app"], row["environment"], when(row["first_at"])) for row in answer["releases"]],
    )
    return 0


def mark(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j release mark`."""
    answer = client_of(words, settings).post("/releases", release=words.release, app=words.app, environment=words.environment)
    print_json(answer) if words.json else say(f"Release {words.release} is now marked on every chart.")
    return 0


def compare(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j release compare`."""
    answer = client_of(words, settings).get(
        "/releases/compare", release=words.release, app=words.app, environment=words.environment
    )  # fmt: skip
    if words.json:
        print_json(answer)
        return 0
    say(f"{answer['release']} in {answer['app']} {answer['environment']}, first seen {when(answer['first_at'])}")
    rows = [
        (each["word"], each["name"], each["engine"],
         "; ".join(one["text"] for one in each["verdicts"] if one["word"] == each["word"] and one["word"] in ("worse", "better")))
        for each in sorted(answer["names"], key=lambda each: (each["word"] != "worse", each["name"]))
    ]  # fmt: skip
    print_table(("verdict", "task", "engine", ""), rows)
    return 0
