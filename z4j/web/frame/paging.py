# SPDX-License-Identifier: AGPL-3.0-or-later
"""Positions in lists: how the `after` and the `before` of a URL are encoded."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request

from z4j.exceptions import BadInput
from z4j.store.fleet import queues, workers
from z4j.store.operations.commands import NEWEST
from z4j.store.tasks import task_search
from z4j.web.pages.tasks.filters import Filters

Position = TypeVar("Position", queues.Position, workers.Position)


def position_from(request: Request, kind: type[Position], what: str) -> Position | None:
    """Returns the position in `after` of the URL of a list of `what`; None at the beginning. Raises BadInput."""
    text = request.query_params.get("after", "")
    try:
        return kind(*msgspec.json.decode(text, type=tuple[str, str, str, str])) if text else None
    except (msgspec.MsgspecError, UnicodeError):
        raise BadInput(
            f"`after` is not a valid position in the list of {what}.", "Use the value of `after` in the response of the previous page."
        ) from None


def moment_from(request: Request, parameter: str) -> tuple[int, int] | None:
    """Returns the (time, ID) in a parameter of the URL of a list that is sorted by time; None at the beginning. Raises BadInput."""
    text = request.query_params.get(parameter, "")
    return task_search.position(text) if text else None


def text_of(position: queues.Position | workers.Position) -> str:
    """Encodes a position for a URL."""
    return msgspec.json.encode(tuple(position)).decode()


def page_href(path: str, scope: Filters, after: queues.Position | workers.Position) -> str:
    """Returns the URL of the page of a list after a position."""
    href = scope.href(path)
    return f"{href}{'&' if '?' in href else '?'}{urlencode({'after': text_of(after)})}"


def before_of(request: Request) -> int:
    """Returns where the previous page ended. Raises BadInput."""
    text = request.query_params.get("before", "")
    if not text:
        return NEWEST
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise BadInput("This page of the list does not exist.", "Open the list from its first page.")
    return min(int(text), NEWEST)
