# SPDX-License-Identifier: Apache-2.0
"""Common parts of the web frameworks' packages: settings at import, a connection when the process serves requests, and a short end.

Import alone never connects, so the parents of auto-reloaders, masters that preload the application, and management commands open no
connection. A process that enqueues without serving is connected by its engine's adapter.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping
from typing import Any

from z4j_agent import lifecycle
from z4j_agent.capture.guard import guard
from z4j_agent.capture.web_route import set_route
from z4j_agent.runtime.agent_log import log

PLAINTEXT = "PLAINTEXT_ALLOWED"
KNOWN = frozenset({"URL", "APP", "ENVIRONMENT", "RELEASE", "SPOOL", "SPOOL_LIMIT_MB", "ALLOW", "DENIED", "SEAL_KEYS", "REDACT", PLAINTEXT})
_serving_pid = 0


@guard("the framework's settings")
def configure(values: Mapping[str, Any]) -> None:
    """Reads settings of a framework: keys with or without the prefix `Z4J_`, and lists where the environment has words. Never raises; an
    unknown key is logged and ignored.

    `PLAINTEXT_ALLOWED` is read from code only, never from the environment. The environment has precedence over all other settings."""
    named = {key.removeprefix("Z4J_"): value for key, value in values.items()}
    for key in sorted(named.keys() - KNOWN):
        log.warning("unknown z4j setting %s ignored; check its spelling", key)
    is_plaintext_allowed = bool(named.pop(PLAINTEXT, False))
    lifecycle.configure({f"Z4J_{key}": _text(value) for key, value in named.items()}, is_plaintext_allowed=is_plaintext_allowed)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return " ".join(str(item) for item in value) if isinstance(value, list | tuple | set | frozenset) else str(value)


@guard("a request")
def serving() -> None:
    """Opens this process's connection, because it serves requests. Called in the thread of a request, for each request; later calls return
    at once. Never raises."""
    global _serving_pid
    agent = lifecycle.current()
    if agent is None or _serving_pid == os.getpid():
        return
    _serving_pid = os.getpid()
    atexit.register(stopped)
    agent.connect()


@guard("the end of the process")
def stopped() -> None:
    """Sends the remaining events and the goodbye, in two seconds at most. Events that were not sent stay in the spool, and the next process
    sends them. Never raises."""
    global _serving_pid
    agent = lifecycle.current()
    _serving_pid = 0
    if agent is not None:
        agent.close()


__all__ = ["configure", "serving", "set_route", "stopped"]
