# SPDX-License-Identifier: AGPL-3.0-or-later
"""The demo's Celery application: a shop with realistic errors. Runs in the Celery environment."""

from __future__ import annotations

import os
import random
import time
from typing import Any

from celery import Celery, Task

import z4j_agent
import z4j_celery

app = Celery("shop", broker=os.environ["CELERY_URL"], backend=os.environ["CELERY_URL"])
app.conf.update(
    task_default_queue="default",
    task_routes={"emails.*": "emails", "users.*": "emails", "reports.*": "exports", "search.*": "exports", "thumbs.*": "exports"},
    task_time_limit=60,
    task_soft_time_limit=30,
    worker_prefetch_multiplier=2,
    result_expires=300,
    broker_connection_retry_on_startup=True,
)
z4j_celery.install(app)


def work(low_ms: float, high_ms: float) -> None:
    time.sleep(random.uniform(low_ms, high_ms) / 1000)


@app.task(name="emails.send_campaign", bind=True, max_retries=3)
def send_campaign(self: Task, campaign: str, recipients: int) -> dict[str, Any]:
    """Sends one slice of a campaign; the mail server sometimes refuses, and a retry succeeds."""
    work(20, 90)
    if random.random() < 0.25:
        raise self.retry(countdown=random.uniform(1, 6), exc=ConnectionError("smtp.internal:587 refused the connection"))
    return {"campaign": campaign, "sent": recipients}


@app.task(name="users.reset_mail")
def reset_mail(user: int, token: str) -> None:
    """Mails a reset link; the token must not be shown to anybody."""
    work(10, 40)


@app.task(name="users.sync_crm")
def sync_crm(batch: int, authorization: str) -> dict[str, int]:
    work(40, 160)
    if random.random() < 0.06:
        raise PermissionError(f"crm answered 401 to batch {batch}: authorization={authorization}")
    return {"changed": batch % 7}


@app.task(name="billing.charge")
def charge(invoice: int, amount_cents: int) -> dict[str, Any]:
    work(15, 60)
    if random.random() < 0.08:
        raise ValueError(f"card of invoice {invoice} was declined by the issuer")
    return {"invoice": invoice, "paid": amount_cents}


@app.task(name="billing.remind")
def remind(invoice: int) -> str:
    work(5, 15)
    return f"reminder for {invoice}"


@app.task(name="inventory.reserve", bind=True)
def reserve(self: Task, order: int, sku: str) -> dict[str, Any]:
    """Out of stock at the first attempt for an order, in stock at a retry."""
    work(10, 30)
    if app.backend.client.set(f"shop:reserved:{order}", 1, nx=True, ex=3600):
        raise LookupError(f"{sku} is out of stock in warehouse 3")
    return {"order": order, "sku": sku, "shelf": "B-14"}


@app.task(name="reports.export_pdf")
def export_pdf(report: int, page_format: str) -> dict[str, Any]:
    pages = 12 + report % 40
    z4j_agent.annotate(report=report, pages=pages)
    for page in range(0, pages, 10):
        z4j_agent.progress(page, pages, "pages")
        work(150, 800)
    if random.random() < 0.05:
        raise OSError(28, "No space left on device", f"/var/exports/{report}.pdf")
    return {"report": report, "pages": pages, "format": page_format}


@app.task(name="search.reindex")
def reindex(index: str, documents: int) -> dict[str, int]:
    work(60, 260)
    return {"indexed": documents}


@app.task(name="thumbs.make")
def make_thumb(path: str) -> str:
    work(15, 70)
    return path.replace(".jpg", ".webp")


@app.task(name="orders.price")
def price(order: int) -> int:
    work(5, 20)
    return 1_000 + order % 900


@app.task(name="orders.confirm")
def confirm(total: int) -> str:
    work(5, 20)
    return f"confirmed, {total / 100:.2f} EUR"


@app.task(name="metrics.count")
def count(shard: int) -> int:
    work(10, 50)
    return shard * 17 % 41


@app.task(name="metrics.rollup")
def rollup(counts: list[int]) -> int:
    work(10, 30)
    return sum(counts)


@app.task(name="carts.expire")
def expire(cart: int) -> None:
    work(5, 15)
