# SPDX-License-Identifier: AGPL-3.0-or-later
"""Lists that go on after a place: how a place stands in a URL."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request

from z4j.exceptions import BadInput
from z4j.store.fleet import queues, workers
from z4j.web.pages.tasks.filters import Filters

Position = TypeVar("Position", queues.Position, workers.Position)


def place_from(request: Request, kind: type[Position], what: str) -> Position | None:
    """`after` of the URL of a list of `what`; None at the beginning. Raises BadInput."""
    text = request.query_params.get("after", "")
    try:
        return kind(*msgspec.json.decode(text, type=tuple[str, str, str, str])) if text else None
    except (msgspec.MsgspecError, UnicodeError):
        raise BadInput(f"`after` is not a place in the list of {what}.", "Take the one that the page before names.") from None


def text_of(place: queues.Position | workers.Position) -> str:
    """A place as a URL holds it."""
    return msgspec.json.encode(tuple(place)).decode()


def page_href(path: str, scope: Filters, after: queues.Position | workers.Position) -> str:
    """The page of a list after a place."""
    href = scope.href(path)
    return f"{href}{'&' if '?' in href else '?'}{urlencode({'after': text_of(after)})}"
