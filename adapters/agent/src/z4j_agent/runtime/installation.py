# SPDX-License-Identifier: Apache-2.0
"""Installs an engine's package into an application and uninstalls it, as often as needed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from z4j_agent import lifecycle
from z4j_agent.capture.guard import faults, let_through
from z4j_agent.runtime.agent_log import log


def is_supported(engine: str, version: str, oldest: tuple[int, int], newest: int | None = None) -> bool:
    """Whether the adapter supports the installed version; if not, logs one line. `newest` is a major version."""
    installed = tuple(int(digits[0]) for part in version.split(".")[:2] if (digits := re.match(r"\d+", part)))
    if installed < oldest:
        log.error("z4j is disabled: %s %s is older than the oldest supported version %d.%d", engine, version, *oldest)
        return False
    if newest is not None and installed and installed[0] > newest:
        log.error("z4j is disabled: %s %s is not supported; only %d.x is supported", engine, version, newest)
        return False
    return True


class Installation:
    """`install` and `uninstall` of one engine's package.

    `version` is "package:attribute", or the name of a distribution. `load` imports the class of the adapter, or of a scheduler without
    an adapter; it is called with the target and the options of `install`. A class with `watch(target, *options)`, which may be called
    twice for one target, and `unwatch(target)` has one object for all targets; another class has one object for each target. `real`
    returns the object itself for a proxy, or for None the default object.
    """

    def __init__(
        self,
        name: str,
        version: str,
        oldest: tuple[int, int],
        load: Callable[[], Callable[..., Any]],
        *,
        newest: int | None = None,
        real: Callable[[Any], Any] = lambda target: target,
    ) -> None:
        self._name, self._version, self.oldest, self._newest = name, version, oldest, newest
        self._load, self._real = load, real
        self._watched: dict[int, tuple[Any, Any]] = {}
        """By the identity of the target: the target, and the adapter or scheduler that monitors it."""

    def install(self, target: Any = None, *options: Any, **settings: Any) -> None:
        """Starts monitoring the target. Works again after `uninstall` and after `z4j_agent.stop`. Never raises."""
        try:
            self._install(self._real(target), options, settings)
        except Exception as error:
            let_through(error)
            faults.report("install", error)

    def uninstall(self, target: Any = None) -> None:
        """Stops monitoring the target, or all targets if none is given. Never raises."""
        try:
            self._forget_stopped()
            for key in list(self._watched) if target is None else [id(self._real(target))]:
                self._leave(key)
        except Exception as error:
            let_through(error)
            faults.report("uninstall", error)

    def part_for(self, target: Any = None) -> Any:
        """Returns the adapter or scheduler that monitors this target, None if none does."""
        self._forget_stopped()
        watched = self._watched.get(id(self._real(target)))
        return None if watched is None else watched[1]

    def _install(self, target: Any, options: tuple[Any, ...], settings: dict[str, Any]) -> None:
        part = self.part_for(target) or next((part for _, part in self._watched.values() if hasattr(part, "watch")), None)
        if part is None:
            if not is_supported(self._name, _version_of(self._version), self.oldest, self._newest):
                return
            part = self._load()(target, *options)
            lifecycle.start(part, **settings)
            if not lifecycle.has(part):
                return
        elif hasattr(part, "watch"):
            part.watch(target, *options)
        self._watched[id(target)] = target, part

    def _leave(self, key: int) -> None:
        target, part = self._watched.pop(key, (None, None))
        if part is None:
            return
        if all(other is not part for _, other in self._watched.values()):
            lifecycle.remove(part)
        else:
            part.unwatch(target)

    def _forget_stopped(self) -> None:
        """Removes parts that `z4j_agent.stop` has uninstalled."""
        self._watched = {key: watched for key, watched in self._watched.items() if lifecycle.has(watched[1])}


def _version_of(source: str) -> str:
    from importlib.metadata import version
    from pkgutil import resolve_name

    return str(resolve_name(source)) if ":" in source else version(source)
