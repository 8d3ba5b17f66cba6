# SPDX-License-Identifier: AGPL-3.0-or-later
"""Starts the process that sends one message (`webhooks_and_apprise`), and kills it if it hangs. Blocks, so it runs in a thread."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

from z4j.exceptions import BadInput
from z4j.operations.alerts import webhooks_and_apprise
from z4j.rules.alerts import message as rules
from z4j.store.alerts.channels import Address, ChannelKind
from z4j.text import clean

LONGEST_S: Final = 60.0
"""Time limit for one message. Mail servers may respond slowly, and Apprise needs a second to start."""
WORD: Final = "send-message"
"""The first word of the executable's command line that starts this process: see z4j.py."""
TYPES: Final = {"resolved": "success", "test": "info", "alive": "info"}


class NotDelivered(Exception):
    """The message was not delivered. The text is the reason, without secrets of the address."""


def send(address: Address, message: Mapping[str, Any]) -> None:
    """Sends a message of `rules.alerts.message.delivered`. Raises NotDelivered."""
    default = "failure" if message.get("severity") == "critical" else "warning"
    why = ask_process(
        {
            "action": "send", "kind": address.kind, "url": address.url, "key": address.key, "id": message["id"],
            "json": json.dumps(message, ensure_ascii=False), "title": message["title"], "text": rules.text(message),
            "type": TYPES.get(message["kind"], default),
        }
    )["why"]  # fmt: skip
    if why:
        raise NotDelivered(clean(why))


def check_address(kind: ChannelKind, url: str) -> str:
    """Returns the address without its secrets, as pages show it. Raises BadInput if no message can be sent to it."""
    try:
        answer = ask_process({"action": "check", "kind": kind, "url": url})
    except NotDelivered as error:
        raise BadInput(f"The address could not be checked: {error} No changes were made.") from error
    if answer["why"]:
        raise BadInput(
            f"{answer['why']} No changes were made.",
            "Use an Apprise URL, such as mailto://user:password@example.org or slack://… (https://github.com/caronc/apprise), or a "
            "webhook.",
        )
    return clean(answer["shown"])


def ask_process(request: Mapping[str, Any]) -> dict[str, str]:
    """Returns the answer of the process to a request, see `webhooks_and_apprise.run`. Raises NotDelivered."""
    try:
        done = subprocess.run(  # noqa: S603 -- this program again
            _program(), input=json.dumps(request), capture_output=True, text=True, timeout=LONGEST_S, check=True
        )  # fmt: skip
        answer: dict[str, str] = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise NotDelivered(f"Sending took longer than {LONGEST_S:g} seconds.") from error
    except (subprocess.CalledProcessError, OSError, ValueError) as error:  # not its text: it may contain the address
        raise NotDelivered(f"The process that sends messages failed: {type(error).__name__}.") from error
    return answer


def _program() -> list[str]:
    if getattr(sys, "frozen", False):
        return [sys.executable, WORD]
    return [sys.executable, "-m", webhooks_and_apprise.__name__]
