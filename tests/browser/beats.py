# SPDX-License-Identifier: AGPL-3.0-or-later
"""Invented schedulers that speak the real wire: each lists its entries, tells of fires, and does what it is asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.support.wire_client import WireClient, now
from z4j_agent import wire

SECOND = 1_000_000
CHANGES = ("save_schedule", "delete_schedule", "enable_schedule", "disable_schedule", "fire_schedule")
NATIVE = {"rq_scheduler": ("rq", "redis"), "taskiq_scheduler": ("taskiq", "redis"), "apscheduler": ("apscheduler", "sqlalchemy"),
          "celery_beat": ("celery", "django")}  # fmt: skip
IN_CODE = {"huey_periodic": ("huey", "code"), "arq_cron": ("arq", "code"), "rq_cron": ("rq", "code")}
ENTRIES: dict[str, list[tuple[str, str, str, str, str, str]]] = {
    "celery_beat": [
        ("nightly-export", "cron", "30 2 * * *", "Europe/Berlin", "exports.render_report_as_pdf", "[]"),
        ("crm-sync", "interval", "300", "", "users.sync_crm", '["full"]'),
        ("month-end", "cron", "0 5 1 * *", "Europe/Berlin", "billing.charge", '[{"token": "•••"}]'),
    ],
    "rq_scheduler": [("weekly-digest", "cron", "0 7 * * mon", "UTC", "emails.send_campaign", "[]")],
    "rq_cron": [("thumbs-sweep", "cron", "*/15 * * * *", "UTC", "thumbs.make", "[]")],
    "huey_periodic": [("inventory.reconcile", "cron", "0 5 * * *", "UTC", "inventory.reserve", "[]")],
    "arq_cron": [("metrics.rollup", "cron", "0 */5 * * * *", "UTC", "metrics.rollup", "[]")],
    "taskiq_scheduler": [("hook-retry", "interval", "600", "", "hooks.deliver", "[]")],
    "apscheduler": [("reindex-products", "cron", "0 5 * * sun", "America/New_York", "search.reindex", "[]")],
}


class Beat:
    """One scheduler's process."""

    def __init__(self, url: str, scheduler: str) -> None:
        self.scheduler = scheduler
        self.engine, self.store = (NATIVE | IN_CODE)[scheduler]
        able = CHANGES if scheduler in NATIVE else ("apply_overrides", "fire_schedule")
        self.stack = ExitStack()
        self.client = self.stack.enter_context(WireClient(url, say_hello=False))
        self.client.say(
            self.client.hello(
                role="scheduler", worker=f"{scheduler}@beat-1", host="beat-1", spool=f"spool-{scheduler}", engines={self.engine: "1"},
                capabilities=[[scheduler, action, "any", "exact", [], ""] for action in able], allow="all",
            )
        )  # fmt: skip
        self.client.hear()
        self.code = {
            key: self.entry(key, kind, expression, zone, name, args) for key, kind, expression, zone, name, args in ENTRIES[scheduler]
        }
        self.entries = {key: dict(entry) for key, entry in self.code.items()}
        self.applied = ""
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.tell()

    def entry(self, key: str, kind: str, expression: str, zone: str, name: str, args: str) -> dict[str, Any]:
        next_at = now() // (60 * SECOND) * 60 * SECOND + 3_600 * SECOND
        return {
            "key": key, "name": key, "kind": kind, "expression": expression, "timezone": zone, "task_name": name, "args": args,
            "kwargs": "{}", "queue": "", "priority": None, "is_enabled": True, "next_at": next_at, "last_at": now() - 60 * SECOND,
            "is_code": self.scheduler in IN_CODE, "unable": {}, "note": "",
        }  # fmt: skip

    def tell(self, *, is_firing: bool = True) -> None:
        self.client.say(
            {
                "type": "schedules", "scheduler": self.scheduler, "engine": self.engine, "store": self.store, "is_firing": is_firing,
                "tick_us": 5 * SECOND, "timezone": "UTC", "can_create": True, "applied": self.applied, "failed": {}, "notes": [],
                "is_cut": False, "entries": list(self.entries.values()),
            }
        )  # fmt: skip

    def fire(self, key: str, *, count: int = 20, late_s: Callable[[int], float] = lambda number: 0.2, outcome: str = "sent") -> None:
        """So many past fires, a quarter of an hour apart. Call it before `start`."""
        records = []
        for number in range(count):
            due = now() - (count - number) * 900 * SECOND
            at = due + int(late_s(number) * SECOND)
            facts = {
                "scheduler": self.scheduler, "schedule": key, "due_at": due, "task_id": f"00000000-0000-4000-8000-{number:012}",
                "outcome": outcome, "error": "" if outcome == "sent" else "ConnectionError: the broker refused",
            }  # fmt: skip
            records.append(["fired", f"{self.client.boot}.7", at, facts])
        self.client.send_and_wait(b"".join(wire.encode_record(record) for record in records))

    def start(self) -> None:
        self.thread.start()

    def serve(self) -> None:
        try:
            for frame in self.client.socket:
                said = json.loads(frame)
                if said["type"] == "command":
                    self.execute(said)
        except ConnectionClosed:
            return  # the test is over

    def execute(self, command: dict[str, Any]) -> None:
        action, params, answer = command["action"], command["params"], {}
        with self.lock:
            if action == "apply_overrides":
                self.apply(params["overrides"])
            elif action == "save_schedule":
                answer = {"key": self.save(params)}
            elif action == "delete_schedule":
                self.entries.pop(params["key"], None)
            elif action in ("enable_schedule", "disable_schedule"):
                self.entries[params["key"]]["is_enabled"] = action == "enable_schedule"
            self.client.send(wire.encode_record(["command", command["id"], now(), "done", answer]))
            self.tell()

    def save(self, spec: dict[str, Any]) -> str:
        key = spec["key"] or spec["name"]
        made = self.entries.get(key) or self.entry(key, spec["kind"], spec["expression"], spec["timezone"], spec["task_name"], "[]")
        made |= {name: spec[name] for name in ("name", "kind", "expression", "timezone", "task_name", "queue", "is_enabled")}
        for name in ("args", "kwargs"):
            if spec[name] is not None:
                made[name] = json.dumps(spec[name])
        self.entries[key] = made
        return str(key)

    def apply(self, overrides: list[dict[str, Any]]) -> None:
        self.entries = {key: dict(entry) for key, entry in self.code.items()}
        for of in overrides:
            if of["is_deleted"]:
                self.entries.pop(of["key"], None)
                continue
            if of["spec"] is not None:
                self.save({**of["spec"], "key": of["key"]})
            self.entries[of["key"]]["is_enabled"] = of["is_enabled"]
        self.applied = wire.digest_of(overrides)

    def close(self) -> None:
        self.stack.close()


def start_beats(url: str) -> list[Beat]:
    """One of each, with a past."""
    found = [Beat(url, scheduler) for scheduler in ENTRIES]
    by_name = {beat.scheduler: beat for beat in found}
    by_name["celery_beat"].fire("nightly-export", count=50, late_s=lambda number: 0.1 + number % 5)
    by_name["celery_beat"].fire("crm-sync", late_s=lambda number: 25.0 if number in (7, 8) else 0.3)
    by_name["huey_periodic"].fire("inventory.reconcile")
    by_name["apscheduler"].fire("reindex-products", count=12)
    by_name["apscheduler"].fire("reindex-products", count=1, outcome="failed")
    for beat in found:
        beat.start()
    return found
