# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who gets a connection as an agent, and when it ends."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from tests.support.database import create_database
from tests.unit.agents.test_audit_witnesses import HELLO
from z4j import clock
from z4j.agents import admission
from z4j.agents.command_frames import command_frame
from z4j.app import Server
from z4j.appliance.data_folder import prepare_data
from z4j.settings import Settings
from z4j.store.access import tokens, users
from z4j.store.fleet import apps
from z4j.web.pages.settings.connection_strings import Connect, connect_app
from z4j_agent import wire

STRANGER = "203.0.113.7"


class Site:
    """A running server with an app, and clients at any address."""

    def __init__(self, server: Server, client: TestClient, made: Connect) -> None:
        self.server = server
        self.client = client
        self.made = made
        self.token = made.url.partition("//")[2].partition("@")[0].partition(".")[0]

    def call(self, function: Any, *args: Any, **options: Any) -> Any:
        assert self.client.portal is not None
        return self.client.portal.call(lambda: function(*args, **options))

    def write(self, fn: Callable[[Any], Any]) -> Any:
        return self.call(self.server.store.write, fn)

    @contextlib.contextmanager
    def connect(self, token: str | None = None, address: str = STRANGER, **headers: str) -> Iterator[WebSocketTestSession]:
        self.client._transport.client = (address, 40_000)  # type: ignore[attr-defined]
        sent = {"Authorization": f"Bearer {token if token is not None else self.token}"} if token != "" else {}
        with contextlib.suppress(CancelledError), self.client.websocket_connect("/agent", headers=sent | headers) as socket:
            yield socket

    def outcome(self, token: str | None = None, address: str = STRANGER, **headers: str) -> int:
        """HTTP status of a refusal, close code, or 0 when the agent is welcome."""
        try:
            with self.connect(token, address, **headers) as socket:
                socket.send_text(json.dumps(HELLO))
                answer = json.loads(socket.receive_text())
                return 0 if answer["type"] == "welcome" else int(answer["code"])
        except WebSocketDenialResponse as denied:
            return denied.status_code


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(admission, "SLOW_S", 0.01)
    prepare_data(tmp_path)
    settings = Settings(data=tmp_path, behind_proxy=True, connections_per_token=3)
    create_database(settings.database)
    server = Server(settings)
    with TestClient(server.asgi) as client:
        assert client.portal is not None
        yield Site(server, client, client.portal.call(connect_app, server.store, "shop", "h", "test"))
        clock.use()


WRONG = "z4a_" + "x" * 43


def test_others_at_its_address_do_not_keep_a_valid_agent_out(site: Site) -> None:
    assert [site.outcome("") for _ in range(12)] == [401] * 10 + [429] * 2
    assert site.outcome() == 0
    assert site.outcome(WRONG) == wire.TOO_MANY
    assert site.outcome() == 0
    assert site.outcome(WRONG, "203.0.113.8") == wire.BAD_TOKEN  # another address has a count of its own


def test_the_same_behind_a_proxy(site: Site) -> None:
    ahead = {"X-Forwarded-For": f"10.9.9.9, {STRANGER}", "X-Forwarded-Proto": "https"}
    assert [site.outcome(WRONG, "127.0.0.1", **ahead) for _ in range(11)] == [wire.BAD_TOKEN] * 10 + [wire.TOO_MANY]
    assert site.outcome(None, "127.0.0.1", **ahead) == 0
    # A forged first entry makes no other client of it, and the real other client is not concerned.
    assert site.outcome(WRONG, "127.0.0.1", **{"X-Forwarded-For": f"8.8.8.8, {STRANGER}"}) == wire.TOO_MANY
    assert site.outcome(WRONG, "127.0.0.1", **{"X-Forwarded-For": f"{STRANGER}, 203.0.113.9"}) == wire.BAD_TOKEN


def test_a_page_of_another_site_is_refused_and_not_counted(site: Site) -> None:
    for origin in ("https://evil.example", "null", "http://testserver"):
        for token in ("", WRONG, None):
            assert site.outcome(token, Origin=origin) == 403
    assert not site.server.gateway.guard.attempts.is_over(STRANGER)
    assert [site.outcome(WRONG) for _ in range(2)] == [wire.BAD_TOKEN] * 2


def test_connections_of_one_token_are_limited(site: Site) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(3):
            socket = stack.enter_context(site.connect())
            socket.send_text(json.dumps(HELLO | {"boot": f"b{number}"}))
            assert json.loads(socket.receive_text())["type"] == "welcome"
        assert site.outcome() == wire.TOO_MANY
        other = site.call(connect_app, site.server.store, "other", "h", "test")
        assert site.outcome(other.url.partition("//")[2].partition("@")[0].partition(".")[0]) == 0
    wait_until(lambda: site.outcome() == 0)


@pytest.mark.parametrize(
    ("peer", "headers", "is_secure"),
    [
        ("127.0.0.1", {}, True),
        ("127.0.0.1", {"X-Forwarded-For": STRANGER, "X-Forwarded-Proto": "https"}, True),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, False),
        ("127.0.0.1", {"X-Forwarded-For": f"127.0.0.1, {STRANGER}", "X-Forwarded-Proto": "http"}, False),
        (STRANGER, {}, False),
        (STRANGER, {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https"}, False),
    ],
)
def test_commands_are_for_private_connections_whatever_a_header_says(
    site: Site, peer: str, headers: dict[str, str], is_secure: bool
) -> None:
    with site.connect(None, peer, **headers) as socket:
        socket.send_text(json.dumps(HELLO))
        assert json.loads(socket.receive_text())["type"] == "welcome"
        [link] = site.server.hub.all()
        assert link.is_secure is is_secure


# -- tokens that stop working ------------------------------------------------------------------------------------------


def wait_until(probe: Callable[[], bool], seconds: float = 5) -> None:
    ends = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < ends
        time.sleep(0.02)


def revoke(site: Site) -> None:
    site.write(lambda db: tokens.revoke_token(db, site.made.token_id, clock.now()))


def expire(site: Site) -> None:
    site.write(lambda db: db.execute("UPDATE token SET expires_at = ?", (clock.now() - 1,)) and None)


def disable(site: Site) -> None:
    site.write(lambda db: apps.set_disabled(db, 1, clock.now()))


@pytest.mark.parametrize("end", [revoke, expire, disable], ids=["revoked", "expired", "app disabled"])
def test_a_connection_ends_with_its_token(site: Site, end: Callable[[Site], None]) -> None:
    """The row is changed as another process changes it: nobody tells the gateway."""
    with site.connect() as socket:
        socket.send_text(json.dumps(HELLO))
        assert json.loads(socket.receive_text())["type"] == "welcome"
        [link] = site.server.hub.all()
        end(site)
        # In this very moment, before anybody looked: nothing is handed over.
        site.call(lambda: _send(link))
        began = time.monotonic()
        assert json.loads(socket.receive_text())["type"] == "error"
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
        assert closed.value.code == wire.BAD_TOKEN
        assert time.monotonic() - began < 2
        assert site.server.hub.all() == []
    assert site.outcome() == wire.BAD_TOKEN


async def _send(link: Any) -> None:
    link.send(command_frame("c1", "retry_task", "celery", clock.now() + 1_000_000, {}))


def test_a_connection_ends_with_its_token_though_nothing_is_sent(site: Site) -> None:
    with site.connect() as socket:
        socket.send_text(json.dumps(HELLO))
        assert json.loads(socket.receive_text())["type"] == "welcome"
        revoke(site)
        began = time.monotonic()
        assert json.loads(socket.receive_text())["code"] == wire.BAD_TOKEN
        assert time.monotonic() - began < 2


def test_the_watch_survives_a_database_that_does_not_answer(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with site.connect() as socket:
        socket.send_text(json.dumps(HELLO))
        assert json.loads(socket.receive_text())["type"] == "welcome"
        real = tokens.list_valid_agent_tokens
        failures: list[int] = []

        async def fail(*args: Any) -> Any:
            if len(failures) < 2:
                failures.append(1)
                raise OSError("disk I/O error")
            return await real(*args)

        monkeypatch.setattr(tokens, "list_valid_agent_tokens", fail)
        wait_until(lambda: len(failures) == 2)
        revoke(site)
        assert json.loads(socket.receive_text())["code"] == wire.BAD_TOKEN


def test_an_app_that_is_enabled_again_is_served_again(site: Site) -> None:
    disable(site)
    assert site.outcome() == wire.BAD_TOKEN
    site.write(lambda db: apps.set_disabled(db, 1, None))
    assert site.outcome() == 0


def test_disabling_a_person_ends_their_api_tokens(site: Site) -> None:
    site.write(lambda db: users.add_user(db, "ada", "x", "admin", 1))
    site.write(
        lambda db: tokens.add_token(
            db, kind="api", hash=b"h", label="script", hint="z4k_", app_id=None, role="admin", at=1, by="ada", owner_id=1
        )
    )

    def found() -> Any:
        return site.call(tokens.find_api_token, site.server.store, b"h", 2)

    assert (found().role, found().owner_role) == ("admin", "admin")
    site.write(lambda db: users.set_role(db, 1, "viewer"))
    assert found().owner_role == "viewer"
    site.write(lambda db: users.set_disabled(db, 1, 2))
    assert found() is None
    site.write(lambda db: users.set_disabled(db, 1, None))
    assert found() is None  # for good
