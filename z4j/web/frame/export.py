# SPDX-License-Identifier: AGPL-3.0-or-later
"""Exports lists as .csv and .json, with the same rows and filters as on the page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from z4j.formats import iso

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters that a spreadsheet may read as a formula, including the full-width forms of = + - @."""
ROWS: Final = 1_000
"""Rows of a whole list that are read at a time."""
UNSEEN: Final = "".join(map(chr, range(0x21))) + "\xa0\ufeff\u200b\u200c\u200d\u2060\u3000"
"""Characters that some programs remove before they read the first one."""
QUOTED: Final = re.compile("[,;|\\s\"'=+@\uff1d\uff0b\uff0d\uff20]")
"""A cell with any of these is quoted; some of them separate cells where the comma is the decimal sign."""


def plain(row: Any) -> dict[str, Any]:
    """Returns a row for JSON: field names as in the code, times (`*_at`) in microseconds UTC, sets sorted."""
    assert is_dataclass(row)
    return {field.name: plain_value(getattr(row, field.name)) for field in fields(row)}


def plain_value(value: Any) -> Any:
    """Returns any value of a row for JSON."""
    if is_dataclass(value):
        return plain(value)
    if isinstance(value, msgspec.Struct):
        if value.__struct_config__.array_like:  # positions are for the wire; programs read names
            return {name: plain_value(getattr(value, name)) for name in value.__struct_fields__}
        return msgspec.to_builtins(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, (list, tuple)):
        return [plain_value(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain_value(item) for key, item in value.items()}
    return value


def to_json(body: Mapping[str, Any]) -> Response:
    """Returns the answer of a .json URL."""
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


def cell(name: str, value: Any) -> str:
    """Returns one value for a spreadsheet: never a formula, times as ISO 8601."""
    if value is None:
        return ""
    if name.endswith("_at") and isinstance(value, int):
        return iso(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    text = value if isinstance(value, str) else " ".join(sorted(map(str, value)))
    return f"'{text}" if text.startswith(FORMULA) or text.lstrip(UNSEEN).startswith(FORMULA) else text


def line(values: Iterable[str]) -> str:
    """Returns one line of CSV (RFC 4180)."""
    cells = [_quote(value) for value in values]
    return ('""' if cells == [""] else ",".join(cells)) + "\r\n"


def _quote(value: str) -> str:
    return '"' + value.replace('"', '""') + '"' if QUOTED.search(value) else value


async def to_csv(request: Request, name: str, columns: Sequence[str], rows: AsyncIterator[Any]) -> Response:
    """Returns the streamed answer of a .csv URL. `audit_trail` records it, like every export. Raises what reading the first row raises,
    such as BadInput: an answer that has begun could not become an error."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "no-store"}
    if request.method == "HEAD":
        return Response(None, media_type="text/csv; charset=utf-8", headers=headers)

    first = await anext(rows, None)

    async def lines() -> AsyncIterator[str]:
        yield line(columns)
        if first is not None:
            yield line(cell(column, getattr(first, column)) for column in columns)
        async for row in rows:
            yield line(cell(column, getattr(row, column)) for column in columns)

    return StreamingResponse(lines(), media_type="text/csv; charset=utf-8", headers=headers)


async def each(rows: Iterable[Any]) -> AsyncIterator[Any]:
    """Iterates a list in memory, for `to_csv`."""
    for row in rows:
        yield row


async def each_of_pages(
    read: Callable[[int, int], Awaitable[Sequence[Any]]], cursor: Callable[[Any], int], start: int
) -> AsyncIterator[Any]:
    """Iterates a whole list, for `to_csv`: `read(start, ROWS)`, then `read(cursor(last row), ROWS)`, until no rows are left."""
    while rows := await read(start, ROWS):
        for row in rows:
            yield row
        start = cursor(rows[-1])
