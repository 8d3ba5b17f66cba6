# SPDX-License-Identifier: AGPL-3.0-or-later
"""Targets: where rows go, which rows, and what an address may be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

from z4j.exceptions import BadInput

TargetKind = Literal["webhook", "syslog", "json"]
Transport = Literal["udp", "tcp", "tls", "file"]
KINDS: Final[tuple[TargetKind, ...]] = ("webhook", "syslog", "json")
TRANSPORTS: Final[dict[str, tuple[Transport, ...]]] = {"syslog": ("udp", "tcp", "tls"), "json": ("tcp", "tls", "file")}
PORTS: Final = {"udp": 514, "tcp": 601, "tls": 6514}
NAME: Final = 60
ADDRESS: Final = 2_000
CA: Final = 64_000
PATTERNS: Final = 50
_FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
_PATTERN: Final = re.compile(r"[a-z0-9_*]{1,60}")
_FAR: Final = "Use an address such as {}. No changes were made."
_EXAMPLES: Final = {"syslog": "tls://logs.example:6514, tcp://… or udp://…", "json": "tls://logs.example:5000, tcp://… or file:audit"}


class Place(NamedTuple):
    """Where a stream goes: a host with a port, or the name of a file."""

    transport: Transport
    host: str
    port: int

    def __str__(self) -> str:
        if self.transport == "file":
            return f"file:{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class TargetRequest:
    """A requested target. `ca` is a CA's certificate (PEM) that a TLS target is verified with, "": those of the system."""

    name: str
    kind: TargetKind
    url: str = ""
    key: str = ""
    ca: str = ""
    has_audit: bool = True
    has_alerts: bool = False
    actions: tuple[str, ...] = ()


def kind_of(text: str) -> TargetKind:
    """Returns a text as a kind. Raises BadInput."""
    for kind in KINDS:
        if kind == text:
            return kind
    raise BadInput("Unknown kind of target. No changes were made.", f"Use one of {', '.join(KINDS)}.")


def place_of(kind: str, url: str) -> Place:
    """Returns where syslog or JSON lines go. Raises BadInput."""
    wrong = BadInput(f"{url[:100]!r} is not a valid address for {kind}.", _FAR.format(_EXAMPLES[kind]))
    if kind == "json" and url.startswith("file:"):
        name = url.removeprefix("file:").strip("/")
        if not _FILE.fullmatch(name):
            raise BadInput(f"{name[:100]!r} is not a valid file name: use letters, digits, - and _.", _FAR.format("file:audit"))
        return Place("file", name, 0)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise wrong from None
    scheme = parts.scheme
    if scheme not in TRANSPORTS[kind] or scheme == "file" or not parts.hostname or not url.isprintable() or " " in url:
        raise wrong
    if parts.username or parts.password or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise wrong
    return Place(scheme, parts.hostname, port or PORTS[scheme])


def patterns_of(text: str) -> tuple[str, ...]:
    """Returns the patterns of actions in a text that separates them by blanks or commas. Raises BadInput."""
    found = tuple(dict.fromkeys(part for part in re.split(r"[\s,]+", text.strip()) if part))
    if len(found) > PATTERNS:
        raise BadInput(f"A target can have at most {PATTERNS} action patterns. No changes were made.")
    for pattern in found:
        if not _PATTERN.fullmatch(pattern):
            raise BadInput(
                f"{pattern[:60]!r} is not a valid action pattern. No changes were made.",
                "Use names of actions, such as sign_in or delete_*.",
            )
    return found


def is_forwarded(actions: Sequence[str], action: str) -> bool:
    """Whether an action of the audit log is forwarded: without patterns each is."""
    return not actions or any(fnmatchcase(action, pattern) for pattern in actions)


def check_target(request: TargetRequest) -> None:
    """Raises BadInput for what no target can be; the address of a webhook is checked elsewhere."""
    if not request.name.strip() or len(request.name) > NAME or not request.name.isprintable():
        raise BadInput(f"A target needs a name of at most {NAME} printable characters. No changes were made.")
    if request.kind not in KINDS or max(len(request.url), len(request.key)) > ADDRESS or len(request.ca) > CA:
        raise BadInput("The address of the target is not valid. No changes were made.")
    if not request.has_audit and not request.has_alerts:
        raise BadInput("Nothing would be forwarded. No changes were made.", "Choose the audit log, alerts, or both.")
    if request.ca and "-----BEGIN CERTIFICATE-----" not in request.ca:
        raise BadInput("The CA is not a certificate in PEM form. No changes were made.")
    patterns_of(" ".join(request.actions))
