# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j user add | list | role | password | disable | enable | reset-totp | link`."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable

from z4j import clock
from z4j.appliance.server_address import address_of
from z4j.cli.common.client import Add
from z4j.cli.common.offline import Offline, ask_password, offline
from z4j.cli.common.output import print_table, say, when
from z4j.exceptions import BadInput, NotFound, WrongState
from z4j.rules.permissions import ROLES
from z4j.settings import Settings
from z4j.store.access import sessions, totp, users
from z4j.store.access.users import UserRow
from z4j.store.sqlite.db import Connection
from z4j.web.auth.authentication import check_name, check_password


def add_commands(add_command: Add) -> None:
    """Adds `z4j user` and its actions."""
    people = add_command("user", "Manage users.").add_subparsers(required=True, metavar="ACTION")
    new = add_command("add", "Create a user.", add, people)
    new.add_argument("name")
    new.add_argument("--role", default="viewer", help="viewer, auditor, operator or admin. Default: viewer")
    new.add_argument("--password-stdin", action="store_true", help="Read the password from standard input instead of prompting.")
    add_command("list", "List users.", show, people)
    for name, text, command in (
        ("role", "Change a user's role.", set_role),
        ("password", "Change a user's password and sign the user out everywhere.", set_password),
        ("disable", "Disable a user, end the user's sessions and revoke the user's API tokens.", disable),
        ("enable", "Enable a disabled user.", enable),
        ("reset-totp", "Remove the second factor of a user. Only the password is then required to sign in.", reset_totp),
        ("link", "Print a one-time login link for a user.", link),
    ):
        made = add_command(name, text, command, people)
        made.add_argument("name")
        if name == "role":
            made.add_argument("role")
        if name == "password":
            made.add_argument("--password-stdin", action="store_true", help="Read the password from standard input.")


def _check_role(role: str) -> str:
    if role not in ROLES:
        raise BadInput(f"Unknown role {role!r}. No changes were made.", f"Roles are {', '.join(ROLES)}.")
    return role


def add(words: argparse.Namespace, settings: Settings) -> int:
    """Creates a user."""
    role, name = _check_role(words.role), check_name(words.name)
    password = check_password(ask_password(is_from_stdin=words.password_stdin))

    async def run() -> int:
        async with offline(settings) as parts:
            hashed = await parts.auth.hash_password(password)
            at = clock.now()
            await parts.store.write(lambda db: users.add_user(db, name, hashed, role, at), durable=True)
            await parts.record("add_user", f"user:{name}", role=role)
            say(f"User {name} created with the role {role}.")
            return 0

    return asyncio.run(run())


def show(words: argparse.Namespace, settings: Settings) -> int:
    """Lists users."""

    async def run() -> int:
        async with offline(settings, creates=False) as parts:
            rows = [
                (row.name, row.role, when(row.created_at), when(row.disabled_at) if row.disabled_at else "active")
                for row in await users.list_users(parts.store)
            ]
            print_table(("name", "role", "created", "state"), rows)
            return 0

    return asyncio.run(run())


def _change(settings: Settings, name: str, action: str, change: Callable[[Connection, UserRow], str]) -> int:
    """One change to one person, audited. `change` returns what to print."""

    async def run() -> int:
        async with offline(settings, creates=False) as parts:
            sentence = await parts.store.write(lambda db: change(db, _find(db, name)), durable=True)
            await parts.record(action, f"user:{name}")
            say(sentence)
            return 0

    return asyncio.run(run())


def _find(db: Connection, name: str) -> UserRow:
    row = users.find_user(db, name)
    if row is None:
        raise NotFound(f"No user {name}. No changes were made.", "List users with `z4j user list`.")
    return row


def _keep_an_admin(db: Connection, user: UserRow) -> None:
    if user.role == "admin" and user.disabled_at is None and users.count_admins(db) == 1:
        raise WrongState(f"{user.name} is the only administrator. No changes were made.", "Create another administrator first.")


def set_role(words: argparse.Namespace, settings: Settings) -> int:
    """Changes the role of a user."""
    role = _check_role(words.role)

    def change(db: Connection, user: UserRow) -> str:
        if role != "admin":
            _keep_an_admin(db, user)
        users.set_role(db, user.id, role)
        return f"User {user.name} now has the role {role}."

    return _change(settings, words.name, "set_role", change)


def set_password(words: argparse.Namespace, settings: Settings) -> int:
    """Changes the password of a user and ends the user's sessions."""
    password = check_password(ask_password(is_from_stdin=words.password_stdin))

    async def run() -> int:
        async with offline(settings, creates=False) as parts:
            hashed = await parts.auth.hash_password(password)

            def change(db: Connection) -> None:
                user = _find(db, words.name)
                users.set_password(db, user.id, hashed)
                sessions.end_sessions_of(db, user.id)

            await parts.store.write(change, durable=True)
            await parts.record("set_password", f"user:{words.name}")
            say(f"Password of {words.name} changed. The user is signed out everywhere.")
            return 0

    return asyncio.run(run())


def disable(words: argparse.Namespace, settings: Settings) -> int:
    """Disables a user."""
    at = clock.now()

    def change(db: Connection, user: UserRow) -> str:
        _keep_an_admin(db, user)
        users.set_disabled(db, user.id, at)
        return f"User {user.name} disabled. All sessions are ended and all API tokens are revoked."

    return _change(settings, words.name, "disable_user", change)


def enable(words: argparse.Namespace, settings: Settings) -> int:
    """Enables a user."""

    def change(db: Connection, user: UserRow) -> str:
        users.set_disabled(db, user.id, None)
        return f"User {user.name} enabled."

    return _change(settings, words.name, "enable_user", change)


def reset_totp(words: argparse.Namespace, settings: Settings) -> int:
    """Removes the second factor of a user who lost the phone and the recovery codes."""

    def change(db: Connection, user: UserRow) -> str:
        if not totp.delete_totp(db, user.id):
            raise WrongState(f"{user.name} has no second factor. No changes were made.")
        return f"Second factor of {user.name} removed. The user signs in with the password alone and can set up a second factor again."

    return _change(settings, words.name, "reset_totp", change)


def link(words: argparse.Namespace, settings: Settings) -> int:
    """Prints a one-time login link, valid for 24 hours."""

    async def run() -> int:
        async with offline(settings, creates=False) as parts:
            return await _link(parts, words, settings)

    return asyncio.run(run())


async def _link(parts: Offline, words: argparse.Namespace, settings: Settings) -> int:
    name = words.name
    user = await parts.store.write(lambda db: _find(db, name))
    server = address_of(words, settings)
    secret = await parts.auth.make_link("login", user.id, 24 * 3_600_000_000)
    await parts.record("make_login_link", f"user:{name}")
    say(f"{server.public_url}/login?code={secret}")
    for note in server.notes:
        say(note, is_error=True)
    return 0
