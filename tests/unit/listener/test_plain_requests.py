# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from z4j.listener.plain_requests import PlainRequests


def ask(method: str = "GET", path: str = "/tasks", query: str = "", kind: str = "http", **headers: str) -> tuple[int, str, str]:
    """Status, location and text."""
    sent: list[dict[str, Any]] = []
    given = {"host": "box:7700", **headers}
    scope = {
        "type": kind, "method": method, "raw_path": path.encode(), "query_string": query.encode(), "client": ("192.0.2.1", 5),
        "headers": [(name.encode(), value.encode()) for name, value in given.items() if value],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(PlainRequests()(scope, receive, send))
    start = sent[0]
    location = next((value.decode() for name, value in start["headers"] if name == b"location"), "")
    return start["status"], location, sent[1]["body"].decode()


def test_a_person_without_a_credential_is_redirected() -> None:
    assert ask(query="state=failed")[:2] == (308, "https://box:7700/tasks?state=failed")
    assert ask("HEAD", "/")[:2] == (308, "https://box:7700/")
    assert ask(host="[2001:db8::5]:7700")[:2] == (308, "https://[2001:db8::5]:7700/tasks")


@pytest.mark.parametrize(
    "given", [{"cookie": "a=b; z4j_session=x"}, {"authorization": "Bearer x"}, {"query": "code=x"}, {"query": "a=b&token=x"}]
)
def test_a_credential_in_clear_is_refused_and_the_answer_says_to_revoke_it(given: dict[str, str]) -> None:
    status, location, text = ask(**given)
    assert (status, location) == (400, "")
    assert "revoke it" in text


def test_everything_else_is_refused() -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "BREW"):
        assert ask(method)[:2] == (400, "")
    status, location, text = ask(kind="websocket", authorization="Bearer z4a_x")
    assert (status, location) == (400, "")
    assert "z4j://" in text


@pytest.mark.parametrize("host", ["", "box evil", "a/b", "box\\@evil", "box:port", "user@box"])
def test_a_redirect_goes_to_a_plain_host_only(host: str) -> None:
    assert ask(host=host)[:2] == (400, "")


def test_a_path_cannot_become_another_host() -> None:
    assert ask(path="//evil.example/x")[1] == "https://box:7700//evil.example/x"
    assert ask(path="http://evil.example/x")[1] == "https://box:7700/"


def test_a_cookie_of_another_application_on_this_host_is_no_alarm() -> None:
    assert ask(cookie="theme=dark; xz4j_session=1")[:2] == (308, "https://box:7700/tasks")


@pytest.mark.parametrize("path", ["/login", "/login/code?x=1", "/setup"])
def test_a_password_in_clear_is_named(path: str) -> None:
    status, location, text = ask("POST", path)
    assert (status, location) == (400, "")
    assert "revoke it" in text
