# SPDX-License-Identifier: AGPL-3.0-or-later
"""What Dramatiq's own tests import from `.common`."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import dramatiq
import pika
import pytest

RABBITMQ_USERNAME = RABBITMQ_PASSWORD = "guest"
RABBITMQ_CREDENTIALS = pika.PlainCredentials(RABBITMQ_USERNAME, RABBITMQ_PASSWORD)

skip_in_ci = skip_on_pypy = skip_on_windows = pytest.mark.skipif(False, reason="this is neither")
skip_unless_rabbit_mq = pytest.mark.skipif(not os.environ["UPSTREAM_RABBITMQ"], reason="no RabbitMQ was started")


@contextlib.contextmanager
def worker(*args: Any, **options: Any) -> Iterator[dramatiq.Worker]:
    """A worker in threads of this process."""
    started = dramatiq.Worker(*args, **options)
    started.start()
    try:
        yield started
    finally:
        started.stop()
