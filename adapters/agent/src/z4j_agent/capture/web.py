# SPDX-License-Identifier: Apache-2.0
"""What every web framework's package does: tell the agent its settings at import, connect when the process serves, and end in time.

Import alone never connects, so the parents of auto-reloaders, masters that preload the application, and management commands stay
silent. A process that enqueues without serving is connected by its engine's adapter.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping
from typing import Any

from z4j_agent import lifecycle
from z4j_agent.capture.guard import guard
from z4j_agent.capture.route import set_route
from z4j_agent.runtime.log import log

PLAINTEXT = "PLAINTEXT_ALLOWED"
KNOWN = frozenset({"URL", "APP", "ENVIRONMENT", "RELEASE", "SPOOL", "SPOOL_LIMIT_MB", "ALLOW", "DENIED", "SEAL_KEYS", "REDACT", PLAINTEXT})
_serving_pid = 0


@guard("the framework's settings")
def configure(values: Mapping[str, Any]) -> None:
    """Settings as a framework keeps them: keys with or without `Z4J_` in front, lists where the environment has words.

    `PLAINTEXT_ALLOWED` stands in code only, never in the environment. The environment wins over everything else.
    """
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
    """This process serves requests: it has a connection of its own from now on. Costs next to nothing after the first call."""
    global _serving_pid
    agent = lifecycle.current()
    if agent is None or _serving_pid == os.getpid():
        return
    _serving_pid = os.getpid()
    atexit.register(stopped)
    agent.connect()


@guard("the end of the process")
def stopped() -> None:
    """Sends what is left and says goodbye, two seconds at most. What was not sent is in the spool and goes with the next process."""
    global _serving_pid
    agent = lifecycle.current()
    _serving_pid = 0
    if agent is not None:
        agent.close()


__all__ = ["configure", "serving", "set_route", "stopped"]
