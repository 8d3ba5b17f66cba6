# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j audit verify | key | export`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any, TextIO

from z4j import clock
from z4j.cli.offline import Offline, offline
from z4j.exceptions import BadInput
from z4j.rules.audit import Head
from z4j.settings import Settings
from z4j.store import audit, heads

BROKEN = 10
"""Exit code of a log that is not what was written."""
FORMAT = 1


def verify(words: argparse.Namespace, settings: Settings) -> int:
    """Says whether the log is whole, and prints its head, to be kept elsewhere."""
    known = _parse(words.head) if words.head else None

    async def run() -> int:
        async with offline(settings, creates=False) as parts:
            verdict = await parts.audit.verify(parts.store, known)
        if verdict.is_intact:
            print(f"{verdict.rows} rows and {verdict.heads} signed heads, all as they were written.")
            print(f"Head: {verdict.head.seq}:{verdict.digest.hex()}")
            return 0
        print(f"Broken at row {verdict.broken_at}: {verdict.why}.\nThe {verdict.rows} rows before it are as they were written.")
        return BROKEN

    return asyncio.run(run())


def key(words: argparse.Namespace, settings: Settings) -> int:
    """The public key that heads are checked with."""

    async def run() -> int:
        async with offline(settings, creates=False) as parts:
            print(parts.audit.signer.public_pem, end="")
        return 0

    return asyncio.run(run())


def export(words: argparse.Namespace, settings: Settings) -> int:
    """The whole log with its signed heads, as JSON lines; the export itself is its last row, so that it ends now."""

    async def run(file: TextIO) -> int:
        async with offline(settings, creates=False) as parts:
            await parts.record("export_audit", "appliance")
            await parts.audit.sign_head(parts.store, clock.now())
            count = 0
            async for line in _lines(parts):
                count += 1
                file.write(line + "\n")
            return count

    if words.target == "-":
        asyncio.run(run(sys.stdout))
        return 0
    try:
        fd = os.open(words.target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BadInput(f"{words.target} cannot be written: {error.strerror}. Nothing was exported.", "Choose a new file.") from error
    with os.fdopen(fd, "w") as file:
        count = asyncio.run(run(file))
    print(f"{words.target} holds {count} lines. Check it with examples/audit/verify.py and the key of `z4j audit key`.")
    return 0


async def _lines(parts: Offline) -> AsyncIterator[str]:
    """A line about the file, then every row, each signed head behind the row it covers."""
    signed = {head.seq: head for head in await heads.list_heads(parts.store)}
    yield _line("log", {"format": FORMAT, "key_id": parts.audit.signer.key_id, "public_key": parts.audit.signer.public_text})
    async for row in audit.walk(parts.store):
        yield _line("row", asdict(row))
        if (head := signed.get(row.seq)) is not None:
            yield _line("head", asdict(head))


def _line(kind: str, facts: dict[str, Any]) -> str:
    plain = {name: value.hex() if isinstance(value, bytes) else value for name, value in facts.items()}
    return json.dumps({"type": kind, **plain}, ensure_ascii=True)


def _parse(text: str) -> Head:
    seq, _, mark = text.partition(":")
    try:
        head = Head(int(seq), bytes.fromhex(mark))
        if head.seq < 1 or len(head.mark) != 32:
            raise ValueError(text)
        return head
    except ValueError as error:
        raise BadInput(f"{text!r} is no head.", "A head is printed by `z4j audit verify` as ROW:DIGEST.") from error
