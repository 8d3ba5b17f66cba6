# SPDX-License-Identifier: Apache-2.0
"""What is sent again and what is not, and every failure as an exception of the client, over real HTTP with both faces."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import z4j_client
from z4j_client import AsyncClient, Client

PROBLEM = {"type": "about:blank", "title": "Conflict", "status": 409, "detail": "It has ended.", "hint": "Retry it.", "request": "r-7"}
TOKEN = "z4k_0123456789abcdef"


class Server(ThreadingHTTPServer):
    """Answers each request with the next of `answers`: (status, body, headers)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, bytes, dict[str, str]]] = []
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        status, text, headers = self.server.answers.pop(0)
        if status == 0:  # the connection ends without an answer
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(text))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = answer  # noqa: N815 -- the names of http.server

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def answer(body: Any, status: int = 200, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    return status, body if isinstance(body, bytes) else json.dumps(body).encode(), headers


def ask(face: str, server: Server, group: str, method: str, *args: Any, **options: Any) -> Any:
    if face == "sync":
        with Client(server.address, token=TOKEN) as client:
            return getattr(getattr(client, group), method)(*args, **options)

    async def run() -> Any:
        async with AsyncClient(server.address, token=TOKEN) as client:
            return await getattr(getattr(client, group), method)(*args, **options)

    return asyncio.run(run())


FACES = pytest.mark.parametrize("face", ["sync", "async"])


@FACES
def test_a_request_is_what_the_api_expects(server: Server, face: str) -> None:
    server.answers = [answer({"schedules": []}), answer({"id": 7, "task_id": ""}, 202)]
    ask(face, server, "schedules", "list", app="a & b")
    ask(face, server, "schedules", "act", 7, action="fire", reason="größer")
    (_, path, headers, _), (method, where, _, body) = server.seen
    assert (path, headers["Authorization"]) == ("/api/v1/schedules?app=a+%26+b", f"Bearer {TOKEN}")
    assert headers["User-Agent"].startswith("z4j-client/")
    assert (method, where) == ("POST", "/api/v1/schedules/7/actions")
    assert json.loads(body) == {"action": "fire", "reason": "größer", "confirm": ""}


@FACES
@pytest.mark.parametrize("first", [answer(b"", 503), answer(b"", 502), answer(b"", 429, **{"Retry-After": "0"}), (0, b"", {})])
def test_a_read_that_fails_is_sent_again(server: Server, face: str, first: Any) -> None:
    server.answers = [first, first, answer({"schedules": []})]
    assert ask(face, server, "schedules", "list").schedules == []
    assert len(server.seen) == 3


@FACES
@pytest.mark.parametrize("first", [answer(PROBLEM | {"status": 503}, 503), (0, b"", {})])
def test_an_action_is_never_sent_again(server: Server, face: str, first: Any) -> None:
    server.answers = [first]
    with pytest.raises((z4j_client.Unavailable, z4j_client.ConnectionFailed)):
        ask(face, server, "plans", "pause", 7)
    assert len(server.seen) == 1


@FACES
def test_an_error_has_what_the_server_said(server: Server, face: str) -> None:
    server.answers = [answer(PROBLEM, 409)]
    with pytest.raises(z4j_client.WrongState) as error:
        ask(face, server, "plans", "pause", 7)
    found = error.value
    assert (found.status, found.title, found.message, found.hint, found.request_id) == (
        409,
        "Conflict",
        "It has ended.",
        "Retry it.",
        "r-7",
    )
    assert str(found) == "It has ended. Retry it."


@FACES
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (answer(b"<html>"), "is not JSON"), (answer([]), "an object was expected"), (answer({}), "schedules is missing"),
        (answer({"schedules": 7}), "a list was expected"), (answer(b"", 308, Location="https://elsewhere"), "redirects elsewhere"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_of_this_api_is_refused(server: Server, face: str, given: Any, words: str) -> None:
    server.answers = [given]
    with pytest.raises(z4j_client.BadResponse, match=words):
        ask(face, server, "schedules", "list")
    assert len(server.seen) == 1


@FACES
def test_an_answer_of_something_in_between_keeps_its_status(server: Server, face: str) -> None:
    server.answers = [answer(b"Teapot", 418)]
    with pytest.raises(z4j_client.ApiError, match="responded with 418") as error:
        ask(face, server, "schedules", "list")
    assert error.value.status == 418


@FACES
def test_without_a_server_the_address_is_named(server: Server, face: str) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(z4j_client.ConnectionFailed, match=server.address):
        ask(face, server, "schedules", "list")


@FACES
def test_a_server_that_does_not_answer_is_not_waited_for(face: str) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        client: Any = (Client if face == "sync" else AsyncClient)(f"http://127.0.0.1:{silent.getsockname()[1]}", token=TOKEN, timeout=0.3)

        async def run() -> None:
            await client.schedules.list()

        with pytest.raises(z4j_client.TimedOut, match="within the timeout"):
            client.schedules.list() if face == "sync" else asyncio.run(run())
