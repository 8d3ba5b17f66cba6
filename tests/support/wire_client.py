# SPDX-License-Identifier: AGPL-3.0-or-later
"""A raw agent: speaks the wire by hand, so that tests and benchmarks can send what no real agent would."""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from websockets.sync.client import ClientConnection, connect

from z4j_agent import wire


def now() -> int:
    return time.time_ns() // 1000


class WireClient:
    """One connection to the gateway of the server behind `url` (a connection string)."""

    def __init__(self, url: str, *, token: str | None = None, boot: str = "", say_hello: bool = True) -> None:
        parts = urlsplit(url)
        self.boot = boot or os.urandom(6).hex()
        self.token = token if token is not None else (parts.username or "").partition(".")[0]
        self.seq = 0
        self._open = ExitStack()
        self.socket: ClientConnection = self._open.enter_context(
            connect(
                f"ws://{parts.hostname}:{parts.port}/agent",
                additional_headers={"Authorization": f"Bearer {self.token}"},
                compression=None,
                max_size=None,
                max_queue=None,  # a client that never reads would stop answering pings at its 17th frame
                ping_interval=None,
                open_timeout=60,  # on a machine that is busy
                proxy=None,
            )
        )
        if say_hello:
            self.say(self.hello())
            self.welcome = self.hear()

    def hello(self, **changes: Any) -> dict[str, Any]:
        return {
            "type": "hello", "protocol": wire.PROTOCOL, "agent_version": "0.1.0", "boot": self.boot, "spool": "bench", "host": "test",
            "pid": os.getpid(), "role": "worker", "worker": "raw@test", "environment": "production", "release": "r1",
            "engines": {"celery": "5.7.0"}, "capabilities": [], "allow": "operate", "denied": [], "shipper": True, "at": now(),
        } | changes  # fmt: skip

    def say(self, frame: dict[str, Any]) -> None:
        self.socket.send(json.dumps(frame))

    def hear(self, seconds: float = 10) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.socket.recv(timeout=seconds))
        return answer

    def send(self, records: bytes) -> int:
        self.seq += 1
        self.socket.send(wire.pack_batch(self.seq, records))
        return self.seq

    def send_and_wait(self, records: bytes) -> None:
        """Returns when the batch is acked, which is after its commit."""
        seq = self.send(records)
        while (frame := self.hear())["type"] != "ack" or frame["seq"] < seq:
            pass

    def origin(self) -> bytes:
        facts = {
            "host": "test", "pid": 1, "role": "worker", "worker": "raw@test", "app": "", "environment": "production", "release": "r1",
            "engines": {},
        }  # fmt: skip
        return wire.encode_record(["origin", self.boot, now(), facts])

    def __enter__(self) -> WireClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()


def life(boot: str, number: int, at: int, *, name: str = "shop.ship", queue: str = "work") -> bytes:
    """The records of one small task that succeeded: enqueued with its payload, received, started, succeeded."""
    task_id = str(UUID(int=(number << 64) | 0x8000_0000_0000_0000 | number * 2654435761 % (1 << 32)))
    run = f"{boot}.7"
    head = ["celery", task_id, 0]
    payload = "AFsxLCAyXQ=="  # format byte 0 and a plain JSON body of a realistic length
    original = payload[:-2] + "A" * 200 + "=="
    records = [
        ["enqueued", *head, at, run, name, queue, None, None],
        [
            "payload",
            *head,
            at,
            run,
            name,
            queue,
            2,
            f'[{number}, "order"] {{"retry": false}}',
            False,
            [None, original],
            "plain",
        ],
        ["received", *head, at + 900, run, name, queue, None, None],
        ["started", *head, at + 2_000, run, name, queue, None],
        ["succeeded", *head, at + 9_000, run, name, queue, at + 900, at + 2_000, 7_000, '{"ok": true}', None],
    ]
    return b"".join(wire.encode_record(record) for record in records)
