# SPDX-License-Identifier: AGPL-3.0-or-later
"""Cycles are searched for between requests."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from z4j.web import garbage_collection
from z4j.web.frame.middleware import RequestEnvelope
from z4j.web.garbage_collection import MOST, OLDER, PAUSE_S, USUAL, YOUNG, BetweenRequests


@pytest.fixture(autouse=True)
def searches() -> Iterator[list[int]]:
    """The generations that were searched, with the thresholds of a server."""
    found: list[int] = []

    def note(phase: str, info: dict[str, Any]) -> None:
        if phase == "stop":
            found.append(info["generation"])

    before, is_enabled = gc.get_threshold(), gc.isenabled()
    gc.enable()
    gc.collect()
    gc.set_threshold(MOST, OLDER, OLDER)
    gc.callbacks.append(note)
    yield found
    gc.callbacks.remove(note)
    gc.set_threshold(*before)
    if not is_enabled:
        gc.disable()


class Node:
    """An object that its own cycle keeps."""

    def __init__(self) -> None:
        self.itself = self


def alive() -> int:
    return sum(isinstance(each, Node) for each in gc.get_objects())


async def pause() -> None:
    await asyncio.sleep(20 * PAUSE_S)


def test_the_search_waits_until_no_request_is_open(searches: list[int]) -> None:
    async def requests() -> None:
        collection = BetweenRequests()
        collection.begin()
        collection.begin()
        for _ in range(2 * YOUNG):  # objects of earlier tests that are freed meanwhile are subtracted
            Node()
        collection.end()
        await pause()
        assert (searches, alive()) == ([], 2 * YOUNG), "one request is open"
        collection.end()
        assert not searches, "its response may not have been sent yet"
        collection.begin()
        await pause()
        assert not searches, "another one came meanwhile"
        collection.end()
        await pause()

    asyncio.run(requests())
    assert (searches, alive()) == ([0], 0)


def test_python_searches_later_only_while_a_request_is_open() -> None:
    gc.set_threshold(USUAL, OLDER, OLDER)
    collection = BetweenRequests()
    collection.begin()
    collection.begin()
    assert gc.get_threshold() == (MOST, OLDER, OLDER)
    collection.end()
    assert gc.get_threshold() == (MOST, OLDER, OLDER), "one is open"
    collection.end()
    assert gc.get_threshold() == (USUAL, OLDER, OLDER)


def test_few_objects_are_left_for_later(searches: list[int]) -> None:
    async def requests() -> None:
        collection = BetweenRequests()
        collection.begin()
        for _ in range(YOUNG // 2):
            Node()
        collection.end()
        await pause()

    asyncio.run(requests())
    assert not searches


def test_older_generations_have_their_turns(searches: list[int]) -> None:
    async def requests() -> None:
        collection = BetweenRequests()
        for _ in range((OLDER + 2) ** 2):
            kept: list[list[int]] = [[] for _ in range(2 * YOUNG)]  # not in a cycle, but made
            collection.begin()
            collection.end()
            await asyncio.sleep(4 * PAUSE_S)
            del kept

    asyncio.run(requests())
    assert searches[: OLDER + 2] == [0] * (OLDER + 1) + [1]
    assert searches.count(2) == 1


def test_python_searches_at_once_while_requests_follow_each_other(searches: list[int]) -> None:
    collection = BetweenRequests()
    collection.begin()
    for _ in range(2 * MOST):
        Node()
    assert searches
    assert alive() < 2 * MOST


def test_a_server_searches_after_a_response_while_streams_are_open(searches: list[int]) -> None:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/events":
            await asyncio.Event().wait()
        for _ in range(YOUNG):
            Node()
        assert not searches
        await Response("done")(scope, receive, send)

    async def requests() -> None:
        server = RequestEnvelope(answer)
        sent: list[Message] = []

        async def receive() -> Message:
            raise AssertionError("nothing is read")

        async def send(message: Message) -> None:
            sent.append(message)

        def ask(path: str) -> Any:
            return server({"type": "http", "method": "GET", "path": path, "scheme": "http", "headers": []}, receive, send)

        stream = asyncio.create_task(ask("/events"))
        await asyncio.sleep(0)
        await ask("/tasks")
        assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
        assert not searches
        await pause()
        assert searches == [0]
        stream.cancel()

    asyncio.run(requests())


def test_what_a_server_has_at_its_start_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = gc.get_freeze_count()
    try:
        garbage_collection.tune()
        assert gc.get_freeze_count() > frozen
        assert gc.get_threshold() == (USUAL, OLDER, OLDER)
    finally:
        if not frozen:
            gc.unfreeze()
