# SPDX-License-Identifier: AGPL-3.0-or-later
"""A real Prometheus (the Debian package) that scrapes a server, and the answers of its HTTP API."""

from __future__ import annotations

import math
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2

from tests.support.stack import wait_for
from z4j_agent.conformance.harness import free_port

PROGRAM = "prometheus"
Labels = frozenset[tuple[str, str]]


@dataclass
class Prometheus:
    """One that runs, and scrapes once a second."""

    client: httpx2.Client

    def ask(self, path: str, **params: str) -> Any:
        answer = self.client.get(f"/api/v1/{path}", params=params)
        told = answer.json()
        assert told["status"] == "success", (params, told)
        return told["data"]

    def query(self, expression: str) -> dict[Labels, float]:
        """The series that an expression gives now, by their labels; that of a number has none."""
        data = self.ask("query", query=expression)
        if data["resultType"] == "scalar":
            return {frozenset(): float(data["result"][1])}
        return {frozenset(each["metric"].items()): float(each["value"][1]) for each in data["result"]}

    def scrapes(self) -> int:
        """How many it has stored."""
        found = self.query('count_over_time(up{job="z4j"}[10m])')
        return int(next(iter(found.values()), 0))

    def wait_for_scrapes(self, more: int) -> None:
        before = self.scrapes()
        wait_for(lambda: self.scrapes() >= before + more, seconds=30, what=f"Prometheus scrapes {more} times")


@contextmanager
def prometheus(folder: Path, address: str) -> Iterator[Prometheus]:
    """Scrapes `address` (host:port) each second. Raises FileNotFoundError if the program is not installed."""
    folder.mkdir()
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        f"scrape_configs: [{{job_name: z4j, static_configs: [{{targets: ['{address}']}}]}}]\n"
    )
    port = free_port()
    command = [
        PROGRAM, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=exemplar-storage",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
                wait_for(lambda: _is_ready(client, process, folder / "log"), seconds=30, what="Prometheus is ready")
                yield Prometheus(client)
        finally:
            process.kill()


def _is_ready(client: httpx2.Client, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()[-2000:]
    try:
        return client.get("/-/ready").status_code == 200
    except httpx2.TransportError:
        return False


@contextmanager
def served(read: Callable[[str], tuple[str, str]]) -> Iterator[str]:
    """Serves what `read` returns for an Accept header, content type and text, at the address that is yielded."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, text = read(self.headers["Accept"] or "")
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def is_number(value: float) -> bool:
    return math.isfinite(value) and value >= 0
