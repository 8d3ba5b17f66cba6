# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sends messages to a target of any kind. Blocks, so it runs in a thread."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from z4j.exceptions import BadInput
from z4j.operations.alerts.sender_supervisor import NotDelivered, ask_process, check_address
from z4j.operations.forwarding import sockets_and_files
from z4j.rules.forwarding import syslog
from z4j.rules.forwarding.events import Outgoing
from z4j.rules.forwarding.target import TargetRequest, place_of
from z4j.store.forwarding.targets import Address
from z4j.text import clean


class Result(NamedTuple):
    """How many of the messages surely arrived, in order; why no more, and the status of an HTTP answer (0: none)."""

    sent: int
    why: str = ""
    status: int = 0


def send(address: Address, messages: Sequence[Outgoing], folder: Path) -> Result:
    """Sends messages in order. Raises nothing that a target can cause."""
    if address.kind == "webhook":
        return _post(address, messages)
    try:
        place = place_of(address.kind, address.url)
    except BadInput as error:  # an imported target whose address was not entered yet
        return Result(0, error.message)
    if address.kind == "json":
        frames = [each.text.encode("ascii") + b"\n" for each in messages]
    else:
        host, pid = socket.gethostname(), os.getpid()
        frames = [syslog.message(each, host, pid) for each in messages]
        if place.transport != "udp":
            frames = [syslog.counted(frame) for frame in frames]
    try:
        sockets_and_files.send(place, frames, address.ca, folder)
    except sockets_and_files.NotSent as error:
        return Result(0, clean(str(error)))
    return Result(len(messages))


def shown_address(request: TargetRequest) -> str:
    """Returns the address as pages show it, without secrets. Raises BadInput if nothing can be sent to it."""
    if request.kind == "webhook":
        return check_address("webhook", request.url)
    place = place_of(request.kind, request.url)
    if request.ca:
        if place.transport != "tls":
            raise BadInput("Only tls:// addresses are verified with a CA. No changes were made.")
        sockets_and_files.check_ca(request.ca)
    return str(place)


def _post(address: Address, messages: Sequence[Outgoing]) -> Result:
    listed = [{"id": each.id, "json": each.text} for each in messages]
    try:
        answer = ask_process({"action": "send_many", "kind": "webhook", "url": address.url, "key": address.key, "messages": listed})
    except NotDelivered as error:
        return Result(0, clean(str(error)))
    return Result(int(answer["sent"]), clean(answer["why"]), int(answer["status"]))
