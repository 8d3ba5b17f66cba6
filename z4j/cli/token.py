# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j token create | list | revoke`."""

from __future__ import annotations

import argparse
import asyncio

from z4j import clock
from z4j.appliance.server_address import address_of
from z4j.cli.common.client import Add
from z4j.cli.common.offline import offline
from z4j.cli.common.output import print_table, say, when
from z4j.cli.common.secret import read_secret
from z4j.exceptions import NotFound
from z4j.settings import Settings
from z4j.store.access import tokens
from z4j.web.pages.settings.connection_strings import connect_app, make_api_token, make_index_token


def add_commands(add: Add) -> None:
    """Adds `z4j token` and its actions."""
    tokens = add("token", "Manage connection strings of apps and API tokens.").add_subparsers(required=True, metavar="ACTION")
    made = add("create", "Create a connection string for an app, or an API token.", create, tokens)
    kind = made.add_mutually_exclusive_group(required=True)
    kind.add_argument("--app", help="App to create a connection string for. Created if it does not exist.")
    kind.add_argument(
        "--packages", action="store_true", help="Create a token that reads the packages of this appliance (/simple/) and nothing else."
    )
    kind.add_argument("--api", metavar="LABEL", help="Create an API token with this label instead.")
    made.add_argument("--role", default="viewer", help="Role of the API token; metrics reads /metrics and nothing else. Default: viewer")
    made.add_argument(
        "--owner", metavar="NAME", help="User who owns the API token; it is revoked when the user is disabled. Default: no owner."
    )
    made.add_argument("--days", type=int, help="Days until it expires. Default: never")
    made.add_argument("--hours", type=int, default=24, help="Hours until a token for packages expires. Default: 24")
    made.add_argument(
        "--seal-from", metavar="FILE",
        help="File with an existing connection string of the app, to reuse its seal key, or - for standard input. Default: Z4J_SEAL_FROM",
    )  # fmt: skip
    add("list", "List tokens without their secrets.", show, tokens)
    stop = add("revoke", "Revoke a token.", revoke, tokens)
    stop.add_argument("id", type=int)


def create(words: argparse.Namespace, settings: Settings) -> int:
    """Prints the secret once."""
    return asyncio.run(_create(words, settings))


async def _create(words: argparse.Namespace, settings: Settings) -> int:
    async with offline(settings) as parts:
        if words.api:
            token_id, token = await make_api_token(parts.store, words.api, words.role, words.days, "command line", words.owner or "")
            await parts.record("create_token", f"api:{words.api}", token=token_id, role=words.role)
            say(token)
            return 0
        if words.packages:
            token_id, token = await make_index_token(parts.store, "packages", words.hours, "command line")
            await parts.record("create_token", "packages", token=token_id, hours=words.hours)
            say(token)
            return 0
        server = address_of(words, settings)
        seal_from = read_secret(words.seal_from, "--seal-from", "Z4J_SEAL_FROM")
        made = await connect_app(
            parts.store, words.app, server.netloc, "command line", seal_from=seal_from, is_tls=server.tls is not None,
            pins=server.tls.pins if server.tls else (),
        )  # fmt: skip
        await parts.record("create_token", f"app:{made.app}", token=made.token_id)
        say(f"Z4J_URL='{made.url}'")
        for note in server.notes:
            say(f"# {note}")
        if not made.has_seal_key:
            say(
                "# This app already has a seal key. The server does not store it. Append '.<key>' of an existing connection string\n"
                "# to the token, or create the token again with --seal-from FILE. Without the key, tasks with secrets cannot be retried."
            )
        return 0


def show(words: argparse.Namespace, settings: Settings) -> int:
    """Lists tokens."""
    return asyncio.run(_show(settings))


async def _show(settings: Settings) -> int:
    async with offline(settings, creates=False) as parts:
        rows = [
            (str(row.id), row.kind, row.app or row.label, row.hint + "…", row.role or "-", row.owner or "-", when(row.created_at),
             when(row.used_at),
             "revoked" if row.revoked_at else when(row.expires_at) if row.expires_at else "active")
            for row in await tokens.list_tokens(parts.store)
        ]  # fmt: skip
        print_table(("id", "kind", "for", "prefix", "role", "owner", "created", "last used", "state"), rows)
        return 0


def revoke(words: argparse.Namespace, settings: Settings) -> int:
    """Stops a token."""
    return asyncio.run(_revoke(words.id, settings))


async def _revoke(token_id: int, settings: Settings) -> int:
    async with offline(settings, creates=False) as parts:
        at = clock.now()
        done = await parts.store.write(lambda db: tokens.revoke_token(db, token_id, at), durable=True)
        if done is None:
            raise NotFound(f"No active token {token_id}. No changes were made.", "List tokens with `z4j token list`.")
        await parts.record("revoke_token", f"{done[0]}:{done[1]}", token=token_id)
        say(f"Token {token_id} revoked. A running server closes its connections within a second.")
        return 0
