# SPDX-License-Identifier: Apache-2.0
"""Which queues are paused, for engines that cannot pause by themselves: a file in the spool folder, shared by every process of the app
and environment on this host, so that it holds for children, for workers that start later, and while the server is away.

Asking costs one `stat`, and nothing more while nothing is paused; a second one outside of the default environment.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import z4j_agent
from z4j_agent.authority import is_permitted
from z4j_agent.settings import DEFAULT_ENVIRONMENT
from z4j_agent.wire import digest_of

MAX_HELD = 1_000
END = b"\n"
"""Ends a list of one environment. Those of releases that knew no environments do not end so."""
_own: dict[str, Holds] = {}


class Holds:
    """`folder` is the spool's, which environments may share; None where there is none, then this process alone knows."""

    def __init__(self, folder: Path | None, engine: str, environment: str = DEFAULT_ENVIRONMENT) -> None:
        name = engine if environment == DEFAULT_ENVIRONMENT else f"{engine}-{digest_of(environment)}"
        self._path = None if folder is None else folder / f"{name}.paused"
        self._older = None if folder is None or name == engine else folder / f"{engine}.paused"
        """Where releases that knew no environments kept the pauses of all; now that of the default environment. Read until this environment
        has a file of its own, so that what was paused stays so through the upgrade."""
        self._stamp: tuple[int, int, int] = (0, 0, 0)
        self._queues: frozenset[str] = frozenset()

    def is_held(self, queue: str) -> bool:
        """Whether nothing shall be taken from this queue."""
        return queue in self.queues()

    def queues(self) -> frozenset[str]:
        """All that are paused, as they stand in the file now."""
        if self._path is None:
            return self._queues
        path, facts = self._path, _facts_of(self._path)
        if facts is None and self._older is not None:
            path, facts = self._older, _facts_of(self._older)
        if facts is None:  # no such file: nothing is paused
            self._stamp, self._queues = (0, 0, 0), frozenset()
            return self._queues
        stamp = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
        if stamp != self._stamp:
            with contextlib.suppress(OSError, ValueError):  # being replaced at this moment: asked again the next time
                text = path.read_bytes()
                found = json.loads(text)
                if path == self._older and text.endswith(END):
                    found = []  # the default environment's alone
                if isinstance(found, list):
                    self._queues, self._stamp = frozenset(str(name) for name in found[:MAX_HELD]), stamp
        return self._queues

    def hold(self, queue: str) -> None:
        """Raises OSError when it cannot be written."""
        self._put(self.queues() | {queue})

    def release(self, queue: str) -> None:
        """Raises OSError when it cannot be written."""
        self._put(self.queues() - {queue})

    def _put(self, queues: frozenset[str]) -> None:
        self._queues = queues
        if self._path is None:
            return
        if not queues and not (self._older is not None and self._older.exists()):
            self._path.unlink(missing_ok=True)
            return
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(json.dumps(sorted(queues)).encode() + END)
        fresh.replace(self._path)


def _facts_of(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def own_holds(engine: str) -> Holds:
    """Those of this process's spool folder; while it has no agent, of this process alone."""
    if engine not in _own:
        agent = z4j_agent.current()
        is_shared = agent is not None and is_permitted(agent.settings, "pause_queue")  # what was paused before the owner denied it, goes on
        folder = agent.shipper.folder if agent is not None and is_shared else None
        _own[engine] = Holds(folder, engine, agent.settings.environment if agent is not None else DEFAULT_ENVIRONMENT)
    return _own[engine]
