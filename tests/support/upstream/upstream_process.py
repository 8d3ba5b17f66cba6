# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is done in every process of an engine's own tests: services on their usual ports are ours, and our adapter is installed.

`UPSTREAM_ENGINE` is the adapter to install, "" for none. `UPSTREAM_REDIS` and `UPSTREAM_RABBITMQ` are the ports of the services that stand
for those on the usual ports of this machine, which belong to whoever runs the tests; the latter is "" where none was started.
"""

from __future__ import annotations

import faulthandler
import functools
import importlib
import os
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

USUAL_PORT = 6379
USUAL_PORT_RABBITMQ = 5672
LOCAL = ("localhost", "127.0.0.1")
# Read once: some tests empty the environment.
ENGINE = os.environ.get("UPSTREAM_ENGINE", "")
REDIS = int(os.environ["UPSTREAM_REDIS"])
RABBITMQ = int(os.environ.get("UPSTREAM_RABBITMQ") or 0)


# -- services of our own ------------------------------------------------------------------------------------------------------
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
        if len(args) < 2 and int(kwargs.get("port", USUAL_PORT)) == USUAL_PORT and host in LOCAL:
            kwargs["port"] = REDIS
        original(self, *args, **kwargs)

    connection.__init__ = init


def _redirect_rabbitmq() -> None:
    try:
        parameters = importlib.import_module("pika.connection").Parameters
    except ImportError:
        return
    usual = parameters.port

    def port(self: Any) -> int:
        told = int(usual.fget(self))
        return RABBITMQ if told == USUAL_PORT_RABBITMQ and self.host in LOCAL else told

    parameters.port = usual.getter(port)


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
        return REDIS


def stand_in_for_docker() -> None:
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


def _celery() -> None:
    import celery

    import z4j_celery

    _after_init(celery.Celery, z4j_celery.install)


def _dramatiq() -> None:
    from dramatiq.brokers.rabbitmq import RabbitmqBroker
    from dramatiq.brokers.redis import RedisBroker
    from dramatiq.brokers.stub import StubBroker

    import z4j_dramatiq

    for broker in (RabbitmqBroker, RedisBroker, StubBroker):
        _after_init(broker, z4j_dramatiq.install)


INSTALL: dict[str, Callable[[], None]] = {
    "arq": _arq, "celery": _celery, "dramatiq": _dramatiq, "huey": _huey, "rq": _rq, "taskiq": _taskiq,
}  # fmt: skip
A_TEST_EACH = ("celery",)
"""Engines whose tests make an app each, which are not to be watched in the next one."""


def begin() -> None:
    """Called once in each process."""
    _redirect("redis.connection")
    _redirect("redis.asyncio.connection")
    if RABBITMQ:
        _redirect_rabbitmq()
    if ENGINE:
        INSTALL[ENGINE]()


def end_test() -> None:
    """Called after each test."""
    if ENGINE in A_TEST_EACH:
        import z4j_agent

        z4j_agent.stop()
        if any(thread.name == "z4j-agent" for thread in threading.enumerate()):
            faulthandler.dump_traceback(2)  # pytest shows it with the test that fails for this thread
