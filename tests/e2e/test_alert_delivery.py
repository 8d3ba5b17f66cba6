# SPDX-License-Identifier: AGPL-3.0-or-later
"""A server that is killed between the decision on an alert and its delivery: the message arrives once after the restart, or a second time
with the same id if the server did not know that it had arrived."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from tests.support.endpoints import endpoint
from tests.support.stack import Stack, is_seen_within, stack, wait_for
from z4j_agent.conformance.harness import free_port

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Stack]:
    with stack(tmp_path) as made:
        made.command("migrate")
        made.add_app()
        yield made


def add_rule(shop: Stack, url: str) -> None:
    """An alert that fires as soon as the server looks: a task has not run."""
    token = shop.command("token", "create", "--api", "admin", "--role", "admin").strip()
    with httpx2.Client(base_url=f"{shop.address}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=10) as client:
        channel = client.post("/alert-channels", json={"name": "pager", "kind": "webhook", "url": url, "key": "k"})
        assert channel.status_code < 300, channel.text
        rule = {
            "name": "nightly", "channels": [channel.json()["id"]], "subject": "reports.nightly",
            "threshold": {"measure": "absent", "limit": 60},
        }  # fmt: skip
        answer = client.post("/alert-rules", json=rule)
        assert answer.status_code < 300, answer.text


def decided(shop: Stack) -> list[tuple[str, str]]:
    """(kind, outcome) of each message."""
    return [(row[0], row[1]) for row in shop.rows("SELECT kind, outcome FROM alert_message")]


def test_a_message_that_was_decided_before_the_server_was_killed_arrives(shop: Stack) -> None:
    port = free_port()
    server = shop.start_server()
    add_rule(shop, f"http://127.0.0.1:{port}/")
    wait_for(lambda: decided(shop) == [("fired", "")], seconds=40, what="the alert fires, and its endpoint is away")
    server.kill()
    with endpoint(port) as pager:
        shop.start_server()
        wait_for(lambda: decided(shop) == [("fired", "delivered")], seconds=60, what="it is delivered")
        assert not is_seen_within(3, lambda: len(pager.received) > 2)
        # Twice if the process that sends it had been started before the kill: it outlives the server.
        assert len({body["id"] for body in pager.bodies}) == 1
        body = pager.bodies[0]
        assert (body["kind"], body["rule"], body["findings"][0]["title"][:16]) == ("fired", "nightly", "reports.nightly:")


def test_a_message_that_arrived_as_the_server_was_killed_comes_again_with_its_id(shop: Stack) -> None:
    with ExitStack() as opened:
        pager = opened.enter_context(endpoint())
        pager.may_answer = threading.Event()
        server = shop.start_server()
        add_rule(shop, pager.url)
        wait_for(lambda: pager.received, seconds=40, what="the message arrives, and is not answered yet")
        server.kill()
        pager.may_answer.set()
        assert decided(shop) == [("fired", "")]
        shop.start_server()
        wait_for(lambda: decided(shop) == [("fired", "delivered")], seconds=60, what="it is delivered")
        assert not is_seen_within(3, lambda: len(pager.received) > 2)
        first, second = pager.bodies
        assert first["id"] == second["id"]
        assert {body["kind"] for body in pager.bodies} == {"fired"}
