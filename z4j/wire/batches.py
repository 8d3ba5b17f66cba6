# SPDX-License-Identifier: AGPL-3.0-or-later
"""Decodes the bytes of a batch into checked records. Nothing here raises: invalid records are counted by their cause."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from z4j.wire import records
from z4j.wire.records import AnyRecord
from z4j_agent import wire

FUTURE_US: Final = 600_000_000
"""How far ahead of our clock an event may be: beyond it, its clock is wrong and would hold every page's top."""

_decode = msgspec.json.Decoder(AnyRecord).decode


def decode_records(payload: bytes, now: int, refused: dict[str, int]) -> Iterator[AnyRecord]:
    """Yields the valid records of a batch in order. The others are counted in `refused`, by cause.

    Causes: ``torn`` (bytes that are no complete record), ``oversize``, ``malformed`` (not a record, a wrong type, a lone surrogate),
    ``limits`` (a name, time or number out of bounds), ``server_only``, ``nul`` (a NUL in a name), ``future`` (more than ten minutes
    ahead of `now`).
    """
    limit = now + FUTURE_US
    # One search through the batch spares a look at every string of every record.
    may_hold_nul = b"\\u0000" in payload
    chunks = payload.split(wire.RECORD_START)
    if chunks[0]:
        _count(refused, "torn")
    for chunk in chunks[1:]:
        if not chunk.endswith(wire.RECORD_END):
            _count(refused, "torn")
            continue
        if len(chunk) > wire.MAX_RECORD:
            _count(refused, "oversize")
            continue
        try:
            record = _decode(chunk)
        except msgspec.ValidationError as error:
            _count(refused, _cause(chunk, str(error)))
            continue
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            _count(refused, "malformed")
            continue
        if record.at > limit:
            _count(refused, "future")
        elif may_hold_nul and _has_nul(record):
            _count(refused, "nul")
        else:
            yield record


def _count(refused: dict[str, int], cause: str) -> None:
    refused[cause] = refused.get(cause, 0) + 1


def _cause(chunk: bytes, message: str) -> str:
    if chunk.startswith((b'["due"', b'["alive"')):
        return "server_only"
    return "limits" if "`str` of length" in message or "Expected `int` " in message else "malformed"


def _has_nul(record: AnyRecord) -> bool:
    """True when a name holds a NUL. Display texts may: `event` makes it visible there."""
    if isinstance(record, records.TaskRecord):
        names: list[str | None] = [record.engine, record.task_id, record.run, record.name, record.queue]
        if isinstance(record, records.Payload):
            names.append(record.broker)
        facts = getattr(record, "meta", None)
        if facts is not None:
            names += [
                facts.parent_id,
                facts.root_id,
                facts.group_id,
                facts.retry_of,
                facts.code,
                facts.route,
                facts.worker,
                facts.label,
                *facts.depends_on,
            ]
    elif isinstance(record, records.Origin):
        fields = record.facts
        names = [record.boot, fields.host, fields.role, fields.worker, fields.app, fields.environment, fields.release]
    elif isinstance(record, records.CommandResult):
        names = [record.command_id, record.status]
    elif isinstance(record, records.Fired):
        names = [record.run, record.facts.scheduler, record.facts.schedule, record.facts.task_id, record.facts.error]
    elif isinstance(record, records.Gap):
        names = [record.key, record.facts.cause]
    else:
        names = [record.key]
    return any(name is not None and "\0" in name for name in names)
