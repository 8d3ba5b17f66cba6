# SPDX-License-Identifier: AGPL-3.0-or-later
"""A recorded agent's connection: it dials in, reports, and answers commands with recorded results, as the protocol says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from z4j_agent import wire

NOTE = "demo: a recorded result, nothing was executed"
HEARTBEAT_S = 5.0
RETRY_S = 1.0
Facts = dict[str, Any]


def now() -> int:
    """Microseconds UTC."""
    return time.time_ns() // 1000


class Link:
    """One process of an application. Subclasses say what it is and what it answers."""

    def __init__(self, url: str, boot: str, hello: Facts) -> None:
        parts = urlsplit(url)
        self.address = f"ws://{parts.hostname}:{parts.port}/agent"
        self.token = (parts.username or "").partition(".")[0]
        self.boot = boot
        self.hello = {
            "type": "hello", "protocol": wire.PROTOCOL, "agent_version": "demo", "boot": boot, "spool": f"demo-{boot}", "pid": 7,
            "denied": [], "shipper": True, "allow": "all", "redaction": 1 << 30, "authenticates_originals": True,
        } | hello  # fmt: skip
        self.waiting: list[bytes] = []
        self.seq = self.acked = 0
        self.socket: ClientConnection | None = None
        self.skew_us = 0
        """By how much its clock is ahead."""
        self.away_s = 0.0
        """How long it stays away after it has closed its connection: a worker that was restarted."""

    async def run(self) -> None:
        """Stays connected until it is cancelled."""
        while True:
            with contextlib.suppress(ConnectionClosed, InvalidHandshake, OSError):
                await self._serve()
            await asyncio.sleep(self.away_s or RETRY_S)
            self.away_s = 0.0

    async def _serve(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with connect(self.address, additional_headers=headers, compression=None, max_size=wire.MAX_FRAME, proxy=None) as socket:
            self.socket, self.seq, self.acked = socket, 0, 0
            await self.say(self.hello | {"at": now() + self.skew_us})
            json.loads(await socket.recv())  # the welcome
            await self.report()
            await self.flush()
            beat = asyncio.create_task(self._beat())
            try:
                async for frame in socket:
                    await self._hear(json.loads(frame))
            finally:
                beat.cancel()
                self.socket = None

    async def _hear(self, frame: Facts) -> None:
        if frame["type"] == "ack":
            self.acked = frame["seq"]
        elif frame["type"] == "command":
            self.record("command", frame["id"], now(), "accepted", {})
            status, facts = self.execute(frame["action"], frame["params"])
            self.record("command", frame["id"], now(), status, {"note": NOTE} | facts)
            await self.changed()
        await self.flush()
        if self.away_s and self.socket is not None and self.seq == self.acked and not self.waiting:
            await self.say({"type": "goodbye", "reason": "restart"})
            await self.socket.close()

    async def _beat(self) -> None:
        while True:
            await self.say(
                {"type": "heartbeat", "at": now(), "running": self.running(), "spool_bytes": 0, "dropped": 0, "faults": 0, "shipper": True}
                | self.vitals()
            )
            await asyncio.sleep(HEARTBEAT_S)

    async def say(self, frame: Facts) -> None:
        """Sends a text frame, if it is connected."""
        if self.socket is not None:
            await self.socket.send(json.dumps(frame))

    def record(self, *fields: Any) -> None:
        """Adds a record to those that are sent next."""
        self.waiting.append(wire.encode_record(list(fields)))

    async def flush(self) -> None:
        """Sends the queued records, unless the window is full: the next ack calls this again."""
        if self.waiting and self.socket is not None and self.seq - self.acked < wire.WINDOW:
            self.seq += 1
            records, self.waiting = b"".join(self.waiting), []
            await self.socket.send(wire.pack_batch(self.seq, records))

    # -- what a subclass says --------------------------------------------------------------------------------------------
    async def report(self) -> None:
        """Reports what it has found, after each connect."""

    async def changed(self) -> None:
        """Reports what a command has changed."""

    async def live(self) -> None:
        """Does what nobody requested, until it is cancelled."""

    def running(self) -> list[list[Any]]:
        """The tasks that it holds."""
        return []

    def vitals(self) -> Facts:
        """Other fields of its heartbeat."""
        return {}

    def execute(self, action: str, params: Facts) -> tuple[str, Facts]:
        """Answers one command with (status, fields of the result)."""
        raise NotImplementedError
