# SPDX-License-Identifier: Apache-2.0
"""Which queues are paused, for engines that cannot pause a queue: a file in the spool folder, shared by every process of the app
and environment on this host, so that a pause applies to children, to workers that start later, and while the server is unreachable.

A pause is of a queue in one broker: two queues of one name in two brokers are two queues. A pause that names no broker (of an older
server, or where the engine cannot distinguish its brokers) is of that name in every broker that has no entry of its own.

A check costs one `stat` while something is paused, and one for each file of an older release while nothing is.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from z4j_agent import lifecycle
from z4j_agent.commands.permissions import is_permitted
from z4j_agent.runtime.native_threads import SLEEP, ticks
from z4j_agent.settings import DEFAULT_ENVIRONMENT
from z4j_agent.spool.file_lock import change_lock
from z4j_agent.spool.shared_file import SharedJson
from z4j_agent.wire import digest_of

MAX_ENTRIES = 1_000
END = b"\n"
"""Ends a list of one environment. Those of releases without environments do not end so."""
Switch = Callable[[bool], object]
"""Starts (True) or stops taking tasks from the queue in this process's workers, if the engine can do that."""
States = dict[tuple[str, str], bool]
"""(queue, broker) → whether it is paused. The broker is "" in an entry for all brokers that have none of their own."""
_by_folder: dict[tuple[str, Path | None, str], PausedQueues] = {}
"""Engine, spool folder and environment → what is paused there. An agent that is stopped and started may have another folder."""
_NONE: States = {}
CHECK_EVERY_S = 0.1
"""Seconds for which a `PauseCheck` uses what it has read last."""


class PausedQueues:
    """`folder` is the spool's, which environments may share; None without a folder; then the list is in memory, for this process alone.
    Reading never raises and may be done in any thread; while the file cannot be read, nothing counts as paused."""

    def __init__(self, folder: Path | None, engine: str, environment: str = DEFAULT_ENVIRONMENT) -> None:
        self._folder = folder
        name = engine if environment == DEFAULT_ENVIRONMENT else f"{engine}-{digest_of(environment)}"
        self._file = SharedJson(None if folder is None else folder / f"{name}.pauses", _states_of, _listed)
        self._older = [] if folder is None else [folder / f"{older}.paused" for older in dict.fromkeys((name, engine))]
        """Where older releases keep names of queues without their brokers: those of this environment, and, of releases without
        environments, those of all (now that of the default environment). Read until there is a file in today's form, so that what was
        paused stays so through the upgrade; never written, so that an older process beside this one keeps its own."""
        decoders: tuple[Callable[[bytes], Any], ...] = (
            json.loads,
            _decoded_shared,
        )  # the second path is the file that all environments shared
        older = (SharedJson(path, _named, decode=decode) for path, decode in zip(self._older, decoders, strict=False))
        self._files = [self._file, *older]

    def is_empty(self) -> bool:
        """Whether nothing is paused. Then the broker's identity is not needed."""
        return not self._read()

    def is_paused(self, queue: str, broker: str = "") -> bool:
        """Whether workers must not take tasks from this queue of this broker (an identity, see `broker`; "" if it is unknown)."""
        states = self._read()
        return states.get((queue, broker), states.get((queue, ""), False))

    def queues(self, broker: str = "") -> frozenset[str]:
        """Returns all paused queues of one broker, as stored in the file now."""
        states = self._read()
        return frozenset(queue for queue, _ in states if states.get((queue, broker), states.get((queue, ""), False)))

    def names(self) -> frozenset[str]:
        """Returns the queues that are paused in any broker."""
        return frozenset(queue for (queue, _), is_paused in self._read().items() if is_paused)

    def pause(self, queue: str, broker: str = "") -> None:
        """Pauses a queue in one broker, or in all if none is named. Raises OSError if the file cannot be written, or its content is
        unknown. May wait for another process (`change_lock`)."""
        with self._changing():
            states = {key: is_paused for key, is_paused in self._known().items() if broker or key[0] != queue}
            self._put(states | {(queue, broker): True})

    def resume(self, queue: str, broker: str = "") -> None:
        """Resumes a queue. In one broker it may be resumed while a pause without a broker applies to the others. Raises OSError if the file
        cannot be written, or its content is unknown. May wait for another process (`change_lock`)."""
        with self._changing():
            states = {key: is_paused for key, is_paused in self._known().items() if key != (queue, broker) and (broker or key[0] != queue)}
            self._put(states | ({(queue, broker): False} if states.get((queue, "")) else {}))

    def _changing(self) -> contextlib.AbstractContextManager[None]:
        """Locks the folder, so that no change of another process is lost."""
        return contextlib.nullcontext() if self._folder is None else change_lock(self._folder)

    def _read(self) -> States:
        """Empty while the file cannot be read: workers continue."""
        return self._states_and_error()[0]

    def _known(self) -> States:
        """The states to which a change is applied. Raises OSError if they are unknown: a write would end every other pause."""
        states, error = self._states_and_error()
        if error is not None:
            raise OSError(
                f"the list of paused queues cannot be read ({error}). No changes were made. Delete the file to start with an empty list."
            )
        return states

    def _states_and_error(self) -> tuple[States, Exception | None]:
        """The paused queues, and the error if they are unknown."""
        for file in self._files:
            if (states := file.read()) is not None:
                return states, None
            if file.error is not None:
                return _NONE, file.error
        return _NONE, None

    def _put(self, states: States) -> None:
        if not states and not any(path.exists() for path in self._older):
            self._file.remove()
        else:
            self._file.replace(states)


def _states_of(content: Any) -> States:
    """Entries of another form are left out. Raises TypeError if it is not a list."""
    if not isinstance(content, list):
        raise TypeError("no list")
    entries = (each for each in content[:MAX_ENTRIES] if isinstance(each, list) and len(each) == 3)
    return {(str(queue), str(broker)): bool(is_paused) for queue, broker, is_paused in entries}


def _listed(states: States) -> list[list[Any]]:
    return [[*key, is_paused] for key, is_paused in sorted(states.items())]


def _named(content: Any) -> States:
    """Reads a file of an older release, which has names only."""
    return _states_of([[name, "", True] for name in content] if isinstance(content, list) else content)


def _decoded_shared(text: bytes) -> Any:
    """Reads the file that older releases shared between all environments; [] if it belongs to the default environment."""
    return [] if text.endswith(END) else json.loads(text)


def paused_queues_of(engine: str) -> PausedQueues:
    """Returns those of the spool folder and environment of this process's agent. While there is no agent, or its owner does not permit
    pauses, the list is in memory, for this process alone."""
    agent = lifecycle.current()
    is_shared = agent is not None and is_permitted(agent.settings, "pause_queue")
    folder = agent.shipper.folder if agent is not None and is_shared else None
    environment = agent.settings.environment if agent is not None else DEFAULT_ENVIRONMENT
    key = (engine, folder, environment)
    if key not in _by_folder:
        _by_folder[key] = PausedQueues(folder, engine, environment)
    return _by_folder[key]


def is_paused(engine: str, queue: str, identify: Callable[[], str]) -> bool:
    """Whether workers must not take tasks from that queue of that broker. `identify` returns the broker's identity, which takes time; it is
    not called while nothing is paused. Raises only the exceptions of `identify`."""
    paused_queues = paused_queues_of(engine)
    return not paused_queues.is_empty() and paused_queues.is_paused(queue, identify())


_pauses = 0
"""Pauses that this process has stored."""


class EmptyCheck:
    """Whether nothing at all is paused, for a worker that takes from several queues; as old as that of a `PauseCheck` at most."""

    __slots__ = ("_engine", "_pauses", "_until")

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._until = 0.0
        self._pauses = -1

    def __call__(self) -> bool:
        now, pauses = ticks(), _pauses
        if self._pauses == pauses and now < self._until:
            return True
        if not paused_queues_of(self._engine).is_empty():
            return False
        self._until, self._pauses = now + CHECK_EVERY_S, pauses
        return True


class PauseCheck:
    """`is_paused` for a worker that checks before every task: that nothing is paused is read at most every CHECK_EVERY_S, because two or
    three `stat` are a tenth of a short task. A pause that this process stores applies at once, any other one after that time at most."""

    __slots__ = ("_engine", "_identify", "_pauses", "_queue", "_until")

    def __init__(self, engine: str, queue: str, identify: Callable[[], str]) -> None:
        self._engine, self._queue, self._identify = engine, queue, identify
        self._until = 0.0
        self._pauses = -1

    def __call__(self) -> bool:
        now, pauses = ticks(), _pauses
        if self._pauses == pauses and now < self._until:
            return False
        if is_paused(self._engine, self._queue, self._identify):
            return True
        self._until, self._pauses = now + CHECK_EVERY_S, pauses
        return False


def wait_for_checks() -> None:
    """Returns when the `PauseCheck` and `EmptyCheck` of every process of this host have read what was stored before: after CHECK_EVERY_S
    seconds."""
    SLEEP(CHECK_EVERY_S)


def pause(engine: str, queue: str, broker: str, set_live: Switch = bool) -> None:
    """Pauses a queue in one broker, or in every broker if none is named, then calls `set_live(False)`. Raises OSError if the pause cannot
    be stored; then `set_live` is not called."""
    global _pauses
    paused_queues_of(engine).pause(queue, broker)
    _pauses += 1
    set_live(False)


def resume(engine: str, queue: str, broker: str, set_live: Switch = bool, own: str = "") -> None:
    """Resumes a queue, and calls `set_live(True)` unless another pause still applies to `own`, the broker of this process's workers. Raises
    OSError if the change cannot be stored; then `set_live` is not called."""
    paused_queues = paused_queues_of(engine)
    paused_queues.resume(queue, broker)
    if not paused_queues.is_paused(queue, own):
        set_live(True)


def reapply_pause(engine: str, queue: str, identify: Callable[[], str], set_live: Switch) -> None:
    """Applies stored pauses to a worker that has just started."""
    if is_paused(engine, queue, identify):
        set_live(False)
