# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j audit verify | key | export | acknowledge`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from z4j import clock, files
from z4j.cli.common.client import Add
from z4j.cli.common.offline import Offline, offline
from z4j.cli.common.output import say
from z4j.exceptions import BadInput
from z4j.rules.audit.checkpoints import Checkpoint
from z4j.rules.audit.entries import Head
from z4j.rules.audit.verification import Verdict
from z4j.settings import Settings
from z4j.store.access import audit_checkpoints, audit_restores, audit_verify
from z4j.text import JsonObject

BROKEN = 10
"""Exit code for a log whose verification failed."""
FORMAT = 3


def add_commands(add: Add) -> None:
    """Adds `z4j audit` and its actions."""
    checks = add("audit", "Verify and export the audit log.").add_subparsers(required=True, metavar="ACTION")
    made = add("verify", "Verify the integrity of the audit log.", verify, checks)
    made.add_argument(
        "--head",
        metavar="ROW:DIGEST|FILE",
        help="An audit head (ROW:DIGEST) that was stored elsewhere, or the audit_head file of an agent. The log must contain this row.",
    )
    add("key", "Print the public key for verifying checkpoints.", key, checks)
    out = add("export", "Write the log with its checkpoints as JSON lines, for verification on another machine.", export, checks)
    known = add("acknowledge", "Record that newer rows were lost by restoring a backup.", acknowledge, checks)
    known.add_argument("--reason", required=True, help="Reason to record in the audit log.")
    out.add_argument("target", nargs="?", default="-", help="File to write; it must not exist. Default: standard output")


def verify(words: argparse.Namespace, settings: Settings) -> int:
    """Verifies the log against its checkpoints and all remembered heads, and prints its head, to be stored elsewhere."""
    known = _parse(words.head) if words.head else None

    async def run() -> Verdict:
        async with offline(settings, creates=False) as parts:
            return await parts.audit.verify(parts.store, known)

    verdict = asyncio.run(run())
    if not verdict.is_intact:
        say(f"Broken at row {verdict.broken_at}: {verdict.why}.\nThe {verdict.rows} rows before it are intact.")
        return BROKEN
    say(f"{verdict.rows} rows and {verdict.heads} checkpoints verified: the log is intact.")
    for row in verdict.restores:
        say(f"Row {row} records a restored backup. The abandoned rows are listed in the database and signed in this row.")
    if verdict.copied_at:
        say(f"The last row records a backup at {_time(verdict.copied_at)}: this database is that copy, or no action was recorded since.")
    if verdict.covered < verdict.rows:
        say(f"No checkpoint covers the last {verdict.rows - verdict.covered} rows yet. A running server signs one within a second.")
    say(f"Head: {verdict.head.seq}:{verdict.digest.hex()}")
    return 0


def key(words: argparse.Namespace, settings: Settings) -> int:
    """Prints the public key for verifying checkpoints."""

    async def run() -> int:
        async with offline(settings, creates=False) as parts:
            say(parts.audit.signer.public_pem, end="")
        return 0

    return asyncio.run(run())


def acknowledge(words: argparse.Namespace, settings: Settings) -> int:
    """Moves the remembered heads of missing rows to another file after a backup was restored, and records that in the log."""

    async def run() -> int:
        async with offline(settings, creates=False) as parts:
            lost = await audit_verify.list_missing(parts.store, parts.audit.memory)
            if not lost:
                say("The log contains every recorded row. No changes were made.")
                return 0
            newest = max(lost, key=lambda head: head.seq)
            name, digest = parts.audit.memory.set_aside(lost, clock.now())
            await parts.record(
                "acknowledge_audit_loss", "appliance", reason=words.reason, heads=len(lost), newest_row=newest.seq,
                mark=newest.mark.hex(), file=name, sha256=digest,
            )  # fmt: skip
        say(f"Acknowledged: {len(lost)} recorded rows, up to row {newest.seq}, are missing from this log.")
        say(f"The evidence is in {settings.data / name}.")
        return 0

    return asyncio.run(run())


def export(words: argparse.Namespace, settings: Settings) -> int:
    """Writes the whole log with its checkpoints as JSON lines. The export itself is recorded as the last row."""

    async def run(file: TextIO) -> int:
        async with offline(settings, creates=False) as parts:
            await parts.record("export_audit", "appliance")
            point = await parts.audit.sign_head(parts.store, clock.now())
            if parts.audit.alarm is not None:
                say(f"The audit log failed verification: {parts.audit.alarm.why}. The export contains the evidence.", is_error=True)
            count = 0
            async for line in _lines(parts, point.seq if point and parts.audit.alarm is None else None):
                count += 1
                file.write(line + "\n")
            return count

    if words.target == "-":
        asyncio.run(run(sys.stdout))
        return 0
    try:
        with files.creating(Path(words.target)) as file:
            count = asyncio.run(run(file))
    except OSError as error:
        why = error.strerror or error
        raise BadInput(f"{words.target} could not be written: {why}. Nothing was exported.", "Choose a new file.") from error
    say(f"{count} lines were written to {words.target}. Verify it with examples/audit/verify.py and the key from `z4j audit key`.")
    return 0


async def _lines(parts: Offline, until: int | None) -> AsyncIterator[str]:
    """A line about the file, what is remembered outside the database, then every row up to `until`, each checkpoint after the row it
    covers."""
    await asyncio.to_thread(parts.audit.memory.flush)
    remembered = parts.audit.memory.remembered()
    points: dict[int, list[Checkpoint]] = {}
    for point in await audit_checkpoints.list_checkpoints(parts.store):
        points.setdefault(point.seq, []).append(point)
    yield _line("log", {"format": FORMAT, "key_id": parts.audit.signer.key_id, "public_key": parts.audit.signer.public_text})
    for head in remembered.heads:
        if until is None or head.seq <= until or head.source != "audit.head":
            yield _line("remembered", asdict(head))
    for restored_by, marks in (await audit_restores.list_abandoned(parts.store)).items():
        for seq, mark in sorted(marks):
            yield _line("abandoned", {"restored_by": restored_by, "seq": seq, "mark": mark})
    async for row in audit_verify.walk(parts.store):
        if until is not None and row.seq > until:
            break
        yield _line("row", asdict(row))
        for point in points.pop(row.seq, ()):
            yield _line("head", asdict(point))
    for seq in sorted(points):
        for point in points[seq]:
            if until is None or point.seq <= until:
                yield _line("head", asdict(point))


def _line(kind: str, facts: JsonObject) -> str:
    plain = {name: value.hex() if isinstance(value, bytes) else value for name, value in facts.items()}
    return json.dumps({"type": kind, **plain}, ensure_ascii=True)


def _parse(text: str) -> Head:
    """ROW:DIGEST, or the file `audit_head` of an agent's spool folder."""
    try:
        if Path(text).is_file():
            facts = json.loads(Path(text).read_text())
            text = f"{facts['seq']}:{facts['digest']}"
        seq, _, mark = text.partition(":")
        head = Head(int(seq), bytes.fromhex(mark), 0, "--head")
        if head.seq < 1 or len(head.mark) != 32:
            raise ValueError(text)
        return head
    except (ValueError, KeyError, TypeError) as error:
        hint = "`z4j audit verify` prints a head as ROW:DIGEST. An agent stores one in the file audit_head of its spool folder."
        raise BadInput(f"{text!r} is not a valid head.", hint) from error


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
