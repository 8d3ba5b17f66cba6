# SPDX-License-Identifier: AGPL-3.0-or-later
"""A reset belongs to a demo: a real server knows none, and of a demo only an administrator may request it."""

from __future__ import annotations

import dataclasses
import html
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.web.pages.conftest import Shop
from z4j.appliance.demo import Demo
from z4j.appliance.demo_faults import FAULTS, NOT_SHOWN
from z4j.rules.findings.finding import Finding, Link


@pytest.fixture
def stopped(shop: Shop) -> Iterator[list[str]]:
    """What happened to the server of a shop that is now a demo."""
    happened: list[str] = []

    async def nothing(server: Any) -> None:
        """No opening."""

    with socket.socket() as listener:
        demo = Demo(listener, nothing, stop=lambda: happened.append("stopped"))
        state = shop.server.asgi.state
        state.services = dataclasses.replace(state.services, demo=demo)
        yield happened


def test_a_real_server_has_nothing_to_reset_and_does_not_say_demo(shop: Shop) -> None:
    answer = shop.post("/demo/reset")
    assert (answer.status_code, "No changes were made" in answer.text) == (404, True)
    for path in ("/tasks", "/settings/appliance", "/missing"):
        assert 'class="chip demo"' not in shop.get(path).text
        assert "Reset the demo" not in shop.get(path).text


def test_a_reset_leads_to_the_link_of_the_next_round_and_ends_this_one(shop: Shop, stopped: list[str]) -> None:
    answer = shop.post("/demo/reset")
    assert answer.status_code == 200
    [href] = set(re.findall(r"/login\?code=[\w-]{20,}", answer.text))
    assert answer.headers["refresh"] == f"2; url={href}"
    assert answer.headers["connection"] == "close"
    assert shop.server.asgi.state.services.demo.next_link == href.partition("=")[2]
    assert stopped == ["stopped"], "once, after the response"


def test_every_page_of_a_demo_says_so(shop: Shop, stopped: list[str]) -> None:
    for path in ("/tasks", "/settings/appliance", "/missing"):
        assert 'class="chip demo"' in shop.get(path).text, path
    assert "Reset the demo" in shop.get("/settings/appliance").text
    assert stopped == []


def test_others_may_not_reset_it(shop: Shop, stopped: list[str]) -> None:
    shop.become("olga")
    assert shop.post("/demo/reset").status_code == 403
    assert stopped == []


def test_the_faults_of_a_demo_are_listed_with_what_is_found(shop: Shop, stopped: list[str]) -> None:
    found = Finding("silent_host", "shop-4", "blind", 1, "No heartbeat from shop-4", "t", "w", action=Link("Open the workers", "/workers"))
    findings = shop.server.asgi.state.services.findings
    findings.current = (found, dataclasses.replace(found, subject="shop-5"))
    text = shop.get("/demo").text
    assert f"1 of {len(FAULTS)} found now" in text
    assert "No heartbeat from shop-4" in text
    assert "and 1 more finding" in text
    for fault in (*FAULTS, *NOT_SHOWN):
        assert html.escape(fault.title) in text
    assert 'href="/demo"' in shop.get("/tasks").text


def test_a_real_server_has_no_page_of_faults(shop: Shop) -> None:
    assert shop.get("/demo").status_code == 404
    assert 'href="/demo"' not in shop.get("/tasks").text
