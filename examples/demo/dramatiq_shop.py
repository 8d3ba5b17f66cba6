# SPDX-License-Identifier: AGPL-3.0-or-later
"""The demo's Dramatiq application: notifications. `main()` enqueues until SIGTERM; `dramatiq dramatiq_shop` runs the tasks."""

from __future__ import annotations

import os
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from words import happens, seconds, ticks, token

import z4j_dramatiq

broker = RedisBroker(url=os.environ["DRAMATIQ_URL"])
z4j_dramatiq.install(broker)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="push", max_retries=2, min_backoff=500, max_backoff=3_000)
def push_notification(device: str, text: str, secret: str) -> None:
    """Sends one push message; the gateway sometimes drops connections."""
    time.sleep(seconds(15, 60))
    if happens(0.12):
        raise ConnectionResetError(f"gateway closed the connection to {device}")


@dramatiq.actor(queue_name="push", max_retries=0)
def write_digest(user: int) -> None:
    time.sleep(seconds(30, 150))
    if happens(0.06):
        raise KeyError("preferred_language")


@dramatiq.actor(queue_name="rates", max_age=20_000)
def fetch_rates(currency: str) -> None:
    """Old rates are useless: a message older than twenty seconds is dropped."""
    time.sleep(seconds(10, 40))


def main() -> None:
    for number in ticks(0.9):
        push_notification.send(f"device-{number % 300}", "Your parcel is on its way", secret=token())
        if number % 3 == 0:
            write_digest.send(9_000 + number % 400)
        if number % 5 == 0:
            fetch_rates.send_with_options(args=(("EUR", "GBP", "JPY")[number % 3],), delay=2_000)
