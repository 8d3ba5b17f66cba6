# SPDX-License-Identifier: AGPL-3.0-or-later
"""The whole application in this process: a real data folder and database, the real ASGI app, and a client that keeps cookies."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from httpx2 import Response
from starlette.testclient import TestClient

from tests.support.database import create_database
from z4j import clock
from z4j.app import Server
from z4j.appliance.data_folder import prepare_data
from z4j.settings import Settings
from z4j.store.access import users
from z4j.store.access.audit import list_audit
from z4j.web.auth import authentication

PASSWORD = "a long enough passphrase"
CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
ORIGIN = {"Origin": "http://testserver", "Accept": "text/html"}


class Site:
    """One browser in front of one server."""

    def __init__(self, server: Server, client: TestClient) -> None:
        self.server = server
        self.client = client

    def call(self, function: Any, *args: Any, **options: Any) -> Any:
        """A coroutine function of the server, in its own loop."""
        assert self.client.portal is not None
        return self.client.portal.call(lambda: function(*args, **options))

    def write(self, fn: Any) -> Any:
        return self.call(self.server.store.write, fn, durable=True)

    def add_user(self, name: str = "ada", role: str = "admin", password: str = PASSWORD) -> int:
        hashed = hash_once(password)
        return int(self.write(lambda db: users.add_user(db, name, hashed, role, clock.now())))

    def get(self, path: str, **headers: str) -> Response:
        return self.client.get(path, headers={"Accept": "text/html"} | headers, follow_redirects=False)

    def post(self, path: str, **form: str) -> Response:
        return self.client.post(path, data=form, headers=ORIGIN, follow_redirects=False)

    def sign_in(self, name: str = "ada", password: str = PASSWORD, back: str = "/tasks") -> Response:
        return self.post("/login", name=name, password=password, back=back)

    def enter(self, name: str = "ada", password: str = PASSWORD) -> None:
        """Signs in without the form: for tests of other pages."""
        self.client.cookies.set(authentication.COOKIE, self.call(self.server.auth.sign_in, name, password, "testclient", "test"))

    def forget(self) -> None:
        """Another browser."""
        self.client.cookies.clear()

    def audit(self) -> list[tuple[str, str, str, str, dict[str, Any]]]:
        """(actor, action, target, outcome, detail), oldest first."""
        rows = self.call(list_audit, self.server.store, limit=100_000)
        return [(row.actor, row.action, row.target, row.outcome, json.loads(row.detail)) for row in reversed(rows)]


@cache
def hash_once(password: str) -> str:
    """As the server of a test hashes it (see `hash_cheaply`)."""
    return CHEAP.hash(password)


def hash_cheaply(patch: pytest.MonkeyPatch) -> None:
    """The same Argon2id, at a price a suite of a hundred sign-ins can pay."""
    patch.setattr(authentication, "PasswordHasher", lambda: CHEAP)


@contextmanager
def site(folder: Path, settings: Settings | None = None) -> Iterator[Site]:
    prepare_data(folder)
    settings = settings or Settings(data=folder, days_kept=36_500, originals_days_kept=36_500)  # the tests bring data of any age
    create_database(settings.database)
    with pytest.MonkeyPatch.context() as patch:
        hash_cheaply(patch)
        server = Server(settings)
    with TestClient(server.asgi, raise_server_exceptions=False) as client:
        yield Site(server, client)


def text_of(answer: Response) -> str:
    """What a person reads on the page."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def hidden(answer: Response, name: str) -> str:
    """A hidden field of the page's form."""
    found = re.search(rf'name="{name}" value="([^"]*)"', answer.text)
    assert found is not None, f"the page has no field {name}"
    return html.unescape(found[1])
