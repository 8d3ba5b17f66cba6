# SPDX-License-Identifier: AGPL-3.0-or-later
"""The command line: one file per command, each a function that takes the parsed arguments and returns an exit code.

Expected errors print one sentence on stderr and return the exit code of their exception, never a traceback. Commands are named here, and
only the one that runs is imported (`z4j.lazy_imports`).
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Final

from z4j import lazy_imports, logs
from z4j.cli.common.output import say
from z4j.exceptions import Z4jError
from z4j.settings import Settings, default_text, flag, load

Command = Callable[[argparse.Namespace, Settings], int]
GROUPS: Final = {
    "token": "token", "user": "user", "task": "task", "errors": "errors", "alerts": "alerts", "forwarding": "forwarding",
    "release": "release", "queue": "queue", "worker": "worker", "plan": "plan", "schedule": "schedule", "audit": "audit",
    "tls": "installation.tls", "mcp": "mcp_server",
}  # fmt: skip
"""Command → module of `z4j.cli` with its `add_commands(add)`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    with lazy_imports.without_collections():
        words = _parser(given[0] if given else "").parse_args(given)
        command = _command(words.command)
    try:
        settings = load(vars(words))
        logs.set_up(settings.log_level, is_json=settings.log_json)
        return command(words, settings)
    except Z4jError as error:
        say(f"z4j: {error.message}" + (f"\n     {error.hint}" if error.hint else ""), is_error=True)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def _command(command: Command | str) -> Command:
    """Returns what a parser has set as the command: a function, or "module:function" in `z4j.cli.installation`."""
    found: Command = lazy_imports.load(f"z4j.cli.installation.{command}") if isinstance(command, str) else command
    return found


@functools.cache
def _parser(word: str = "") -> argparse.ArgumentParser:
    """Returns the parser of one command, or of all where `word` is none: for help, and for a word that is no command."""
    shared = argparse.ArgumentParser(add_help=False)
    for setting in fields(Settings):
        if isinstance(setting.default, bool):
            shared.add_argument(flag(setting.name), action="store_const", const=True, help=setting.metadata["help"])
        else:
            text = f"{setting.metadata['help']} Default: {default_text(setting)}".replace("%", "%%")
            action = "append" if isinstance(setting.default, tuple) else "store"
            shared.add_argument(flag(setting.name), action=action, metavar=setting.name.upper(), help=text)
    parser = argparse.ArgumentParser(prog="z4j", description="Control plane for Python task queues.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, text: str, command: Command | str | None = None, parent: Any = commands) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = parent.add_parser(name, help=text, description=text, parents=[shared])
        if command is not None:
            made.set_defaults(command=command)
        return made

    started = add("serve", "Run the server: web pages and agent gateway.", "serve:serve")
    started.add_argument("--name", dest="tls_name", action="append", metavar="NAME", help="The same as --tls-name.")
    dev = add("dev", "Run a development server on loopback: creates an app, a connection string and a login link.", "serve:dev")
    dev.add_argument("--app", default="dev", help="Name of the app. Default: dev")
    shown = add("demo", "Try z4j with a month of generated tasks and two real engines. Nothing else is needed.", "demo:demo")
    shown.add_argument("--tasks", type=int, default=60_000, metavar="N", help="Number of generated tasks. Default: 60000")
    shown.add_argument("--seed", type=int, default=7, metavar="N", help="The same number generates the same tasks. Default: 7")
    add("migrate", "Upgrade the database schema to this version; a copy of the database is kept first.", "backup:migrate")
    copy = add("backup", "Write a consistent copy of the database, also while the server is running.", "backup:backup")
    copy.add_argument("target", help="File to write; it must not exist.")
    back = add(
        "restore",
        "Replace the database with a backup. The server must be stopped. Data that would be lost is shown first.",
        "restore:restore",
    )
    back.add_argument("source", metavar="FILE", help="Backup, or a database that an earlier restore replaced.")
    undo = add("rollback", "Undo the last upgrade: restore the copy that its migration made.", "restore:rollback")
    for each in (back, undo):
        each.add_argument("--yes", action="store_true", help="Do not ask for confirmation.")
    packages = add(
        "wheels", "List the packages of this appliance, write them to a folder, or add wheels of other platforms.", "wheels:show"
    )
    packages.add_argument("folder", nargs="?", metavar="DIR", help="Folder to write all wheels to.")
    packages.add_argument("--add", action="append", metavar="FILE", help="Additional wheel of a package that is already served.")
    for name, text, command in (
        (
            "export-settings",
            "Export apps, users, z4j's own schedules, links and forwarding targets to a file. Secrets are not included.",
            "settings_file:export",
        ),
        ("import-settings", "Import a settings file. Existing entries are not changed.", "settings_file:import_"),
    ):
        add(name, text, command).add_argument("file", metavar="FILE", help="File, or - for standard output or input.")
    add("doctor", "Check this installation and its data, and print a remedy for each problem.", "doctor:doctor")
    add("health", "Check whether the server of this data folder responds. Exit code 0: it responds.", "health:health")
    service = add(
        "install-service", "Print a unit for systemd that runs this server with the given settings.", "install_service:install_service"
    )
    service.add_argument("--write", action="store_true", help="Write it to /etc/systemd/system and start the service. Requires root.")
    service.add_argument("--user", help="User of the service. Default: a dynamic user created by systemd.")
    about = add("version", "Print the version.", "contents:version")
    about.add_argument("--all", action="store_true", help="Also print the version and the licence of each bundled component.")
    add("sbom", "Print the bill of materials (CycloneDX, JSON).", "contents:sbom")
    for name, text, command in (
        ("licences", "List the licences of the bundled components, or print one.", "contents:licences"),
        ("docs", "List the documentation pages, or print one.", "contents:docs"),
    ):
        add(name, text, command).add_argument("name", nargs="?", metavar="NAME")

    names = GROUPS if word not in commands.choices else ()
    for name in [word] if word in GROUPS else names:
        lazy_imports.load(f"z4j.cli.{GROUPS[name]}:add_commands")(add)
    return parser
