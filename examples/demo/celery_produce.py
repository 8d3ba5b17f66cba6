# SPDX-License-Identifier: AGPL-3.0-or-later
"""Enqueues a realistic mix until SIGTERM, at a varying pace. Runs in the Celery environment."""

from __future__ import annotations

import itertools
import math
import random
import secrets
import signal
import sys
import time

from celery import chain, chord
from celery_shop import (
    charge,
    confirm,
    count,
    expire,
    export_pdf,
    make_thumb,
    price,
    reindex,
    remind,
    reserve,
    reset_mail,
    rollup,
    send_campaign,
    sync_crm,
)  # fmt: skip


def order(number: int) -> None:
    """The tasks of one order."""
    chain(price.s(number), confirm.s()).apply_async()
    charge.delay(70_000 + number, 1_999 + number % 5_000)
    if number % 6 == 0:
        reserve.delay(number, f"SKU-{number % 97:04}")
    if number % 3 == 0:
        remind.apply_async((70_000 + number,), countdown=random.uniform(5, 40))


def background(number: int) -> None:
    """The tasks that do not belong to an order."""
    kind = number % 10
    if kind < 3:
        send_campaign.delay(f"c_{8_800 + number % 30}", 500)
    elif kind == 3:
        reset_mail.delay(user=9_000 + number % 400, token=secrets.token_urlsafe(18))
    elif kind == 4:
        sync_crm.delay(batch=number % 120, authorization=f"Bearer {secrets.token_urlsafe(24)}")
    elif kind == 5:
        make_thumb.delay(f"a/{number % 90}/{secrets.token_hex(2)}.jpg")
    elif kind == 6:
        reindex.delay(random.choice(("orders", "customers", "products")), random.randrange(100, 4_000))
    elif kind == 7:
        expire.apply_async((number,), countdown=random.uniform(10, 60))
    elif kind == 8 and number % 20 == 8:
        export_pdf.delay(5_000 + number, random.choice(("a4", "letter")))
    elif kind == 9 and number % 50 == 9:
        chord((count.s(shard) for shard in range(4)), rollup.s()).apply_async()


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for number in itertools.count(1):
        background(number)
        if number % 4 == 0:
            order(number)
        time.sleep(0.12 * (1.2 + math.sin(number / 150)))
