# SPDX-License-Identifier: AGPL-3.0-or-later
"""An HTTP server and a mail server of a test, which store what they receive. The HTTP server answers with the given status."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from z4j_agent.conformance.harness import free_port


@dataclass
class Endpoint:
    """What arrived: (path, headers, body) in order. `statuses` are the next answers; after them it is 200."""

    url: str = ""
    received: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    location: str = "/elsewhere"
    """Where an answer of 302 leads."""
    may_answer: threading.Event | None = None
    """Until it is set, requests are received and not answered."""

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, _, body in self.received]


@contextmanager
def endpoint(port: int = 0) -> Iterator[Endpoint]:
    """At a free port, unless one is given."""
    made = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            status = made.statuses.pop(0) if made.statuses else 200
            made.received.append((self.path, dict(self.headers), body))
            if made.may_answer is not None:
                made.may_answer.wait(60)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", made.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Mailbox:
    """The mails that arrived, in order."""

    port: int
    mails: list[bytes] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 -- the name that aiosmtpd calls
        self.mails.append(envelope.content)
        return "250 OK"


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    box = Mailbox(free_port())
    controller = Controller(box, hostname="127.0.0.1", port=box.port)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
