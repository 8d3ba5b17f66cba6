# SPDX-License-Identifier: AGPL-3.0-or-later
"""Templates of links from the page of a task to other tools, such as `https://tracing.example/trace/{trace_id}`. Pure.

Placeholders are allowed only after the host, and what replaces them is percent-encoded: what a task reports cannot lead to another host.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

from z4j.exceptions import BadInput

PLACEHOLDERS: Final = ("trace_id", "sentry_event_id", "task_id", "name", "queue", "worker", "release", "environment", "app")
NOTE: Final = "note."
"""Begins the placeholder of an annotation: {note.order}."""
MAX_NAME: Final = 60
MAX_URL: Final = 1_000
MAX_LINKS: Final = 20
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_NOTE_NAME: Final = re.compile(r"[\w.-]{1,50}")
_PLAIN: Final = re.compile(r"[!-~]+")


class LinkTemplate(NamedTuple):
    """A link by its name. `id` is 0 before it is stored."""

    id: int
    name: str
    url: str


def checked(name: str, url: str) -> LinkTemplate:
    """Returns the template. Raises BadInput that says what is wrong."""
    name, url = name.strip(), url.strip()
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise BadInput(f"A link needs a name of 1 to {MAX_NAME} printable characters. No changes were made.")
    if not 0 < len(url) <= MAX_URL or not _PLAIN.fullmatch(url):
        raise BadInput(f"The URL must have 1 to {MAX_URL} characters, without spaces. No changes were made.")
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port  # raises ValueError if it is not a number
    except ValueError as error:
        raise BadInput("This is not a valid URL. No changes were made.", "Use https://tracing.example/trace/{trace_id}.") from error
    if parts.scheme not in ("https", "http") or not host:
        raise BadInput("The URL must begin with https:// or http:// and a host. No changes were made.")
    if "{" in parts.netloc or "@" in parts.netloc or "\\" in url:
        raise BadInput("The host must be written out, without placeholders and without a user name. No changes were made.")
    found = _PLACEHOLDER.findall(url)
    if "{" in _PLACEHOLDER.sub("", url) or "}" in _PLACEHOLDER.sub("", url):
        raise BadInput("A brace of a placeholder is not closed. No changes were made.")
    for placeholder in found:
        if placeholder not in PLACEHOLDERS and not (placeholder.startswith(NOTE) and _NOTE_NAME.fullmatch(placeholder[len(NOTE) :])):
            raise BadInput(
                f"Unknown placeholder {{{placeholder[:40]}}}. No changes were made.",
                f"Use {', '.join(f'{{{known}}}' for known in PLACEHOLDERS)}, or {{note.order}} for an annotation.",
            )
    if not found:
        raise BadInput("The URL has no placeholder. No changes were made.", "Use https://tracing.example/trace/{trace_id}.")
    return LinkTemplate(0, name, url)


def fill(url: str, values: Mapping[str, str]) -> str:
    """Returns the URL with its placeholders replaced; "" where a task does not have one of the values."""
    if any(not values.get(name) for name in _PLACEHOLDER.findall(url)):
        return ""
    return _PLACEHOLDER.sub(lambda match: quote(values[match[1]], safe=""), url)
