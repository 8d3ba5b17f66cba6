# SPDX-License-Identifier: AGPL-3.0-or-later
"""The log of messages, by channel, with their delivery status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import BadInput
from z4j.store.alerts import messages
from z4j.store.alerts.messages import PAGE, Message
from z4j.web.frame.render import Shell, render
from z4j.web.frame.shell import make_shell
from z4j.web.services import services

STATES: Final = {"delivered": "done", "withdrawn": "cancelled", "given up": "failed"}


@dataclass(frozen=True, slots=True)
class MessageLine:
    """A message with its delivery status."""

    message: Message
    state: str
    word: str


@dataclass(frozen=True, slots=True)
class MessagesPage:
    """The context of alerts/messages.html."""

    shell: Shell
    tab: str
    lines: tuple[MessageLine, ...]
    older_href: str


async def page(request: Request) -> Response:
    """GET /alerts/messages."""
    rows = await messages.list_messages(services(request).store, _before(request.query_params.get("before", "")))
    shell = await make_shell(request, "alerts")
    older = f"/alerts/messages?before={rows[-1].created_at}-{rows[-1].id}" if len(rows) == PAGE else ""
    return render(request, "alerts/messages.html", MessagesPage(shell, "messages", tuple(map(line_of, rows)), older))


def line_of(message: Message) -> MessageLine:
    """Returns a message as a row."""
    if message.outcome:
        return MessageLine(message, STATES.get(message.outcome, "unknown"), message.outcome)
    return MessageLine(message, "retrying" if message.attempts else "waiting", "retrying" if message.attempts else "waiting")


def _before(text: str) -> tuple[int, str] | None:
    if not text:
        return None
    at, dash, id = text.partition("-")
    if not dash or not (at.isascii() and at.isdecimal() and len(at) < 19) or len(id) > 40:
        raise BadInput("`before` is not a valid position in the list of messages.")
    return int(at), id
