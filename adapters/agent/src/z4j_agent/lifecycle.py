# SPDX-License-Identifier: Apache-2.0
"""Starts and stops the one agent of a process tree, and installs adapters. `z4j_agent` re-exports these names."""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from z4j_agent.capture.guard import faults, let_through
from z4j_agent.runtime.agent_log import log, sink
from z4j_agent.settings import BadSettings, Settings

if TYPE_CHECKING:
    from z4j_agent.agent import Agent
    from z4j_agent.contract.adapter import Adapter
    from z4j_agent.contract.scheduler import Scheduler

_agent: Agent | None = None
_is_fork_watched = False
_configured: dict[str, str] = {}
_is_plaintext_allowed = False


def configure(values: Mapping[str, str], *, is_plaintext_allowed: bool = False) -> None:
    """Sets settings in code, by the environment's names, for every later `start`. The environment has precedence.

    A second call replaces the first. Starts nothing; settings are checked by `start`.
    """
    global _is_plaintext_allowed
    _configured.clear()
    _configured.update({name: value for name, value in values.items() if value})
    _is_plaintext_allowed = is_plaintext_allowed


def settings_of(
    *,
    app: str = "",
    environment: str = "",
    allow: str | None = None,
    denied: tuple[str, ...] = (),
    url: str | None = None,
    spool: str | Path | None = None,
    is_plaintext_allowed: bool = False,
) -> Settings | None:
    """Returns the settings that `start` uses: those of the arguments, of the environment, and of `configure`, in this order. None without a
    connection string; raises BadSettings."""
    return Settings.from_environment(
        {**_configured, **os.environ},
        url=url,
        app=app,
        environment=environment,
        allow=allow,
        denied=denied,
        spool=Path(spool) if spool else None,
        is_plaintext_allowed=is_plaintext_allowed or _is_plaintext_allowed,
    )


def start(
    *parts: Adapter | Scheduler,
    app: str = "",
    environment: str = "",
    allow: str | None = None,
    denied: tuple[str, ...] = (),
    url: str | None = None,
    spool: str | Path | None = None,
    is_plaintext_allowed: bool = False,
) -> Agent | None:
    """Installs adapters, or schedulers without an adapter. Returns the agent of this process tree, None without a connection string.

    A second call adds its parts to the first agent, whose settings stay. Mistakes in the settings are one line of the agent's own log
    (`runtime.agent_log`, which the doctor shows), never an exception."""
    global _agent
    try:
        settings = settings_of(
            app=app, environment=environment, allow=allow, denied=denied, url=url, spool=spool, is_plaintext_allowed=is_plaintext_allowed
        )
        if settings is None:
            log.info("z4j is disabled: Z4J_URL is not set")
            return None
        if _agent is None:
            from z4j_agent.agent import Agent

            _agent = Agent(settings, ())
            _watch_forks()
        for part in parts:
            _add(_agent, part)
    except BadSettings as error:
        sink.use_default(spool)
        log.error("z4j is disabled: %s", error)
    except Exception as error:
        let_through(error)
        faults.report("start", error)
    return _agent


def _add(agent: Agent, part: Adapter | Scheduler) -> None:
    """Removes a part whose installation failed, so that it is not partly installed."""
    from z4j_agent.contract.scheduler import Scheduler

    try:
        part.install()
        if isinstance(part, Scheduler):
            agent.schedulers = (*agent.schedulers, part)
            return
        agent.adapters = (*agent.adapters, part)
        for scheduler in part.schedulers:
            scheduler.install()
            agent.schedulers = (*agent.schedulers, scheduler)
    except Exception:
        remove(part)
        raise


def remove(part: Adapter | Scheduler) -> None:
    """Uninstalls one adapter with its schedulers, or one scheduler. The agent continues, for other and later parts. An exception of
    `uninstall` is counted as a fault."""
    own: list[Adapter | Scheduler] = [*getattr(part, "schedulers", ()), part]
    if _agent is not None:
        _agent.adapters = tuple(each for each in _agent.adapters if each is not part)
        _agent.schedulers = tuple(each for each in _agent.schedulers if all(each is not gone for gone in own))
        if not (_agent.adapters or _agent.schedulers):
            atexit.unregister(_agent.close)
    for each in own:
        _uninstall(each)


def has(part: Adapter | Scheduler) -> bool:
    """Whether the agent of this process tree has this part: not after `stop`, and not after `remove`."""
    return _agent is not None and any(each is part for each in (*_agent.adapters, *_agent.schedulers))


def current() -> Agent | None:
    """Returns the agent of this process tree, if one was started."""
    return _agent


def stop(timeout_s: float = 2.0) -> None:
    """Uninstalls every hook and sends the remaining events and the goodbye, each in `timeout_s` seconds at most. Events that are still in
    the spool are sent by the next process. Does nothing without an agent. An exception is counted as a fault, never raised."""
    global _agent
    agent, _agent = _agent, None
    if agent is None:
        return
    parts: list[Adapter | Scheduler] = [*agent.schedulers, *agent.adapters]
    for part in parts:
        _uninstall(part)
    try:
        agent.stop(timeout_s)
    except Exception as error:
        let_through(error)
        faults.report("stop", error)


def _uninstall(part: Adapter | Scheduler) -> None:
    try:
        part.uninstall()
    except Exception as error:
        let_through(error)
        faults.report(f"uninstalling {part.engine}", error)


def _watch_forks() -> None:
    global _is_fork_watched
    if not _is_fork_watched:
        _is_fork_watched = True
        os.register_at_fork(after_in_child=_after_fork_in_child)


def _after_fork_in_child() -> None:
    if _agent is not None:
        _agent.after_fork_in_child()
