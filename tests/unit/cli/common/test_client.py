# SPDX-License-Identifier: AGPL-3.0-or-later
"""The token of the command line reaches the server, and no proxy on the way to one of this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.support.endpoints import endpoint
from z4j.cli.common.client import Client
from z4j.exceptions import StoreError


@contextmanager
def listening(heard: list[str]) -> Iterator[int]:
    """A server or proxy that notes who asks for what, and answers with an empty object."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(f"{self.path} {self.headers['Authorization']}")
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the terminal."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a proxy of the environment was asked."""
    heard: list[str] = []
    with listening(heard) as port:
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        yield heard


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "[::ffff:127.0.0.1]"])
def test_a_server_of_this_machine_is_asked_without_the_proxy(proxied: list[str], host: str) -> None:
    heard: list[str] = []
    with listening(heard) as port:
        if host == "127.0.0.2":
            with pytest.raises(StoreError, match="refused"):
                Client(f"http://{host}:{port}", "z4k_secret").get("/tasks")
        else:
            assert Client(f"http://{host}:{port}", "z4k_secret").get("/tasks") == {}
            assert heard == ["/api/v1/tasks Bearer z4k_secret"]
    assert proxied == []


def test_another_machine_is_asked_through_the_proxy(proxied: list[str]) -> None:
    assert Client("http://queue.example.org:7700", "z4k_secret").get("/tasks") == {}
    assert proxied == ["http://queue.example.org:7700/api/v1/tasks Bearer z4k_secret"]


def test_a_redirection_does_not_take_the_token_elsewhere() -> None:
    heard: list[str] = []
    with listening(heard) as port, endpoint() as server:
        server.statuses[:] = [302]
        server.location = f"http://localhost:{port}/elsewhere"
        with pytest.raises(StoreError, match="redirects elsewhere") as failed:
            Client(server.url, "z4k_secret").get("/tasks")
        assert "address of the server itself" in failed.value.hint
    assert heard == []
