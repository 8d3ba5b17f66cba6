# SPDX-License-Identifier: AGPL-3.0-or-later
"""What an operation of the API is: one row of a table from which its route and its description are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import BadInput
from z4j.rules.access import Needed
from z4j.web.frame import export

MAX_BODY = 256 * 1024
PAGE: Final = 100
T = TypeVar("T")

LISTED: Final = (
    ("app", "Only this app's."), ("environment", "Only this environment's."), ("engine", "Only this engine's."),
    ("name", "Only those of this name."), ("after", "The place to go on with."),
)  # fmt: skip
"""Parameters of a list of queues or workers."""


@dataclass(frozen=True, slots=True)
class Operation:
    """`answer` and `body` are the types whose schemas the document shows; `query` names the parameters in the URL with a sentence each."""

    method: Literal["GET", "POST"]
    path: str
    endpoint: Callable[[Request], Awaitable[Response]]
    role: Needed
    summary: str
    answer: Any
    body: Any = None
    query: tuple[tuple[str, str], ...] = ()
    status: int = 200


async def read_body(request: Request, kind: type[T]) -> T:
    """The JSON body as `kind`. Raises BadInput with the place of the fault."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise BadInput(f"The body is larger than {MAX_BODY:,} bytes. Nothing was changed.")
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadInput(f"The body is not what this operation takes: {str(error)[:300]}. Nothing was changed.") from None


def answer(row: Any, status: int = 200) -> Response:
    """A dataclass, or a mapping of them, as JSON. Times are integer microseconds UTC."""
    body = export.plain(row) if not isinstance(row, dict) else {name: export.plain_value(value) for name, value in row.items()}
    response = export.to_json(body)
    response.status_code = status
    return response
