# SPDX-License-Identifier: AGPL-3.0-or-later
"""The demo's RQ application: documents and partners. `main()` enqueues until SIGTERM; a worker runs it with `rq worker`."""

from __future__ import annotations

import os
import time

from redis import Redis
from rq import Queue, Retry
from words import happens, seconds, ticks, token

import z4j_rq

z4j_rq.install()


def render_invoice(invoice: int, template: str) -> str:
    """Draws an invoice; an unknown template fails at every retry."""
    time.sleep(seconds(40, 300))
    if template == "classic-2019":
        raise FileNotFoundError(f"template {template} was removed")
    return f"invoice-{invoice}.pdf"


def push_partner(partner: str, order: int, api_key: str) -> int:
    """Notifies a partner of an order; the partner often does not answer."""
    time.sleep(seconds(30, 120))
    if happens(0.2):
        raise TimeoutError(f"{partner} did not answer order {order} within 100 ms")
    return order


def scan_upload(path: str) -> dict[str, str]:
    time.sleep(seconds(20, 80))
    return {"path": path, "verdict": "clean"}


def main() -> None:
    connection = Redis.from_url(os.environ["RQ_URL"])
    documents, partners = Queue("documents", connection=connection), Queue("partners", connection=connection)
    for number in ticks(0.8):
        scan_upload_later = documents.enqueue("rq_shop.scan_upload", f"/uploads/{number:06}.docx")
        documents.enqueue("rq_shop.render_invoice", 40_000 + number, "classic-2019" if happens(0.1) else "modern")
        if number % 2:
            retry = Retry(max=2, interval=[1, 3])
            partners.enqueue("rq_shop.push_partner", "northwind", number, api_key=token(), retry=retry, depends_on=scan_upload_later)
