# SPDX-License-Identifier: AGPL-3.0-or-later
"""The fixtures of Dramatiq's own tests: brokers, workers in this process, backends, and the command in a process of its own.

Memcached is not among the backends, for there is none here.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.rate_limits import backends as limits
from dramatiq.results import backends as results

from .common import worker

BOOT_S = 2.0
BACKENDS = ("redis", "stub")
WORKER = {"worker_timeout": 100, "worker_threads": 32}


def _global(broker: Any) -> Iterator[Any]:
    """The global broker for one test, as in a worker's process."""
    broker.emit_after("process_boot")
    dramatiq.set_broker(broker)
    yield broker
    broker.flush_all()
    broker.close()


@pytest.fixture
def stub_broker() -> Iterator[StubBroker]:
    yield from _global(StubBroker())


@pytest.fixture
def redis_broker() -> Iterator[RedisBroker]:
    redis.Redis().flushall()
    yield from _global(RedisBroker())


@pytest.fixture
def rabbitmq_broker() -> Iterator[RabbitmqBroker]:
    if not os.environ["UPSTREAM_RABBITMQ"]:
        pytest.skip("no RabbitMQ was started")
    yield from _global(RabbitmqBroker(host="127.0.0.1", max_priority=10))


@pytest.fixture
def stub_worker(stub_broker: StubBroker) -> Iterator[dramatiq.Worker]:
    with worker(stub_broker, **WORKER) as started:
        yield started


@pytest.fixture
def redis_worker(redis_broker: RedisBroker) -> Iterator[dramatiq.Worker]:
    with worker(redis_broker, **WORKER) as started:
        yield started


@pytest.fixture
def rabbitmq_worker(rabbitmq_broker: RabbitmqBroker) -> Iterator[dramatiq.Worker]:
    with worker(rabbitmq_broker, **WORKER) as started:
        yield started


@pytest.fixture
def redis_result_backend() -> Any:
    redis.Redis().flushall()
    return results.RedisBackend()


@pytest.fixture(params=BACKENDS)
def result_backend(request: Any) -> Any:
    return request.getfixturevalue("redis_result_backend") if request.param == "redis" else results.StubBackend()


@pytest.fixture(params=BACKENDS)
def rate_limiter_backend(request: Any) -> Any:
    if request.param == "stub":
        return limits.StubBackend()
    redis.Redis().flushall()
    return limits.RedisBackend()


@pytest.fixture
def start_cli() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts the `dramatiq` command; what still runs at the test's end is ended with its workers."""
    started: list[subprocess.Popen[bytes]] = []

    def run(broker: str, *, extra_args: Any = (), **options: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-m", "dramatiq", broker, *extra_args], **options)
        started.append(process)
        time.sleep(BOOT_S)  # the tests send it signals at once
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
