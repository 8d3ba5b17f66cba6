# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j serve` and `z4j dev`."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import secrets
import shlex

from z4j import clock, files, lazy_imports
from z4j.cli.common.offline import offline
from z4j.cli.common.output import say
from z4j.cli.installation import backup
from z4j.exceptions import BadInput
from z4j.settings import Settings
from z4j.store.access import users
from z4j.store.sqlite import migrate as migrations
from z4j.store.sqlite.demo_mark import refuse_demo
from z4j.web.pages.settings.connection_strings import connect_app

LINK_US = 24 * 3_600_000_000


def serve(words: argparse.Namespace, settings: Settings) -> int:
    """Runs the server until it is stopped."""
    with lazy_imports.without_collections():
        from z4j import app  # every command imports this module, and only those that serve need a server

    return app.serve(settings)


def dev(words: argparse.Namespace, settings: Settings) -> int:
    """Creates an app, a connection string and a login link, prints them, and runs the server on loopback."""
    if not settings.is_loopback:
        raise BadInput(
            "`z4j dev` runs on loopback only. The server was not started.", "For other addresses, use `z4j serve` behind a proxy."
        )
    if settings.has_tls:
        raise BadInput("`z4j dev` serves loopback without TLS. The server was not started.", "Use `z4j serve` with TLS.")
    if os.environ.get("Z4J_BEHIND_PROXY"):
        settings = dataclasses.replace(settings, behind_proxy=False)
    refuse_demo(settings.database)
    if 0 < migrations.version(settings.database) < migrations.newest():  # as `serve` does, but before the database is written to
        backup.migrate(words, settings)
    asyncio.run(_prepare(words.app, settings))
    return serve(words, settings)


async def _prepare(name: str, settings: Settings) -> None:
    async with offline(settings) as parts:
        host = f"{settings.host}:{settings.port}"
        hashed = await parts.auth.hash_password(secrets.token_urlsafe(24))
        at = clock.now()

        def find_or_add(db: object) -> int:
            known = users.find_user(db, "developer")  # type: ignore[arg-type]
            return known.id if known else users.add_user(db, "developer", hashed, "admin", at)  # type: ignore[arg-type]

        user_id = await parts.store.write(find_or_add, durable=True)
        link = await parts.auth.make_link("login", user_id, LINK_US)
        keep = settings.data / "connection"
        if not keep.exists():
            made = await connect_app(parts.store, name, host, "z4j dev")
            await parts.record("create_token", f"app:{name}", token=made.token_id)
            files.create_whole(keep, made.url, mode=0o600)
        url = f"{keep.read_text().strip().rpartition('@')[0]}@{host}"
        if url != keep.read_text():  # another port than before
            files.write_whole(keep, url, mode=0o600)
        # The connection string holds the app's seal key, so it is in that file and nowhere else: output ends up in logs and histories.
        say(
            f'\nexport Z4J_URL="$(cat {shlex.quote(str(keep.resolve()))})"\n\nOne-time login link:  http://{host}/login?code={link}\n',
            flush=True,
        )
