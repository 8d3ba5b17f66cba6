# SPDX-License-Identifier: AGPL-3.0-or-later
"""A pytest plugin for an engine's own tests (`tests/upstream.py`): writes how each ended, and installs our adapter where it is told to.

Runs in the engine's environment. `UPSTREAM_OUTCOMES` is the file to write, `UPSTREAM_ENGINE` the adapter to install, "" for none, and
`UPSTREAM_REDIS` the port of the Redis that stands for the one on port 6379, which belongs to whoever runs the tests.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
import types
from collections.abc import Callable
from typing import Any

OUTCOMES: dict[str, str] = {}
RANK = {"passed": 0, "skipped": 1, "failed": 2}
USUAL_PORT = 6379


def pytest_runtest_logreport(report: Any) -> None:
    """The worst of set-up, call and tear-down counts."""
    before = OUTCOMES.get(report.nodeid, "passed")
    OUTCOMES[report.nodeid] = max(before, report.outcome, key=lambda outcome: RANK.get(outcome, 2))


def pytest_sessionfinish() -> None:
    with open(os.environ["UPSTREAM_OUTCOMES"], "w") as file:
        json.dump(OUTCOMES, file)


# -- a Redis of our own ------------------------------------------------------------------------------------------------------
def _redirect(module: str) -> None:
    """Connections to the usual port of this machine go to ours."""
    try:
        connection = importlib.import_module(module).Connection
    except ImportError:
        return
    original = connection.__init__

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:  # by position or, in newer redis-py, by keyword
        host = args[0] if args else kwargs.get("host", "localhost")
        if len(args) < 2 and int(kwargs.get("port", USUAL_PORT)) == USUAL_PORT and host in ("localhost", "127.0.0.1"):
            kwargs["port"] = int(os.environ["UPSTREAM_REDIS"])
        original(self, *args, **kwargs)

    connection.__init__ = init


class RedisContainer:
    """What `testcontainers` would start in Docker."""

    port = USUAL_PORT

    def __init__(self, *_: Any) -> None: ...

    def __enter__(self) -> RedisContainer:
        return self

    def __exit__(self, *_: Any) -> None: ...

    def get_container_host_ip(self) -> str:
        return "127.0.0.1"

    def get_exposed_port(self, _: int) -> int:
        return int(os.environ["UPSTREAM_REDIS"])


def _stand_in_for_docker() -> None:
    module = types.ModuleType("testcontainers.redis")
    module.RedisContainer = RedisContainer  # type: ignore[attr-defined]
    sys.modules |= {"testcontainers": types.ModuleType("testcontainers"), "testcontainers.redis": module}


# -- our adapters: one line for each object, as an application would have it -----------------------------------------------------
def _after_init(owner: type, install: Callable[[Any], object]) -> None:
    original = owner.__init__  # type: ignore[misc]

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        install(self)

    owner.__init__ = init  # type: ignore[misc]


def _huey() -> None:
    import huey.api

    import z4j_huey

    _after_init(huey.api.Huey, z4j_huey.install)


def _arq() -> None:
    import z4j_arq

    z4j_arq.install()


def _taskiq() -> None:
    import taskiq.abc.broker

    import z4j_taskiq

    _after_init(taskiq.abc.broker.AsyncBroker, z4j_taskiq.install)


def _rq() -> None:
    import z4j_rq

    z4j_rq.install()


INSTALL: dict[str, Callable[[], None]] = {"huey": _huey, "arq": _arq, "taskiq": _taskiq, "rq": _rq}

_redirect("redis.connection")
_redirect("redis.asyncio.connection")
_stand_in_for_docker()
if os.environ.get("UPSTREAM_ENGINE"):
    INSTALL[os.environ["UPSTREAM_ENGINE"]]()
