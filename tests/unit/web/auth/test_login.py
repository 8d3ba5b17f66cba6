# SPDX-License-Identifier: AGPL-3.0-or-later
"""Signing in and out, sessions, one-time links and the setup, through the pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.site import PASSWORD, Site, hidden, site, text_of
from z4j import clock
from z4j.store.access import sessions, users
from z4j.web.auth import authentication
from z4j.web.auth.authentication import COOKIE, IDLE_US, SESSION_US, SETUP_US

NOW = 1_795_000_000_000_000


@pytest.fixture
def at() -> Iterator[list[int]]:
    """The server's clock, microseconds UTC, moved by hand."""
    now = [NOW]
    clock.use(lambda: now[0] * 1000)
    yield now
    clock.use()


@pytest.fixture
def shop(tmp_path: Path, at: list[int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(authentication, "FLOOR_S", 0.0)
    with site(tmp_path) as made:
        made.add_user("ada", "admin")
        made.add_user("vera", "viewer")
        yield made


def actions(shop: Site) -> list[tuple[str, str, str]]:
    return [(actor, action, outcome) for actor, action, _, outcome, _ in shop.audit()]


def test_signing_in_and_out(shop: Site) -> None:
    assert shop.get("/tasks").headers["location"] == "/login?next=%2Ftasks"
    assert hidden(shop.get("/login?next=/queues%3Fapp%3Dshop"), "back") == "/queues?app=shop"
    answer = shop.sign_in(" ADA ", back="/queues")
    assert (answer.status_code, answer.headers["location"]) == (303, "/queues")
    cookie = answer.headers["set-cookie"]
    assert "httponly" in cookie.lower()
    assert "samesite=lax" in cookie.lower()
    assert shop.get("/tasks").status_code == 200
    assert shop.get("/login").headers["location"] == "/tasks"
    kept = shop.client.cookies[COOKIE]
    assert shop.post("/logout").headers["location"] == "/login"
    shop.client.cookies[COOKIE] = kept
    assert shop.get("/tasks").status_code == 303
    assert actions(shop) == [("ada", "sign_in", "done"), ("ada", "sign_out", "done")]


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\nb"])
def test_the_way_back_stays_on_this_server(shop: Site, elsewhere: str) -> None:
    assert shop.sign_in(back=elsewhere).headers["location"] == "/tasks"


def test_a_wrong_name_reads_like_a_wrong_password_and_is_audited(shop: Site) -> None:
    answers = [shop.sign_in("ada", "wrong"), shop.sign_in("nobody", PASSWORD), shop.sign_in("", PASSWORD)]
    assert {answer.status_code for answer in answers} == {403}
    assert len({text_of(answer) for answer in answers}) == 1
    assert 'value="ada"' in answers[0].text
    assert COOKIE not in shop.client.cookies
    assert actions(shop) == [("ada", "sign_in", "refused"), ("nobody", "sign_in", "refused"), ("?", "sign_in", "refused")]


def test_ten_wrong_attempts_a_minute(shop: Site, at: list[int]) -> None:
    assert [shop.sign_in("ada", "wrong").status_code for _ in range(11)] == [403] * 10 + [429]
    assert shop.sign_in("ada").status_code == 429
    at[0] += 60_000_001
    assert shop.sign_in("ada").status_code == 303


def test_a_disabled_person_is_out_at_once(shop: Site, at: list[int]) -> None:
    shop.sign_in("vera")
    shop.write(lambda db: users.set_disabled(db, 2, at[0]))
    assert shop.get("/tasks").status_code == 303
    assert shop.sign_in("vera").status_code == 403
    shop.write(lambda db: users.set_disabled(db, 2, None))
    assert shop.sign_in("vera").status_code == 303


def test_a_role_counts_from_the_next_request(shop: Site) -> None:
    shop.sign_in("vera")
    assert shop.get("/settings/users").status_code == 403
    shop.write(lambda db: users.set_role(db, 2, "auditor"))
    assert shop.get("/settings/users").status_code == 200


def test_a_session_ends_when_it_lies_idle(shop: Site, at: list[int]) -> None:
    shop.sign_in()
    at[0] += IDLE_US - 1
    assert shop.get("/tasks").status_code == 200  # seen again
    at[0] += IDLE_US - 1
    assert shop.get("/tasks").status_code == 200
    at[0] += IDLE_US
    assert shop.get("/tasks").status_code == 303


def test_a_session_ends_after_a_week_however_busy(shop: Site, at: list[int]) -> None:
    shop.sign_in()
    ends = at[0] + SESSION_US
    while at[0] + IDLE_US // 2 < ends:
        at[0] += IDLE_US // 2
        assert shop.get("/healthz").status_code == 200
        assert shop.get("/theme").status_code in (404, 405)
        assert shop.get("/tasks.json").status_code == 200
    at[0] = ends
    assert shop.get("/tasks.json").status_code == 401


def test_only_our_own_cookies_count(shop: Site) -> None:
    shop.sign_in()
    real = shop.client.cookies[COOKIE]
    body, _, seal = real.rpartition(".")
    other = "B" if real[-5] == "A" else "A"  # not the last letter, of which some bits do not count
    for forged in ("", "x", real[:-5] + other + real[-4:], f"{body}x.{seal}", seal, "a" * 600, body):
        shop.forget()
        answer = shop.get("/tasks.json", Cookie=f"{COOKIE}={forged}")
        assert answer.status_code == 401, forged


def test_the_database_holds_no_session_that_could_be_used(shop: Site) -> None:
    shop.sign_in()
    real = shop.client.cookies[COOKIE]
    rows = shop.call(shop.server.store.fetch_all, "SELECT id_hash, address, client FROM session")
    assert [address for _, address, _ in rows] == ["testclient"]
    secret = re.sub(r'^"|"$', "", real.partition(".")[0])
    assert secret.encode() not in rows[0][0]


def test_ended_sessions_are_swept_when_the_next_begins(shop: Site, at: list[int]) -> None:
    shop.sign_in("vera")
    at[0] += SESSION_US + 1
    shop.forget()
    shop.sign_in("ada")
    assert shop.call(shop.server.store.fetch_all, "SELECT user_id FROM session") == [(1,)]


def test_signing_out_everywhere(shop: Site) -> None:
    cookies = []
    for _ in range(2):
        shop.forget()
        shop.sign_in("vera")
        cookies.append(shop.client.cookies[COOKIE])
    shop.write(lambda db: sessions.end_sessions_of(db, 2))
    for cookie in cookies:
        shop.client.cookies[COOKIE] = cookie
        assert shop.get("/tasks.json").status_code == 401


# -- links -----------------------------------------------------------------------------------------------------------------


def test_a_login_link_works_once(shop: Site) -> None:
    code = shop.call(shop.server.auth.make_link, "login", 2)
    assert shop.get(f"/login?code={code}").headers["location"] == "/tasks"
    assert shop.get("/tasks").status_code == 200
    shop.forget()
    answer = shop.get(f"/login?code={code}")
    assert (answer.status_code, "already used" in text_of(answer)) == (403, True)
    assert actions(shop) == [("vera", "sign_in_by_link", "done")]


@pytest.mark.parametrize("why", ["old", "disabled", "for another purpose", "invented"])
def test_a_login_link_that_does_not_work(shop: Site, at: list[int], why: str) -> None:
    code = shop.call(shop.server.auth.make_link, "setup" if why == "for another purpose" else "login", 2)
    if why == "old":
        at[0] += SETUP_US
    if why == "disabled":
        shop.write(lambda db: users.set_disabled(db, 2, at[0]))
    assert shop.get(f"/login?code={'x' if why == 'invented' else code}").status_code == 403
    assert COOKIE not in shop.client.cookies


# -- setup -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(tmp_path: Path, at: list[int]) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


def test_the_first_boot_prints_a_link_that_makes_one_administrator(fresh: Site, capsys: pytest.CaptureFixture[str]) -> None:
    code = fresh.call(fresh.server.auth.make_link, "setup")
    page = fresh.get(f"/setup?code={code}")
    assert (page.status_code, hidden(page, "code")) == (200, code)
    for name, password in (("ada", "short"), ("", PASSWORD), ("a" * 61, PASSWORD), ("ada", "x" * 1_001)):
        answer = fresh.post("/setup", code=code, name=name, password=password)
        assert (answer.status_code, hidden(answer, "code")) == (400, code)  # the link is not used up by a mistake
    answer = fresh.post("/setup", code=code, name="ada", password=PASSWORD)
    assert answer.headers["location"] == "/settings/apps"
    assert fresh.get("/settings/apps").status_code == 200
    again = fresh.post("/setup", code=code, name="eve", password=PASSWORD)
    assert (again.status_code, "already used" in text_of(again)) == (403, True)
    assert actions(fresh) == [("ada", "setup", "done"), ("ada", "sign_in", "done"), ("ada", "request", "refused")]


def test_no_setup_link_works_once_there_is_an_administrator_or_after_its_time(fresh: Site, at: list[int]) -> None:
    old = fresh.call(fresh.server.auth.make_link, "setup")
    at[0] += SETUP_US
    assert fresh.get(f"/setup?code={old}").status_code == 403
    code = fresh.call(fresh.server.auth.make_link, "setup")
    fresh.add_user("ada", "admin")
    assert fresh.get(f"/setup?code={code}").status_code == 403
    assert fresh.post("/setup", code=code, name="eve", password=PASSWORD).status_code == 403
    assert [row.name for row in fresh.call(users.list_users, fresh.server.store)] == ["ada"]
