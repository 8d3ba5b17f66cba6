# SPDX-License-Identifier: AGPL-3.0-or-later
"""The command line: one file per command, each a function that takes the parsed words and returns an exit code.

What is expected to go wrong is one sentence on stderr and the exit code of its exception, never a traceback.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import fields

from z4j import __version__, logs
from z4j.cli import audit, backup, doctor, operate, serve, token, user
from z4j.cli.output import say
from z4j.exceptions import Z4jError
from z4j.settings import Settings, default_text, flag, load

Command = Callable[[argparse.Namespace, Settings], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    words = _parser().parse_args(argv)
    try:
        settings = load(vars(words))
        logs.set_up(settings.log_level, is_json=settings.log_json)
        command: Command = words.command
        return command(words, settings)
    except Z4jError as error:
        say(f"z4j: {error.message}" + (f"\n     {error.hint}" if error.hint else ""), is_error=True)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def version(words: argparse.Namespace, settings: Settings) -> int:
    """Prints the version."""
    say(f"z4j {__version__}")
    return 0


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    for setting in fields(Settings):
        if isinstance(setting.default, bool):
            shared.add_argument(flag(setting.name), action="store_const", const=True, help=setting.metadata["help"])
        else:
            text = f"{setting.metadata['help']} Default: {default_text(setting)}".replace("%", "%%")
            action = "append" if isinstance(setting.default, tuple) else "store"
            shared.add_argument(flag(setting.name), action=action, metavar=setting.name.upper(), help=text)
    parser = argparse.ArgumentParser(prog="z4j", description="One control plane for Python task queues.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, text: str, command: Command | None = None, parent: object = commands) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = parent.add_parser(name, help=text, description=text, parents=[shared])  # type: ignore[attr-defined]
        if command is not None:
            made.set_defaults(command=command)
        return made

    add("serve", "Serve the pages and the gateway.", serve.serve)
    dev = add("dev", "Serve on loopback for one developer: makes an app, a connection string and a login link.", serve.dev)
    dev.add_argument("--app", default="dev", help="Name of the app. Default: dev")
    add("migrate", "Bring the database to this version's schema, with a snapshot before.", backup.migrate)
    copy = add("backup", "Write a consistent copy of the database while the server runs.", backup.backup)
    copy.add_argument("target", help="File to write; it must not exist.")
    add("doctor", "Check this installation and its data, with a remedy for each finding.", doctor.doctor)
    add("version", "Print the version.", version)

    token.add_commands(add)

    people = add("user", "People who may sign in.").add_subparsers(required=True, metavar="ACTION")
    new = add("add", "Add a person.", user.add, people)
    new.add_argument("name")
    new.add_argument("--role", default="viewer", help="viewer, auditor, operator or admin. Default: viewer")
    new.add_argument("--password-stdin", action="store_true", help="Read the password from standard input instead of asking.")
    add("list", "List people.", user.show, people)
    for name, text, command in (
        ("role", "Give a person another role.", user.set_role),
        ("password", "Give a person another password and sign them out everywhere.", user.set_password),
        ("disable", "Keep a person from signing in, now.", user.disable),
        ("enable", "Let a person sign in again.", user.enable),
        ("reset-totp", "Let a person who lost the phone sign in with the password alone.", user.reset_totp),
        ("link", "Print a link that signs a person in once.", user.link),
    ):
        made = add(name, text, command, people)
        made.add_argument("name")
        if name == "role":
            made.add_argument("role")
        if name == "password":
            made.add_argument("--password-stdin", action="store_true", help="Read the password from standard input.")

    operate.add_commands(add)

    _add_audit(add)
    return parser


def _add_audit(add: Callable[..., argparse.ArgumentParser]) -> None:
    checks = add("audit", "The audit log.").add_subparsers(required=True, metavar="ACTION")
    verify = add("verify", "Verify the integrity of the audit log.", audit.verify, checks)
    verify.add_argument("--head", metavar="ROW:DIGEST|FILE", help="A head kept elsewhere, or an agent's audit_head; the log must hold it.")
    add("key", "Print the public key that checkpoints are checked with.", audit.key, checks)
    out = add("export", "Write the log with its checkpoints as JSON lines, to be checked elsewhere.", audit.export, checks)
    known = add("acknowledge", "After a restored backup: record that newer rows are known to be lost.", audit.acknowledge, checks)
    known.add_argument("--reason", required=True, help="For the audit log.")
    out.add_argument("target", nargs="?", default="-", help="File to write; it must not exist. Default: standard output")
