# SPDX-License-Identifier: Apache-2.0
"""Common parts of the two schedulers for RQ: the package `rq_scheduler`, and RQ's own cron."""

from __future__ import annotations

from typing import Any

import z4j_agent
from z4j_agent.capture.hooks import parameter_names
from z4j_agent.contract.scheduler import show_arguments
from z4j_rq.messages import function_of
from z4j_rq.state import RqState

HIDDEN = '"…"'


def begin(state: RqState, name: str) -> None:
    """Makes this process a scheduler. A worker, or a process that is already connected, keeps its role."""
    agent = z4j_agent.current()
    if agent is None:
        return
    if not state.workers() and not agent.is_connected_process:
        agent.become_scheduler(f"{name}@{agent.host}")
    else:
        agent.connect()


def shown_arguments(name: str, args: Any, kwargs: Any) -> tuple[str, str]:
    """Like `show_arguments` of the agent. For a function that is not loaded here, positions have no names, and any may be a secret."""
    agent, function = z4j_agent.current(), function_of(name)
    secret = agent.settings.redact if agent is not None else ()
    positional, named = show_arguments(args, kwargs, secret, parameter_names(function) if function is not None else ())
    return (positional if function is not None or not args else HIDDEN), named
