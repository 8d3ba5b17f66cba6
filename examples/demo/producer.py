# SPDX-License-Identifier: Apache-2.0
"""The shop's customers: a steady, uneven stream of work, some three tasks a second, until it is told to stop."""

from __future__ import annotations

import itertools
import random
import secrets
import signal
import sys
import time
from datetime import UTC, datetime

import tasks
from celery import chain, chord

SKUS = ("LAMP-07", "CHAIR-12", "DESK-03", "SHELF-21", "RUG-44")
REGIONS = ("north", "south", "coast")
FIRST_ORDER = int(time.time()) % 1_000_000 * 10


def email() -> str:
    return f"{random.choice(('ada', 'grace', 'linus', 'barbara', 'edsger'))}{random.randrange(1000)}@example.com"


def order(number: int) -> None:
    """Order, charge, receipt: each step gets the result of the one before."""
    total = round(random.uniform(9, 240), 2)
    chain(
        tasks.validate_order.s(number, total),
        tasks.charge.s(card_token="tok_" + secrets.token_hex(8)),
        tasks.send_receipt.s(email()),
    ).delay()
    if number % 4 == 0:
        tasks.reserve.delay(number, random.choice(SKUS), random.randrange(1, 4))


def sometimes(number: int) -> None:
    """One of the rarer things, chosen by the number so that each turns up within the first minute."""
    match number % 15:
        case 0:
            tasks.create_account.delay(email(), password=secrets.token_urlsafe(12))
        case 1 | 8:
            tasks.send_campaign.delay(random.choice(("autumn-sale", "new-in", "we-miss-you")), random.randrange(200, 5000))
        case 2:
            tasks.sync_supplier.delay(random.choice(("northwind", "acme", "initech")))
        case 3:
            headers = {"Authorization": f"Bearer {secrets.token_urlsafe(24)}", "X-Event": "order.paid"}
            host = random.choice(("hooks.example.com", "legacy.example.com"))
            tasks.deliver_webhook.delay(f"https://{host}/in", "order.paid", headers)
        case 4:
            day = datetime.now(UTC).date().isoformat()
            chord([tasks.collect_region.s(region, day) for region in REGIONS])(tasks.build_daily.s(day))
        case 5:
            customer = {"id": number, "currency": "EUR"} if random.random() < 0.6 else {"id": number}
            tasks.export_csv.delay(customer, "2026-10")
        case 6:
            tasks.cleanup_sessions.apply_async((30,), countdown=random.randrange(20, 90))
        case 7:
            tasks.transcode_video.delay(f"uploads/{number}.mov", "720p")
        case 9:
            tasks.rotate_api_key.delay(number, api_key="sk-live-" + secrets.token_hex(16))
        case 10:
            tasks.renew_subscription.apply_async((number, "pro"), countdown=random.randrange(5, 40))
        case 11:
            tasks.refund.delay(f"ch_{number}", 19.9)
        case 12:
            tasks.send_welcome.delay(email())
        case _:
            tasks.resize_image.delay(f"uploads/{number}.png", random.choice((320, 640, 1280)))


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for number in itertools.count(FIRST_ORDER):
        order(number)
        sometimes(number)
        tasks.reindex_product.delay(random.choice(SKUS))
        time.sleep(random.uniform(0.8, 2.2))


if __name__ == "__main__":
    main()
