# SPDX-License-Identifier: AGPL-3.0-or-later
"""Clients without any credential, as many as asked: `python -m tests.support.strangers PORT CLIENTS SECONDS`.

A third tries passwords, a third holds idle connections (and some that send half a request), a third opens WebSockets without a token.
Each goes on as soon as it is answered or closed. Prints what came back as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable

SOCKET = (
    "GET /agent HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
FORM = (
    "POST /login HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\nAccept: text/html\r\nConnection: close\r\n"
    "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}"
)
HALF = "GET /login HTTP/1.1\r\nHost: x\r\nX-Slow: "


class Strangers:
    def __init__(self, port: int, seconds: float) -> None:
        self.port = port
        self.ends = time.monotonic() + seconds
        self.seen: Counter[str] = Counter()

    async def talk(self, text: str) -> str:
        """Sends, and returns the first line that comes back; "" when the connection is closed without one."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(text.encode())
            await writer.drain()
            line = (await reader.readline()).decode("latin-1").split()
            await reader.read()
            return line[1] if len(line) > 1 else ""
        finally:
            writer.close()

    async def try_a_password(self, number: int) -> None:
        body = f"name=ada&password=wrong+password+{number}&back="
        self.seen[f"password {await self.talk(FORM.format(port=self.port, length=len(body), body=body))}"] += 1

    async def hold_a_socket(self, number: int) -> None:
        self.seen[f"idle {await self.talk('' if number % 2 else HALF)}"] += 1

    async def open_a_socket(self, number: int) -> None:
        self.seen[f"websocket {await self.talk(SOCKET.format(port=self.port))}"] += 1

    async def go_on(self, number: int, do: Callable[[int], Awaitable[None]]) -> None:
        while (left := self.ends - time.monotonic()) > 0:
            try:
                await asyncio.wait_for(do(number), left)
            except (OSError, TimeoutError):
                self.seen["cut"] += 1
                await asyncio.sleep(0.01)

    async def run(self, clients: int) -> None:
        kinds = (self.try_a_password, self.hold_a_socket, self.open_a_socket)
        await asyncio.gather(*(self.go_on(number, kinds[number % 3]) for number in range(clients)))


if __name__ == "__main__":
    strangers = Strangers(int(sys.argv[1]), float(sys.argv[3]))
    asyncio.run(strangers.run(int(sys.argv[2])))
    print(json.dumps(strangers.seen))
