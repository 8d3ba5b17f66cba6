# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j audit verify`."""

from __future__ import annotations

import argparse
import asyncio

from z4j.cli.offline import offline
from z4j.exceptions import BadInput
from z4j.rules.audit import Head
from z4j.settings import Settings

BROKEN = 10
"""Exit code of a log that is not what was written."""


def verify(words: argparse.Namespace, settings: Settings) -> int:
    """Says whether the log is whole, and prints its head, to be kept elsewhere."""
    known = _parse(words.head) if words.head else None

    async def run() -> int:
        async with offline(settings, creates=False) as parts:
            verdict = await parts.audit.verify(parts.store, known)
        if verdict.is_intact:
            print(f"{verdict.rows} rows, all as they were written.\nHead: {verdict.head.seq}:{verdict.head.mac.hex()}")
            return 0
        print(f"Broken at row {verdict.broken_at}: {verdict.why}.\nThe {verdict.rows} rows before it are as they were written.")
        return BROKEN

    return asyncio.run(run())


def _parse(text: str) -> Head:
    seq, _, mac = text.partition(":")
    try:
        return Head(int(seq), bytes.fromhex(mac))
    except ValueError as error:
        raise BadInput(f"{text!r} is no head.", "A head is printed by `z4j audit verify` as SEQ:MAC.") from error
