# SPDX-License-Identifier: Apache-2.0
"""The application's own tasks and queues, and the Redis of each queue. Sends no request to a broker.

RQ registers nothing, so a task is known if it is decorated with `@job`, if the application has enqueued or run it itself, or if it was
offered with `install(functions=…)`. A queue is known if this process's workers take from it, if the application has enqueued to it, or
if a `@job` names it. Jobs that a command of the server has enqueued do not count.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType
from typing import Any, Final

from rq.queue import Queue

import z4j_agent
from z4j_agent.capture.broker import identify_pool
from z4j_agent.capture.guard import let_through
from z4j_agent.runtime.agent_log import log
from z4j_rq.messages import function_of

MOST_NAMES: Final = 5_000
MOST_QUEUES: Final = 1_000
"""Maximum number of names, so that an application with generated names does not fill the memory; the oldest is removed."""
QueueKey = tuple[str, str]
"""(broker's identity, name of a queue)."""


class Known:
    """Tasks and queues that this process has seen."""

    def __init__(self, workers: Callable[[], Iterable[Any]]) -> None:
        self._workers = workers
        self.names: dict[str, str] = {}
        """Names of tasks, and the queue on which each was last seen."""
        self._met: dict[QueueKey, Queue] = {}
        self._offered: set[str] = set()
        self._identities: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._first: weakref.ref[Any] | None = None
        self.fingerprints: dict[str, str] = {}
        """Fingerprints of the Redis servers by identity; read in the agent's thread (`queues`)."""

    # -- recording---------------------------------------------------------------------------------------------------
    def meet_name(self, name: str, queue: str) -> None:
        """Records that the application has enqueued or run a task."""
        if name and self.names.get(name) != queue:
            _put(self.names, name, queue, MOST_NAMES)

    def meet_queue(self, queue: Queue) -> None:
        """Records that the application has enqueued to a queue."""
        key = (self.identity_of(queue.connection), queue.name)
        if self._met.get(key) is not queue:
            _put(self._met, key, queue, MOST_QUEUES)

    def offer(self, functions: Iterable[Any]) -> None:
        """Adds functions, or "module.function", that operators may run. A function that cannot be imported by name is left out, with a
        line in the agent's log."""
        for function in functions:
            name = function if isinstance(function, str) else _import_name(function)
            if name:
                self._offered.add(name.replace(":", "."))
            else:
                log.warning("operators cannot run %r: it is not a function of a module, so RQ cannot import it by name", function)

    # -- tasks ---------------------------------------------------------------------------------------------------------
    def knows_task(self, name: str) -> bool:
        return name in self.names or name in self._offered or is_decorated(name)

    def tasks(self) -> dict[str, str]:
        """Returns every known name and its queue, "" if unknown."""
        return dict(decorated()) | dict.fromkeys(self._offered, "") | {name: queue for name, queue in list(self.names.items()) if name}

    # -- queues and their brokers------------------------------------------------------------------------------------
    def queues(self, broker: str = "") -> dict[QueueKey, Queue]:
        """Returns the queues from which this process's workers take, then those to which it has enqueued; of one broker or of all."""
        queues: dict[QueueKey, Queue] = {}
        for worker in self._workers():
            for queue in worker.queues:
                queues.setdefault((self.identity_of(queue.connection), queue.name), queue)
        for key, queue in list(self._met.items()):
            queues.setdefault(key, queue)
        return {key: queue for key, queue in queues.items() if broker in ("", key[0])}

    def knows_queue(self, name: str, broker: str = "") -> bool:
        return any(key[1] == name for key in self.queues(broker)) or name in _decorated_queues()

    def brokers(self) -> dict[str, str]:
        """{identity: fingerprint} of the brokers, that of the workers first."""
        return {key[0]: self.fingerprints.get(key[0], "") for key in self.queues()}

    def identity_of(self, connection: Any) -> str:
        """Returns the broker's identity. The owner's own name for it (`Z4J_BROKER`) is that of the first connection this process uses."""
        pool = connection.connection_pool
        identity = self._identities.get(pool)
        if identity is None:
            identity = self._identities[pool] = self._identify(pool)
        return identity

    def _identify(self, pool: Any) -> str:
        agent = z4j_agent.current()
        address = address_of(pool, agent.host if agent is not None else "")
        if self._first is None or self._first() is None:
            self._first = weakref.ref(pool)
        first = self._first()
        if agent is not None and agent.settings.broker and first is not None and address_of(first, agent.host) == address:
            return agent.settings.broker
        return address


def address_of(pool: Any, this_host: str) -> str:
    """Computes an identity from the arguments of a connection pool, with RQ's prefix; never from a credential."""
    return identify_pool(pool, _prefix(), this_host=this_host)


def _prefix() -> str:
    """RQ's key prefix, which RQ 3 reads from the environment; "" for the default."""
    from rq import defaults

    prefix = str(getattr(defaults, "RQ_KEY_PREFIX", "rq"))
    return "" if prefix == "rq" else prefix


def _put(mapping: dict[Any, Any], key: Any, value: Any, most: int) -> None:
    mapping[key] = value
    if len(mapping) > most:
        mapping.pop(next(iter(mapping)), None)


# -- functions ---------------------------------------------------------------------------------------------------------
def _import_name(function: Any) -> str:
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    return f"{module}.{name}" if module and name and "<" not in name else ""


def is_decorated(name: str) -> bool:
    """Whether it is the name of a loaded function with RQ's `@job`, and not an alias."""
    function = function_of(name)
    return isinstance(function, FunctionType) and _import_name(function) == name and _delay_of(function) is not None


def decorated() -> Iterator[tuple[str, str]]:
    """(name, queue) of every loaded function that RQ's `@job` has given a `delay` of its own."""
    for module_name, module in list(sys.modules.items()):
        for value in list(getattr(module, "__dict__", {}).values()):
            if isinstance(value, FunctionType) and value.__module__ == module_name and (delay := _delay_of(value)) is not None:
                yield f"{module_name}.{value.__qualname__}", _queue_of(delay)


def _decorated_queues() -> set[str]:
    return {queue for _, queue in decorated() if queue}


def _delay_of(function: FunctionType) -> FunctionType | None:
    delay = function.__dict__.get("delay")
    return delay if isinstance(delay, FunctionType) and delay.__code__.co_filename.endswith("rq/decorators.py") else None


def _queue_of(delay: FunctionType) -> str:
    """The queue's name, from the closure of the decorator's `delay`. "" if it is chosen at each call."""
    try:
        variables = dict(zip(delay.__code__.co_freevars, (cell.cell_contents for cell in delay.__closure__ or ()), strict=False))
        queue = getattr(variables.get("self"), "queue", "")
        return queue if isinstance(queue, str) else str(getattr(queue, "name", ""))
    except Exception as error:
        let_through(error)
        return ""
