# SPDX-License-Identifier: AGPL-3.0-or-later
"""The story: four apps in two environments, their tasks, workers and releases, and the six ways in which tasks fail."""

from __future__ import annotations

from typing import Final, NamedTuple

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

PRODUCTION, STAGING = "production", "staging"
GOOD, BAD = "2026.11.2", "2026.12.0"
"""Releases of the shop: the bad one was deployed for some hours and then taken back."""
BAD_AGO: Final = (3 * DAY, 3 * DAY - 6 * HOUR)
"""From when to when, before now, the shop's production workers ran the bad release."""


class Failure(NamedTuple):
    """One way to fail. `{…}` in `error` is filled from the task's values; `frames` are (file, line, function, code) of the application."""

    type: str
    error: str
    frames: tuple[tuple[str, int, str, str], ...]


SMTP = Failure(
    "ConnectionError", "smtp.internal:587 refused the connection",
    (("mail.py", 44, "deliver", "with smtplib.SMTP(host, 587) as server:"), ("mail.py", 19, "send", "deliver(host, batch)")),
)  # fmt: skip
UNAUTHORIZED = Failure(
    "PermissionError", "crm answered 401: authorization=•••", (("crm.py", 88, "push", "raise PermissionError(answer.text)"),)
)
DECLINED = Failure(
    "ValueError", "card of invoice {number} was declined by the issuer", (("payments.py", 131, "charge", "raise ValueError(reason)"),)
)
BAD_RELEASE = Failure(
    "TypeError", "convert() missing 1 required positional argument: 'currency'",
    (("payments.py", 97, "charge", "amount = convert(invoice.amount)"),),
)  # fmt: skip
TIMEOUT = Failure(
    "TimeoutError", "the partner did not answer within 30 s", (("partners.py", 52, "call", "answer = session.post(url, timeout=30)"),)
)
DISK_FULL = Failure(
    "OSError", "[Errno 28] No space left on device: '/var/exports/{number}.pdf'", (("exports.py", 23, "write", "file.write(page)"),)
)
FAILURES: Final = (SMTP, UNAUTHORIZED, DECLINED, BAD_RELEASE, TIMEOUT, DISK_FULL)


class Kind(NamedTuple):
    """A task name. `weight`: how often it runs beside the others. `args` and `result` are as they are displayed, with `{number}`."""

    app: str
    engine: str
    name: str
    queue: str
    weight: int
    run_ms: int
    args: str
    result: str = "null"
    failure: Failure | None = None
    rate: float = 0.0
    route: str = ""


KINDS: Final = (
    Kind("shop", "celery", "emails.send_campaign", "emails", 9, 420, '["c_{number}", 500]', '{"sent": 500}', SMTP, 0.05),
    Kind("shop", "celery", "emails.send_receipt", "emails", 8, 180, "[{number}]", '"sent"', SMTP, 0.02, "POST /orders"),
    Kind("shop", "celery", "users.reset_mail", "emails", 3, 90, '[{number}] {"token": "•••"}', "null", SMTP, 0.02, "POST /reset"),
    Kind("shop", "celery", "users.sync_crm", "default", 4, 900, '[{number}] {"authorization": "•••"}', '{"new": 4}', UNAUTHORIZED, 0.06),
    Kind("shop", "celery", "billing.charge", "billing", 8, 350, "[{number}, 1999]", '{"paid": 1999}', DECLINED, 0.05, "POST /checkout"),
    Kind("shop", "celery", "billing.remind", "billing", 3, 60, "[{number}]", '"reminded"'),
    Kind("shop", "celery", "billing.refund", "billing", 1, 400, "[{number}]", '"refunded"', DECLINED, 0.03),
    Kind("shop", "celery", "inventory.reserve", "default", 5, 70, '[{number}, "SKU-0042"]', '{"shelf": "B-14"}'),
    Kind("shop", "celery", "reports.export_pdf", "exports", 3, 7_800, '[{number}, "a4"]', '{"pages": 32}', DISK_FULL, 0.06, "GET /reports"),
    Kind("shop", "celery", "reports.month_end", "exports", 1, 19_000, '["2026-11"]', '{"rows": 41822}', DISK_FULL, 0.03),
    Kind("shop", "celery", "search.reindex", "search", 3, 1_900, '["products", {number}]', '{"indexed": 1200}'),
    Kind("shop", "celery", "thumbs.make", "thumbs", 9, 240, '["a/{number}.jpg"]', '"a/{number}.webp"'),
    Kind("shop", "celery", "orders.price", "default", 6, 30, "[{number}]", "1499", route="POST /orders"),
    Kind("shop", "celery", "orders.confirm", "default", 6, 40, "[1499]", '"confirmed"'),
    Kind("shop", "celery", "carts.expire", "default", 3, 20, "[{number}]"),
    Kind("shop", "celery", "metrics.rollup", "default", 2, 800, "[[4, 8, 15]]", "27"),
    Kind("documents", "rq", "documents.render_invoice", "documents", 5, 600, '[{number}, "modern"]', '"{number}.pdf"', DISK_FULL, 0.03),
    Kind("documents", "rq", "documents.scan_upload", "documents", 5, 350, '["/uploads/{number}.docx"]', '{"verdict": "clean"}'),
    Kind("documents", "rq", "documents.sign_contract", "documents", 1, 900, '[{number}] {"password": "•••"}', "true"),
    Kind("documents", "rq", "documents.archive_month", "documents", 1, 12_000, '["2026-10"]', "1822", DISK_FULL, 0.03),
    Kind("documents", "rq", "partners.push_order", "partners", 5, 2_300, '["north", {number}] {"api_key": "•••"}', "true", TIMEOUT, 0.08),
    Kind("documents", "rq", "partners.pull_prices", "partners", 2, 3_100, '["southwind"]', "211", TIMEOUT, 0.05),
    Kind("media", "dramatiq", "media.transcode", "video", 3, 24_000, '["v_{number}.mov", 1080]', "null", DISK_FULL, 0.03),
    Kind("media", "dramatiq", "media.watermark", "images", 4, 500, '["i_{number}.png"]'),
    Kind("media", "dramatiq", "media.probe", "images", 4, 120, '["v_{number}.mov"]'),
    Kind("media", "dramatiq", "media.publish", "video", 2, 700, "[{number}]", "null", TIMEOUT, 0.03),
    Kind("media", "dramatiq", "media.clean_up", "images", 1, 60, "[{number}]"),
    Kind("media", "taskiq", "recommend.rank", "recommend", 6, 110, '[{number}] {"limit": 2}', "[3, 5]", TIMEOUT, 0.04),
    Kind("media", "taskiq", "recommend.train", "recommend", 1, 41_000, '["loyal"] {"password": "•••"}', "0.93", TIMEOUT, 0.05),
    Kind("media", "taskiq", "recommend.forget", "recommend", 1, 20, "[{number}]"),
    Kind("media", "taskiq", "recommend.refresh", "recommend", 2, 900, "[]", "1"),
    Kind("warehouse", "arq", "hooks.deliver", "arq:queue", 6, 260, '["https://hooks.example/7", "order.paid"]', "200", TIMEOUT, 0.06),
    Kind("warehouse", "arq", "leads.enrich", "arq:queue", 3, 480, "[{number}]", '{"score": 61}', UNAUTHORIZED, 0.02),
    Kind("warehouse", "arq", "drafts.sweep", "arq:queue", 1, 30, "[]", "3"),
    Kind("warehouse", "huey", "warehouse.warm_cache", "warehouse", 5, 70, '["/products/{number}"]', "16", TIMEOUT, 0.03),
    Kind("warehouse", "huey", "warehouse.print_label", "warehouse", 4, 120, "[{number}]", '"label-{number}"', DISK_FULL, 0.03),
    Kind("warehouse", "huey", "warehouse.count_stock", "warehouse", 2, 300, '["hall-2"]', "1822"),
    Kind("warehouse", "huey", "warehouse.reorder", "warehouse", 2, 200, '["SKU-0042", 12]', "true", TIMEOUT, 0.05),
    Kind("warehouse", "arq", "stock.push", "arq:queue", 2, 320, '["hall-2", {number}]', "true", TIMEOUT, 0.03),
    Kind("warehouse", "huey", "warehouse.pack_order", "warehouse", 2, 8_000, "[{number}]", '"packed {number}"'),
)  # fmt: skip
"""40 names."""
SLOW: Final = Kind("shop", "celery", "prices.refresh", "default", 0, 220, "[{number}]", "true")
QUICK: Final = Kind("shop", "celery", "feeds.import", "default", 0, 900, "[{number}]", "true")
SELDOM: Final = Kind("shop", "celery", "feeds.publish", "default", 0, 150, "[{number}]", "true")
STEADY: Final = {SLOW: 16 * MINUTE, QUICK: 16 * MINUTE, SELDOM: 80 * MINUTE}
"""Names that have run every two minutes for a day, until this long before the demo: what `faults` shows of them is compared with it."""
REAL: Final = "huey"
"""The engine that the demo runs; the others have recorded agents."""
VERSIONS: Final = {"celery": "5.7.0", "rq": "2.6.0", "dramatiq": "2.1.0", "taskiq": "0.12.1", "arq": "0.27.0"}


OPTIONS: Final = {
    "celery": {
        "worker_prefetch_multiplier": "4", "task_acks_late": "no", "task_serializer": "json", "accept_content": "json",
    },
    "rq": {"worker class": "Worker", "serializer": "rq.serializers.DefaultSerializer"},
    "dramatiq": {"prefetch": "2 per thread", "encoder": "dramatiq.encoder.JSONEncoder"},
    "taskiq": {"serializer": "taskiq.serializers.json_serializer.JSONSerializer", "ack-type": "when_saved"},
    "arq": {"job_serializer": "pickle", "job_deserializer": "pickle"},
}  # fmt: skip
"""What the agents of each engine report of their workers."""


class Worker(NamedTuple):
    """A process of an app that runs tasks."""

    app: str
    engine: str
    environment: str
    name: str
    host: str
    pool: str
    concurrency: int


WORKERS: Final = (
    *(Worker("shop", "celery", PRODUCTION, f"celery@shop-{number}", f"shop-{number}", "prefork", 8) for number in (1, 2, 3)),
    Worker("shop", "celery", STAGING, "celery@staging-1", "staging-1", "prefork", 2),
    Worker("documents", "rq", PRODUCTION, "rq-docs-1", "docs-1", "fork", 1),
    Worker("documents", "rq", PRODUCTION, "rq-docs-2", "docs-2", "fork", 1),
    Worker("documents", "rq", STAGING, "rq-staging", "staging-1", "fork", 1),
    Worker("media", "dramatiq", PRODUCTION, "dramatiq@media-1", "media-1", "threads", 8),
    Worker("media", "dramatiq", STAGING, "dramatiq@staging-1", "staging-1", "threads", 2),
    Worker("media", "taskiq", PRODUCTION, "taskiq@gpu-1", "gpu-1", "async", 4),
    Worker("media", "taskiq", STAGING, "taskiq@staging-1", "staging-1", "async", 4),
    Worker("warehouse", "arq", PRODUCTION, "arq@hall-1", "hall-1", "async", 10),
    Worker("warehouse", "huey", PRODUCTION, "huey@hall-1", "hall-1", "thread", 2),
)
APPS: Final = ("shop", "documents", "media", "warehouse")


def queues_of(app: str, engine: str) -> list[str]:
    """The queues of an engine of an app."""
    return sorted({kind.queue for kind in KINDS if (kind.app, kind.engine) == (app, engine)})
