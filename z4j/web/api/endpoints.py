# SPDX-License-Identifier: AGPL-3.0-or-later
"""The operations of the API: each is a row of a table, from which its route and its description are generated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import BadInput
from z4j.rules.permissions import Needed
from z4j.web.frame import export

MAX_BODY = 256 * 1024
PAGE: Final = 100
T = TypeVar("T")

LISTED: Final = (
    ("app", "Filter by app."), ("environment", "Only of this environment."), ("engine", "Only of this engine."),
    ("name", "Only with this name."), ("after", "Cursor of the next page."),
)  # fmt: skip
"""Parameters of a list of queues or workers."""


@dataclass(frozen=True, slots=True)
class Operation:
    """`answer` and `body` are the types of the document's schemas; `query` lists the parameters of the URL with a description each."""

    method: Literal["GET", "POST"]
    path: str
    endpoint: Callable[[Request], Awaitable[Response]]
    role: Needed
    summary: str
    answer: Any
    body: Any = None
    query: tuple[tuple[str, str], ...] = ()
    status: int = 200


class Saved(Struct):
    """The id of what was created or changed."""

    id: int


async def read_body(request: Request, kind: type[T]) -> T:
    """Parses the JSON body as `kind`. Raises BadInput with the position of the error."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise BadInput(f"The body is larger than {MAX_BODY:,} bytes. No changes were made.")
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadInput(f"The body is not valid for this operation: {str(error)[:300]}. No changes were made.") from None


def answer(row: Any, status: int = 200) -> Response:
    """Returns a dataclass, or a mapping of them, as JSON. Times are integer microseconds UTC."""
    body = export.plain(row) if not isinstance(row, dict) else {name: export.plain_value(value) for name, value in row.items()}
    response = export.to_json(body)
    response.status_code = status
    return response
