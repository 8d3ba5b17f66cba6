# SPDX-License-Identifier: AGPL-3.0-or-later
"""An invented agent that can everything and answers every command at once, over the real wire."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.browser.seed import NAMES
from tests.support.wire_client import WireClient, now
from z4j.rules.commands import RULES
from z4j_agent import wire

CAPABILITIES: list[list[Any]] = [
    ["celery", action, "any", "exact", [], f"{rule.label}, as Celery does it."] for action, rule in RULES.items()
]


class Responder:
    """One worker, `celery@host-0`. What it was asked stands in `asked`."""

    def __init__(self, url: str) -> None:
        self.client = WireClient(url, say_hello=False)
        self.client.say(self.client.hello(worker="celery@host-0", host="host-0", capabilities=CAPABILITIES, allow="all", spool="spool-0"))
        self.client.hear()
        queues = sorted({queue for _, queue in NAMES})
        worker = {"name": "celery@host-0", "pool": "prefork", "concurrency": 8, "queues": queues, "pids": [1], "notes": []}
        found = {"type": "discovery", "engine": "celery", "tasks": [], "queues": [["emails", 3, 1, None]], "worker": worker}
        self.client.say(found)
        self.say_alive()
        self.asked: list[dict[str, Any]] = []
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=target, daemon=True) for target in (self.answer, self.beat)]
        for thread in self.threads:
            thread.start()

    def beat(self) -> None:
        """What keeps the worker from being taken for silent."""
        with contextlib.suppress(ConnectionClosed):  # the server or the test has ended
            while not self.is_over.wait(5):
                self.say_alive()

    def say_alive(self) -> None:
        """Still here, holding one task."""
        held = [["celery", "held-task", 0, "emails.send_campaign", "emails", now() - 95_000_000, 7]]
        self.client.say({"type": "heartbeat", "at": now(), "running": held, "spool_bytes": 0, "dropped": 0, "faults": 0, "shipper": True})

    def answer(self) -> None:
        """Until the connection ends; at most a window of batches without an ack, as the protocol says."""
        waiting: list[bytes] = []
        acked = 0
        try:
            for frame in self.client.socket:
                said = json.loads(frame)
                if said["type"] == "ack":
                    acked = said["seq"]
                elif said["type"] == "command":
                    self.asked.append(said)
                    told: tuple[tuple[str, dict[str, Any]], ...] = (("accepted", {}), ("done", facts_of(said)))
                    waiting += [wire.encode_record(["command", said["id"], now(), status, facts]) for status, facts in told]
                if waiting and self.client.seq - acked < wire.WINDOW:
                    self.client.send(b"".join(waiting))
                    waiting = []
        except ConnectionClosed:
            pass  # the server or the test has ended

    def close(self) -> None:
        self.is_over.set()
        self.client.socket.close()
        for thread in self.threads:
            thread.join(5)


def facts_of(said: dict[str, Any]) -> dict[str, Any]:
    """What an adapter would answer."""
    match said["action"]:
        case "peek_queue":
            head = {"name": "emails.send_campaign", "due_at": None, "priority": None}
            tasks = [
                head | {"task_id": f"waits-{number}", "args": f'["c_{number}", 500]', "enqueued_at": now() - number * 1_000_000}
                for number in range(1, 13)
            ]
            return {"tasks": tasks}
        case "purge_queue":
            return {"tasks": 3, "first_at": now() - 1_000, "last_at": now()}
        case "resize_worker":
            return {"concurrency": 9}
    return {"task_id": said["params"].get("new_id", ""), "note": "so it was done"}
