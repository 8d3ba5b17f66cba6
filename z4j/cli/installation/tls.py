# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j tls show | rotate | switch`: the server's own key and certificate."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from z4j import clock
from z4j.appliance.server_address import configured_tls, read_address
from z4j.cli.common.client import Add
from z4j.cli.common.offline import offline
from z4j.cli.common.output import print_table, say, when
from z4j.exceptions import WrongState
from z4j.settings import Settings
from z4j.store.fleet import agents
from z4j.store.fleet.agents import UnpinnedProcess
from z4j.store.sqlite.db import Store


def add_commands(add: Add) -> None:
    """Adds `z4j tls` and its actions."""
    actions = add("tls", "Show the server's certificate, and replace its own key.").add_subparsers(required=True, metavar="ACTION")
    add("show", "Print names, expiry, fingerprint and pins of the certificate.", show, actions)
    add(
        "rotate", "Create the next key of `--tls auto`. New connection strings contain both pins; the current key stays in use.", rotate,
        actions,
    )  # fmt: skip
    switch_to = add("switch", "Use the next key, once every application is configured with its pin.", switch, actions)
    switch_to.add_argument(
        "--force", action="store_true", help="Switch even if applications lack the pin. These applications can no longer connect."
    )


def show(words: argparse.Namespace, settings: Settings) -> int:
    """Prints the certificate."""
    from z4j.listener import certificates

    serving = read_address(settings.data)
    tls = configured_tls(settings) or (serving.tls if serving else None)
    if tls is None:
        raise WrongState(
            "No server of this data folder has used TLS. No changes were made.", "Start one with `z4j serve --tls auto`, or add --tls auto."
        )
    found, following = certificates.read(Path(tls.certificate)), certificates.next_pin(settings.data)
    lines = {
        "file": tls.certificate, "names": ", ".join(found.names), "valid until": when(found.expires_at),
        "issued by": "self-signed" if found.is_self_signed else "a CA", "fingerprint (SHA-256)": found.fingerprint, "pin": found.pin,
        "pin of the next key": following or "no rotation in progress",
    }  # fmt: skip
    for name, text in lines.items():
        say(f"{name:<22} {text}")
    return 0


def rotate(words: argparse.Namespace, settings: Settings) -> int:
    """Begins a rotation, or prints how far it is."""
    return asyncio.run(_rotate(settings))


async def _rotate(settings: Settings) -> int:
    from z4j.listener import certificates

    if not certificates.server_file(settings.data).exists():
        raise WrongState("This data folder has no key of its own. No changes were made.", "`z4j serve --tls auto` creates it.")
    async with offline(settings, creates=False) as parts:
        is_new = not certificates.next_pin(settings.data)
        pin = certificates.begin_rotation(settings.data)
        if is_new:
            await parts.record("rotate_tls_key", "tls", pin=pin)
        lacking = await _lacking(parts.store, pin)
    present = certificates.read(certificates.server_file(settings.data)).pin
    say(
        f"{'The next key was created.' if is_new else 'A rotation is already in progress.'} The current key stays in use.\n\n"
        f"Replace the pin at the end of every connection string by both pins, and restart the applications:\n\n    pin={present},{pin}\n"
    )
    _print_lacking(lacking)
    say("When none is left, use the next key with `z4j tls switch`." if lacking else "Use the next key with `z4j tls switch`.")
    return 0


def switch(words: argparse.Namespace, settings: Settings) -> int:
    """Ends a rotation."""
    return asyncio.run(_switch(settings, is_forced=words.force))


async def _switch(settings: Settings, *, is_forced: bool) -> int:
    from z4j.listener import certificates

    pin = certificates.next_pin(settings.data)
    if not pin:
        raise WrongState("No key rotation is in progress. No changes were made.", "Begin one with `z4j tls rotate`.")
    async with offline(settings, creates=False) as parts:
        lacking = await _lacking(parts.store, pin)
        if lacking and not is_forced:
            _print_lacking(lacking)
            raise WrongState(
                f"{len(lacking)} processes are not configured with the pin of the next key and could not connect. No changes were made.",
                "Set both pins in their connection strings and restart them, or use --force to disconnect them.",
            )
        present = certificates.read(certificates.server_file(settings.data)).names  # also of `serve --name`
        made = certificates.finish_rotation(settings.data, certificates.own_names((*settings.tls_name, *present)), clock.now())
        await parts.record("switch_tls_key", "tls", pin=pin, cut_off=len(lacking))
    if lacking:
        say(
            "These processes cannot connect until their connection string has the new pin. "
            "Their events stay in their spool folders until then:\n"
        )
        _print_lacking(lacking)
    say(f"The next key is in use. A running server uses it within seconds. Open connections are not closed.\nPin: {made.pin}")
    return 0


async def _lacking(store: Store, pin: str) -> list[UnpinnedProcess]:
    return await agents.list_without_pin(store, pin, since=clock.now() - agents.MAY_RETURN_US)


def _print_lacking(lacking: list[UnpinnedProcess]) -> None:
    if not lacking:
        say("Every process of the last seven days is configured with the pin of the next key.")
        return
    rows = []
    for each in lacking:
        has_pin = "no" if each.reports else f"not reported by {each.agent_version}"
        state = "connected" if each.left_at is None else f"left, seen {when(each.seen_at)}"
        rows.append((each.app, each.environment, each.host, str(each.pid), each.worker, has_pin, state))
    print_table(("app", "environment", "host", "process", "worker", "has the pin", "state"), rows)
