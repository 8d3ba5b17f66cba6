# SPDX-License-Identifier: Apache-2.0
"""Which queues are paused, for engines that cannot pause by themselves: a file in the spool folder, shared by every process of the app
and environment on this host, so that it holds for children, for workers that start later, and while the server is away.

A pause is of a queue in one broker: two queues of one name in two brokers are two queues. A pause that names no broker (of an older
server, or where the engine cannot tell its brokers) is of that name in every broker that has no entry of its own.

Asking costs one `stat` while something is paused, and one for each file of an older release while nothing is.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import z4j_agent
from z4j_agent.authority import is_permitted
from z4j_agent.settings import DEFAULT_ENVIRONMENT
from z4j_agent.wire import digest_of

MAX_HELD = 1_000
END = b"\n"
"""Ends a list of one environment. Those of releases that knew no environments do not end so."""
_own: dict[str, Holds] = {}
_NONE: dict[tuple[str, str], bool] = {}


class Holds:
    """`folder` is the spool's, which environments may share; None where there is none, then this process alone knows."""

    def __init__(self, folder: Path | None, engine: str, environment: str = DEFAULT_ENVIRONMENT) -> None:
        name = engine if environment == DEFAULT_ENVIRONMENT else f"{engine}-{digest_of(environment)}"
        self._path = None if folder is None else folder / f"{name}.pauses"
        self._older = [] if folder is None else [folder / f"{older}.paused" for older in dict.fromkeys((name, engine))]
        """Where older releases keep names of queues without their brokers: those of this environment, and, of releases that knew no
        environments, those of all (now that of the default environment). Read until there is a file in today's form, so that what was
        paused stays so through the upgrade; never written, so that an older process beside this one keeps its own."""
        self._shared = None if name == engine else self._older[-1] if self._older else None
        self._stamp: tuple[str, int, int, int] | None = None
        self._states: dict[tuple[str, str], bool] = _NONE
        """(queue, broker) → whether it is paused. The broker is "" in an entry for all brokers that have none of their own."""

    def is_empty(self) -> bool:
        """Whether nothing is paused at all: then it need not be found out which broker is meant."""
        return not self._read()

    def is_held(self, queue: str, broker: str = "") -> bool:
        """Whether workers must not take tasks from this queue of this broker (an identity, see `broker`; "" where it is not known)."""
        states = self._read()
        return states.get((queue, broker), states.get((queue, ""), False))

    def queues(self, broker: str = "") -> frozenset[str]:
        """All of one broker that are paused, as they stand in the file now."""
        states = self._read()
        return frozenset(queue for queue, _ in states if states.get((queue, broker), states.get((queue, ""), False)))

    def names(self) -> frozenset[str]:
        """The queues that are paused in any broker."""
        return frozenset(queue for (queue, _), is_paused in self._read().items() if is_paused)

    def hold(self, queue: str, broker: str = "") -> None:
        """Of one broker, or of all where none is named. Raises OSError when it cannot be written."""
        states = {key: is_paused for key, is_paused in self._read().items() if broker or key[0] != queue}
        self._put(states | {(queue, broker): True})

    def release(self, queue: str, broker: str = "") -> None:
        """The reverse. One broker's queue may go on while a pause that names no broker keeps the others. Raises OSError when it cannot
        be written."""
        states = {key: is_paused for key, is_paused in self._read().items() if key != (queue, broker) and (broker or key[0] != queue)}
        self._put(states | ({(queue, broker): False} if states.get((queue, "")) else {}))

    def _read(self) -> dict[tuple[str, str], bool]:
        if self._path is None:
            return self._states
        for path in (self._path, *self._older):
            if (facts := _facts_of(path)) is not None:
                stamp = (path.name, facts.st_mtime_ns, facts.st_size, facts.st_ino)
                if stamp != self._stamp:
                    with contextlib.suppress(OSError, ValueError):  # being replaced at this moment: asked again the next time
                        self._states, self._stamp = self._parsed(path, path.read_bytes()), stamp
                return self._states
        self._stamp, self._states = None, _NONE  # no such file: nothing is paused
        return _NONE

    def _parsed(self, path: Path, text: bytes) -> dict[tuple[str, str], bool]:
        """Raises ValueError for what is no list as JSON. Entries of another form are left out."""
        found: Any = json.loads(text)
        if not isinstance(found, list):
            raise ValueError("no list")
        if path != self._path:  # names alone
            is_elsewhere = path == self._shared and text.endswith(END)  # the default environment's alone
            return _NONE if is_elsewhere else {(str(name), ""): True for name in found[:MAX_HELD]}
        entries = (each for each in found[:MAX_HELD] if isinstance(each, list) and len(each) == 3)
        return {(str(queue), str(broker)): bool(is_paused) for queue, broker, is_paused in entries}

    def _put(self, states: dict[tuple[str, str], bool]) -> None:
        self._states, self._stamp = states, None
        if self._path is None:
            return
        if not states and not any(path.exists() for path in self._older):
            self._path.unlink(missing_ok=True)
            return
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(json.dumps([[*key, is_paused] for key, is_paused in sorted(states.items())]).encode() + END)
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
