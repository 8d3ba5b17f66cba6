# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every route × every role, against the real application; unknown routes, cross-site requests and the shape of errors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from tests.support.database import create_database
from z4j import clock
from z4j.app import Server
from z4j.appliance.data_folder import prepare_data
from z4j.operations.signed_links import HIDDEN, without_code
from z4j.rules.permissions import ROLES, is_allowed
from z4j.settings import Settings
from z4j.store.access import users
from z4j.web.auth.authentication import COOKIE
from z4j.web.pages.settings.connection_strings import make_api_token
from z4j.web.routes import R, all_rows

WALKED = [row for row in all_rows() if row.path != "/logout"]
"""Signing out would end the session the next test needs; it has a test of its own."""
PASSWORD = "a long enough passphrase"
ORIGIN = {"Origin": "http://testserver", "Accept": "text/html"}


class Site:
    """A running application with one person and one API token of each role."""

    def __init__(self, client: TestClient, cookies: dict[str, str], tokens: dict[str, str]) -> None:
        self.client = client
        self.cookies = cookies
        self.tokens = tokens

    def ask(self, row: R, role: str, **headers: str) -> tuple[int, str]:
        path = row.path.replace("{id:int}", "999").replace("{path:path}", "nothing.css").replace("{name:path}", "none").replace("{id}", "0")
        sent = ORIGIN | headers
        if role:
            sent["Cookie"] = f"{COOKIE}={self.cookies[role]}"
        answer = self.client.request(row.method, path, headers=sent, follow_redirects=False)
        return answer.status_code, answer.headers.get("location", "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    prepare_data(folder)
    settings = Settings(data=folder)
    create_database(settings.database)
    server = Server(settings)
    with TestClient(server.asgi, raise_server_exceptions=False) as client:
        assert client.portal is not None

        async def prepare() -> tuple[dict[str, str], dict[str, str]]:
            cookies, tokens = {}, {}
            hashed = await server.auth.hash_password(PASSWORD)
            for role in ROLES:
                name = f"{role}-person"
                await server.store.write(lambda db, n=name, r=role: users.add_user(db, n, hashed, r, clock.now()))  # type: ignore[misc]
                cookies[role] = await server.auth.sign_in(name, PASSWORD, "test", "test")
                _, tokens[role] = await make_api_token(server.store, role, role, 1, "test")
            return cookies, tokens

        cookies, tokens = client.portal.call(prepare)
        yield Site(client, cookies, tokens)


@pytest.mark.parametrize("role", [*ROLES, ""], ids=[*ROLES, "nobody"])
@pytest.mark.parametrize("row", WALKED, ids=[f"{row.method} {row.path}" for row in WALKED])
def test_each_route_lets_in_whom_its_row_names(site: Site, row: R, role: str) -> None:
    if row.path == "/events" and is_allowed(role, row.role):
        return  # a stream that stays open; the browser tests listen to it
    status, location = site.ask(row, role)
    if row.role == "public":
        assert status < 500  # these judge by what they are sent, not by who sends it
    elif is_allowed(role, row.role):
        assert status not in (401, 403), location
        assert status < 500
    elif role:
        assert status == 403
    elif row.method == "GET" and not row.path.startswith("/api/") and not row.path.endswith((".json", ".csv")):
        assert (status, location.partition("?")[0]) == (303, "/login")
    else:
        assert status == 401


@pytest.mark.parametrize("path", ["/nothing", "/tasks/abc", "/settings/secrets", "/static/../z4j.db", "/admin", "/tasks.xml"])
def test_what_is_not_in_the_table_does_not_exist(site: Site, path: str) -> None:
    headers = {"Cookie": f"{COOKIE}={site.cookies['admin']}", "Accept": "text/html"}
    assert site.client.get(path, headers=headers).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://testserver", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
        {},
    ],
)
def test_cross_site_changes_are_refused(site: Site, headers: dict[str, str]) -> None:
    cookie = {"Cookie": f"{COOKIE}={site.cookies['admin']}"}
    answer = site.client.post("/connect", data={"app": "x"}, headers=headers | cookie)
    assert answer.status_code == 403
    assert "another site" in answer.text or "has no Origin header" in answer.text


def test_errors_of_programs_have_one_shape(site: Site) -> None:
    for path, status in (("/tasks.json", 401), ("/tasks/999999.json", 404), ("/nothing.json", 404)):
        headers = {} if status == 401 else {"Authorization": f"Bearer {site.tokens['viewer']}"}
        answer = site.client.get(path, headers=headers)
        assert answer.status_code == status, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json()) == {"type", "title", "status", "detail", "hint", "request"}


def test_api_tokens_read_what_their_role_reads(site: Site) -> None:
    bearer = {"Authorization": f"Bearer {site.tokens['viewer']}"}
    assert site.client.get("/tasks.json", headers=bearer).status_code == 200
    assert site.client.get("/changes/audit.json", headers=bearer).status_code == 403
    assert site.client.get("/changes/audit.json", headers={"Authorization": f"Bearer {site.tokens['auditor']}"}).status_code == 200
    assert site.client.get("/tasks.json", headers={"Authorization": "Bearer z4k_wrong"}).status_code == 401


def test_every_answer_carries_the_security_headers(site: Site) -> None:
    for path in ("/login", "/healthz", "/nothing"):
        headers = site.client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_a_cookie_is_worth_nothing_after_sign_out(site: Site) -> None:
    assert site.client.portal is not None
    server_auth = site.client.app.state.services.auth  # type: ignore[attr-defined]
    cookie = site.client.portal.call(server_auth.sign_in, "viewer-person", PASSWORD, "test", "test")
    headers = ORIGIN | {"Cookie": f"{COOKIE}={cookie}"}
    assert site.client.get("/tasks.json", headers=headers).status_code == 200
    site.client.post("/logout", headers=headers, follow_redirects=False)
    assert site.client.get("/tasks.json", headers=headers).status_code == 401
    assert site.client.get("/tasks.json", headers={"Cookie": f"{COOKIE}=forged.value"}).status_code == 401


def test_wrong_passwords_are_slow_equal_and_limited(site: Site) -> None:
    answers = {
        (answer.status_code, "Name or password is wrong" in answer.text)
        for name in ("admin-person", "nobody-at-all")
        for answer in [site.client.post("/login", data={"name": name, "password": "wrong"}, headers=ORIGIN)]
    }
    assert len(answers) == 1
    assert all(is_told for _, is_told in answers)


@pytest.mark.parametrize("row", [row for row in WALKED if "{id:int}" in row.path], ids=lambda row: f"{row.method} {row.path}")
def test_a_number_that_no_row_can_have_is_not_found(site: Site, row: R) -> None:
    """The database has no larger numbers than 2^63 - 1, and an error of it would be one of the server."""
    path = row.path.replace("{id:int}", str(10**30)).replace("{id}", "0")
    answer = site.client.request(row.method, path, headers=ORIGIN | {"Cookie": f"{COOKIE}={site.cookies['admin']}"}, follow_redirects=False)
    assert answer.status_code == 404


def test_the_codes_of_links_are_hidden_in_logs() -> None:
    coded = [row.path for row in all_rows() if "{code}" in row.path]
    assert coded
    for path in coded:
        assert without_code(path.replace("{code}", "canary")) == path.replace("{code}", HIDDEN)


def test_no_page_is_listed_by_a_search_engine(site: Site) -> None:
    for path in ("/login", "/healthz", "/acknowledge/x", "/incidents/shared/x"):
        answer = site.client.get(path, headers=ORIGIN)
        assert "noindex" in answer.headers["x-robots-tag"], path
        assert answer.headers["referrer-policy"] == "same-origin"
