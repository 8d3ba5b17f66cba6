# SPDX-License-Identifier: Apache-2.0
"""A small shop's background work: what succeeds quickly, what is slow, and what fails in ways worth looking at."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

from celery import Celery, Task

import z4j_celery

app = Celery("shop", broker=os.environ["BROKER_URL"], backend=os.environ["BROKER_URL"])
app.conf.update(
    task_default_queue="default",
    task_routes={"billing.*": {"queue": "payments"}, "reports.*": {"queue": "reports"}, "media.*": {"queue": "reports"}},
    worker_prefetch_multiplier=2,
    broker_connection_retry_on_startup=True,
    result_expires=3600,
)
z4j_celery.install(app)

STATE = Path(os.environ.get("DEMO_STATE", "."))


class CardDeclined(Exception):
    """The bank said no."""


class SupplierTimeout(TimeoutError):
    """The supplier's system did not answer."""


class StockLocked(Exception):
    """Somebody is counting the shelf."""


class DeliveryFailed(Exception):
    """The other side did not take the webhook."""


def work(shortest: float, longest: float) -> None:
    time.sleep(random.uniform(shortest, longest))


# -- accounts and mail -------------------------------------------------------------------------------------------------
@app.task(name="accounts.create")
def create_account(email: str, password: str) -> dict[str, Any]:
    """Makes a customer's account. The password must never be seen anywhere."""
    work(0.03, 0.12)
    return {"email": email, "id": random.randrange(10_000, 99_999)}


@app.task(name="accounts.rotate_api_key")
def rotate_api_key(customer: int, api_key: str) -> str:
    work(0.02, 0.08)
    return f"rotated for {customer}"


@app.task(name="emails.send_welcome")
def send_welcome(email: str) -> str:
    work(0.05, 0.2)
    return f"sent to {email}"


@app.task(name="emails.send_receipt")
def send_receipt(charge: dict[str, Any], email: str) -> str:
    """The last step of an order: order, charge, receipt."""
    work(0.05, 0.2)
    return f"receipt {charge.get('charge')} sent to {email}"


@app.task(name="emails.send_campaign", bind=True, max_retries=3)
def send_campaign(self: Task, campaign: str, recipients: int) -> dict[str, Any]:
    """The mail host refuses now and then; the next attempt usually goes through."""
    work(0.1, 0.4)
    if random.random() < 0.35 and self.request.retries < 2:
        raise self.retry(countdown=random.uniform(1, 4), exc=ConnectionError("mail.example.com refused the connection (421 try later)"))
    return {"campaign": campaign, "sent": recipients}


# -- orders and money --------------------------------------------------------------------------------------------------
@app.task(name="orders.validate")
def validate_order(order: int, total: float) -> dict[str, Any]:
    work(0.02, 0.1)
    return {"order": order, "total": total}


@app.task(name="billing.charge")
def charge(order: dict[str, Any], card_token: str) -> dict[str, Any]:
    work(0.1, 0.5)
    if order["order"] % 9 == 0:
        raise CardDeclined(f"card was declined for order {order['order']}: insufficient funds")
    return {"charge": f"ch_{order['order']}", "amount": order["total"]}


@app.task(name="billing.refund")
def refund(charge_id: str, amount: float) -> dict[str, Any]:
    work(0.1, 0.3)
    return {"refunded": charge_id, "amount": amount}


@app.task(name="billing.renew_subscription")
def renew_subscription(customer: int, plan: str) -> dict[str, Any]:
    work(0.05, 0.2)
    return {"customer": customer, "plan": plan, "paid": True}


# -- stock -------------------------------------------------------------------------------------------------------------
@app.task(name="inventory.reserve")
def reserve(order: int, sku: str, count: int) -> dict[str, Any]:
    """Finds the shelf locked the first time an order asks, and free when it is run again: retry one and see."""
    work(0.03, 0.1)
    seen = STATE / f"asked-{order}-{sku}"
    if not seen.exists():
        seen.touch()
        raise StockLocked(f"stock of {sku} is being counted; order {order} must ask again")
    return {"order": order, "sku": sku, "reserved": count}


@app.task(name="inventory.sync_supplier", bind=True, max_retries=2)
def sync_supplier(self: Task, supplier: str) -> int:
    """One supplier never answers: three attempts, then a failure."""
    work(0.1, 0.3)
    if supplier == "northwind":
        raise self.retry(countdown=2, exc=SupplierTimeout(f"no answer from https://api:hunter2@{supplier}.example.com/stock after 30 s"))
    return random.randrange(20, 400)


@app.task(name="search.reindex_product")
def reindex_product(sku: str) -> str:
    work(0.01, 0.06)
    return sku


# -- the outside world -------------------------------------------------------------------------------------------------
@app.task(name="webhooks.deliver")
def deliver_webhook(url: str, event: str, headers: dict[str, str]) -> int:
    work(0.05, 0.3)
    if "legacy" in url:
        raise DeliveryFailed(f"{url} answered 503 to {event}")
    return 200


# -- reports and media -------------------------------------------------------------------------------------------------
@app.task(name="media.resize_image")
def resize_image(path: str, width: int) -> str:
    work(0.2, 0.8)
    return f"{path}@{width}"


@app.task(name="media.transcode_video")
def transcode_video(path: str, preset: str) -> str:
    """Slow on purpose: there is always something running to look at."""
    work(4, 9)
    return f"{path}.{preset}.mp4"


@app.task(name="reports.collect_region")
def collect_region(region: str, day: str) -> dict[str, Any]:
    work(0.2, 0.6)
    return {"region": region, "orders": random.randrange(50, 500)}


@app.task(name="reports.build_daily")
def build_daily(parts: list[dict[str, Any]], day: str) -> dict[str, Any]:
    """The body of a chord over all regions."""
    work(0.3, 0.8)
    return {"day": day, "orders": sum(part["orders"] for part in parts)}


@app.task(name="reports.export_csv")
def export_csv(customer: dict[str, Any], month: str) -> str:
    work(0.1, 0.4)
    return f"{month}-{customer['currency']}.csv"  # older customers have no currency: a bug to be found


@app.task(name="maintenance.cleanup_sessions")
def cleanup_sessions(older_than_days: int) -> int:
    work(0.1, 0.3)
    return random.randrange(0, 90)
