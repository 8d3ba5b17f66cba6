# SPDX-License-Identifier: AGPL-3.0-or-later
"""The process that sends messages answers on its standard output only, and is started as part of every form of the program."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.endpoints import endpoint
from z4j.operations.alerts import sender_supervisor
from z4j.operations.alerts.sender_supervisor import NotDelivered
from z4j.operations.alerts.webhooks_and_apprise import run, sign
from z4j.store.alerts.channels import Address


def test_it_answers_one_object() -> None:
    request = {"action": "check", "kind": "webhook", "url": "https://hooks.example/x"}
    done = subprocess.run(
        [sys.executable, "z4j.py", "send-message"], input=json.dumps(request), capture_output=True, text=True, check=True, timeout=30
    )  # fmt: skip
    assert json.loads(done.stdout) == {"why": "", "shown": "https://hooks.example/…"} == run(request)


def test_one_that_hangs_is_killed_and_one_that_fails_gives_nothing_away(monkeypatch: pytest.MonkeyPatch) -> None:
    address = Address("hook", "webhook", "https://hooks.example/canary", "k", True)
    message = {"id": "m", "kind": "test", "title": "t", "text": "x", "findings": [], "more": 0}
    monkeypatch.setattr(sender_supervisor, "LONGEST_S", 0.3)
    monkeypatch.setattr(sender_supervisor, "_program", lambda: [sys.executable, "-c", "import time; time.sleep(30)"])
    with pytest.raises(NotDelivered, match=r"longer than 0\.3 seconds"):
        sender_supervisor.send(address, message)
    monkeypatch.setattr(sender_supervisor, "LONGEST_S", 30.0)
    for program in ("import sys; sys.exit('canary')", "print('canary')"):
        monkeypatch.setattr(sender_supervisor, "_program", lambda program=program: [sys.executable, "-c", program])
        with pytest.raises(NotDelivered) as failed:
            sender_supervisor.send(address, message)
        assert "canary" not in str(failed.value)


def test_the_signature_is_of_the_time_and_the_body() -> None:
    assert sign("k", 7, b"{}") == sign("k", 7, b"{}")
    assert len({sign("k", 7, b"{}"), sign("j", 7, b"{}"), sign("k", 8, b"{}"), sign("k", 7, b"[]")}) == 4


def test_redirections_are_not_followed() -> None:
    with endpoint() as server:
        server.statuses[:] = [302]
        why = run({"action": "send", "kind": "webhook", "url": server.url, "key": "k", "id": "m", "json": "{}"})["why"]
        assert why == "The server answered with status 302."
        assert len(server.received) == 1
