# SPDX-License-Identifier: AGPL-3.0-or-later
"""Invented agents that speak the real wire: workers with queues, and tasks in every state, so that the pages have something to show."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from uuid import UUID

from tests.support.wire_client import WireClient, now
from z4j_agent import wire

SECOND = 1_000_000
NAMES = (
    ("emails.send_campaign", "emails"), ("exports.render_report_as_pdf", "exports"), ("search.reindex", "search"),
    ("users.reset_mail", "default"), ("thumbs.make", "thumbs"), ("billing.charge", "billing"), ("hooks.deliver", "hooks"),
    ("metrics.rollup", "periodic"), ("users.sync_crm", "default"), ("inventory.reserve", "default"),
    ("warehouse.replenishment.suppliers.request_quotation_from_every_supplier", "warehouse"),
)  # fmt: skip
TRACEBACK = """Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/celery/app/trace.py", line 479, in trace_task
    R = retval = fun(*args, **kwargs)
  File "/srv/shop/tasks.py", line 88, in send_campaign
    deliver(host, batch)
  File "/srv/shop/mail.py", line 44, in deliver
    raise ConnectionError("smtp.internal:587 refused")
ConnectionError: smtp.internal:587 refused
"""
OTHER_ERRORS = (
    ("IntegrityError", 'duplicate key value violates unique constraint "orders_ref_key"', "place_order"),
    ("ReadTimeout", "HTTPSConnectionPool(host='api.stripe.com', port=443): Read timed out. (read timeout=10)", "charge"),
    ("KeyError", "'sku'", "import_row"),
)
"""Errors of the tasks that are not `emails.send_campaign`: class, message, function."""
CAPABILITIES: list[list[Any]] = [["celery", action, "any", "exact", [], ""] for action in ("retry_task", "cancel_task", "terminate_task")]


class Shop:
    """Agents of one app, connected as long as this is open."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.random = random.Random(7)
        self.count = 0
        self.stack = ExitStack()
        self.workers: list[WireClient] = []
        self.held: dict[str, list[list[Any]]] = {}
        self.is_over = threading.Event()
        self.pulse = threading.Thread(target=self.beat, daemon=True)

    def __enter__(self) -> Shop:
        self.pulse.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self.pulse.join()
        self.stack.close()

    def beat(self) -> None:
        """What keeps a worker from being taken for silent."""
        while not self.is_over.wait(5):
            for worker in list(self.workers):
                self.say_alive(worker)

    def say_alive(self, worker: WireClient) -> None:
        """A heartbeat with what this worker holds: what it does not name any more would be taken for lost."""
        held = self.held.get(worker.boot, [])
        worker.say({"type": "heartbeat", "at": now(), "running": list(held), "spool_bytes": 0, "dropped": 0, "faults": 0, "shipper": True})

    def connect(self, number: int, *, environment: str = "production", **facts: Any) -> WireClient:
        """One more worker, with what it would tell."""
        worker = self.stack.enter_context(WireClient(self.url, say_hello=False))
        name = f"celery@host-{number}"
        worker.say(
            worker.hello(
                worker=name,
                host=f"host-{number}", environment=environment, capabilities=CAPABILITIES, allow="all", spool=f"spool-{number}",
                release="a1b2c3d", shipper=True,
            )
            | facts
        )  # fmt: skip
        worker.hear()
        queues = sorted({queue for _, queue in NAMES})
        found = [[queue, self.random.randrange(0, 400), self.random.randrange(1, 5), None] for queue in queues] + [
            [f"tenant-{n:02}", n * 3, 1, None] for n in range(16)
        ]
        worker.say(
            {
                "type": "discovery", "engine": "celery", "tasks": [[name, "(batch, size=500)", "", queue] for name, queue in NAMES],
                "queues": found,
                "worker": {
                    "name": name, "pool": "prefork", "concurrency": 8, "queues": queues[number % 3 :: 3], "pids": [1, 2], "notes": [],
                },
            }
        )  # fmt: skip
        self.say_alive(worker)
        facts_of_origin = {
            "host": f"host-{number}", "pid": 7, "role": "worker", "worker": name, "app": "", "environment": environment,
            "release": "a1b2c3d", "engines": {"celery": "5.7.0"},
        }  # fmt: skip
        worker.send_and_wait(wire.encode_record(["origin", worker.boot, now(), facts_of_origin]))
        self.workers.append(worker)
        return worker

    def new_id(self) -> str:
        self.count += 1
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def send(self, worker: WireClient, records: list[list[Any]]) -> None:
        worker.send_and_wait(b"".join(wire.encode_record(record) for record in records))

    def task(
        self, worker: WireClient, end: str, *, ago_s: float = 0, which: int | None = None, masked: bool = False, task_id: str = ""
    ) -> str:
        """Everything the agents would report of one task that ended (or did not) as `end`. Returns its task id."""
        task_id = task_id or self.new_id()
        name, queue = NAMES[self.random.randrange(len(NAMES)) if which is None else which]
        run = f"{worker.boot}.7"
        waited, ran = self.random.randrange(2_000, 14 * SECOND), self.random.randrange(3_000, 6 * SECOND)
        if not ago_s:  # just now, and newer than whatever stands on a page
            waited, ran = 1_500, 2_500
        at = now() - int(ago_s * SECOND) - (0 if ago_s else waited + ran)
        started = at + waited

        def record(kind: str, attempt: int, when: int, *rest: Any) -> list[Any]:
            return [kind, "celery", task_id, attempt, when, run, name, queue, *rest]

        args = json.dumps([f"c_{8000 + self.count}", 500]) + (' {"token": "•••"}' if masked else "")
        eta = at + 3600 * SECOND if end == "scheduled" else None
        records = [
            record("enqueued", 0, at, eta, {"code": "shop.views:41", "route": "POST /orders"}),
            record("payload", 0, at, 2, args, masked, [None, "AFsxLCAyXQ=="], "plain"),
        ]  # fmt: skip
        error = ["ConnectionError", "smtp.internal:587 refused", TRACEBACK]
        if (place := NAMES.index((name, queue))) > 2:
            kind, message, function = OTHER_ERRORS[place % len(OTHER_ERRORS)]
            where = f'  File "/srv/shop/{name.partition(".")[0]}.py", line 12, in {function}\n    go(order)\n'
            error = [kind, message, f"Traceback (most recent call last):\n{where}{kind}: {message}\n"]
        if end not in ("scheduled", "queued"):
            records.append(record("received", 0, at + 900, None, None))
        if end not in ("scheduled", "queued", "received", "expired", "rejected", "cancelled"):
            records.append(record("started", 0, started, None))
            records += self.said(record, started, end)
        if end == "running":
            self.held.setdefault(worker.boot, []).append(["celery", task_id, 0, name, queue, started, 7])
        match end:
            case "succeeded":
                records.append(record("succeeded", 0, started + ran, at + 900, started, ran, '{"sent": 500, "skipped": []}', None))
            case "failed":
                records.append(
                    record("failed", 0, started + ran, at + 900, started, ran, None, *error, None, [12_000, 1, 51_200, 2_048, 0])
                )
            case "retrying":
                records.append(record("retried", 0, started + ran, started, ran, now() + 90 * SECOND, None, *error, None))
            case "retried":
                records.append(record("retried", 0, started + ran, started, ran, started + ran + 20 * SECOND, None, *error, None))
                again = started + ran + 20 * SECOND
                records.append(record("started", 1, again, None))
                records.append(record("failed", 1, again + ran, again, again, ran, "time_limit", *error, None))
            case "cancelled":
                records.append(record("cancelled", 0, started, None, None, None, None, None))
            case "expired":
                records.append(record("expired", 0, started, None, None, None))
            case "rejected":
                records.append(record("rejected", 0, started, None, None, "unknown_task", "Received unregistered task", None, None))
            case "lost":
                records.append(record("lost", 0, started + ran, "child_killed", "signal 9 (SIGKILL)"))
        self.send(worker, records)
        return task_id

    @staticmethod
    def said(record: Callable[..., list[Any]], started: int, end: str) -> list[list[Any]]:
        """What the task reports about itself, and what it logs: with lines that are longer than a page is wide."""
        if end not in ("failed", "running"):
            return []
        note = {
            "fields": {"customer": [started, "c_8123"], "url": [started, "https://shop.example/orders/" + "8123/" * 30]},
            "ids": {"trace_id": [started, "4bf92f3577b34da6a3ce929d0e0e4736"]}, "progress": [started, 120, 500, "recipients"],
        }  # fmt: skip
        lines = (
            (20, "batch of 500 recipients", 0), (10, "connected to smtp.internal:587 in 12 ms", 0),
            (30, "slow answer " + "of_the_server_with_a_very_long_name" * 6, 0), (40, "refused\nTraceback:\n  …", 3),
        )  # fmt: skip
        logged = [
            record("logged", 0, started + number, started, number, level, "shop.mail", message, dropped)
            for number, (level, message, dropped) in enumerate(lines)
        ]
        return [record("started", 0, started, {"note": note}), *logged]

    def fill(self, *, workers: int = 24, tasks: int = 90) -> dict[str, str]:
        """Workers, and the newest `tasks` tasks in a mix of states. Returns one task id per state."""
        for number in range(1, workers + 1):
            self.connect(number, environment="staging" if number % 8 == 0 else "production")
        mix = ("succeeded",) * 9 + ("failed", "running", "retrying", "succeeded", "queued", "failed")
        found = {}
        for number in range(tasks):
            end = mix[number % len(mix)]
            found[end] = self.task(self.workers[number % len(self.workers)], end, ago_s=(tasks - number) * 9 + 30)
        for end in ("scheduled", "received", "cancelled", "expired", "rejected", "lost"):
            found[end] = self.task(self.workers[0], end, ago_s=400 + len(found))
        found["retried"] = self.task(self.workers[0], "retried", ago_s=120, which=0)
        found["masked"] = self.task(self.workers[1], "failed", ago_s=60, which=0, masked=True)
        return found
