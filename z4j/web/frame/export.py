# SPDX-License-Identifier: AGPL-3.0-or-later
"""Lists as .csv and .json: the same rows as on the page, by the same filters."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from z4j.web.frame.formats import iso

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet may take for the beginning of a formula, the full-width forms of = + - @ too."""
UNSEEN: Final = "".join(map(chr, range(0x21))) + "\xa0\ufeff\u200b\u200c\u200d\u2060\u3000"
"""What some programs drop before they look at the first character."""
QUOTED: Final = re.compile("[,;|\\s\"'=+@\uff1d\uff0b\uff0d\uff20]")
"""A cell with any of these stands in quotes, also those that separate cells where the comma is the decimal sign."""


def plain(row: Any) -> dict[str, Any]:
    """A row as JSON holds it: field names as in the code, times (`*_at`) in microseconds UTC, sets sorted."""
    assert is_dataclass(row)
    return {of.name: plain_value(getattr(row, of.name)) for of in fields(row)}


def plain_value(value: Any) -> Any:
    """Any value of a row as JSON holds it."""
    if is_dataclass(value):
        return plain(value)
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, (list, tuple)):
        return [plain_value(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain_value(item) for key, item in value.items()}
    return value


def to_json(body: Mapping[str, Any]) -> Response:
    """The answer of a .json URL."""
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


def cell(name: str, value: Any) -> str:
    """One value as a spreadsheet may open it: never a formula, times as ISO 8601."""
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
    """One line of CSV (RFC 4180)."""
    cells = [_quote(value) for value in values]
    return ('""' if cells == [""] else ",".join(cells)) + "\r\n"


def _quote(value: str) -> str:
    return '"' + value.replace('"', '""') + '"' if QUOTED.search(value) else value


async def to_csv(request: Request, name: str, columns: Sequence[str], rows: AsyncIterator[Any]) -> Response:
    """The answer of a .csv URL, streamed. `audit_trail` records it, like every export."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "no-store"}
    if request.method == "HEAD":
        return Response(None, media_type="text/csv; charset=utf-8", headers=headers)

    async def lines() -> AsyncIterator[str]:
        yield line(columns)
        async for row in rows:
            yield line(cell(column, getattr(row, column)) for column in columns)

    return StreamingResponse(lines(), media_type="text/csv; charset=utf-8", headers=headers)


async def each(rows: Iterable[Any]) -> AsyncIterator[Any]:
    """A list that is in memory already, for `to_csv`."""
    for row in rows:
        yield row
