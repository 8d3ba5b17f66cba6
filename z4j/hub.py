# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who is connected now. Sockets register here, dispatch finds them here; nothing is persisted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False, slots=True)
class AgentLink:
    """One connected agent. `send` queues a text frame and never waits."""

    app_id: int
    boot: str
    spool: str
    role: str
    worker: str
    allow: str
    denied: frozenset[str]
    seal_key: str
    is_secure: bool
    """TLS or loopback: commands are refused over anything else."""
    send: Callable[[dict[str, Any]], None]
    close: Callable[[int, str], None]
    capabilities: dict[tuple[str, str], str] = field(default_factory=dict)
    """(engine, action) → scope."""


class Hub:
    """Agents by app and boot."""

    def __init__(self) -> None:
        self._links: dict[tuple[int, str], AgentLink] = {}

    def connect(self, link: AgentLink) -> AgentLink | None:
        """Registers a link. Returns the one it replaces: the same process has come back before its old socket was noticed dead."""
        replaced = self._links.get((link.app_id, link.boot))
        self._links[link.app_id, link.boot] = link
        return replaced

    def disconnect(self, link: AgentLink) -> bool:
        """False when a newer link of the same process has taken its place already."""
        if self._links.get((link.app_id, link.boot)) is not link:
            return False
        del self._links[link.app_id, link.boot]
        return True

    def of_app(self, app_id: int) -> Iterator[AgentLink]:
        return (link for (app, _), link in self._links.items() if app == app_id)

    def all(self) -> list[AgentLink]:
        return list(self._links.values())

    def able(self, app_id: int, engine: str, action: str) -> list[AgentLink]:
        """Agents that declared the action for the engine, whatever their owner allows; workers first."""
        found = [link for link in self.of_app(app_id) if (engine, action) in link.capabilities]
        return sorted(found, key=lambda link: link.role != "worker")
