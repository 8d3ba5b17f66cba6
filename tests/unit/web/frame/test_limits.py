# SPDX-License-Identifier: AGPL-3.0-or-later
"""What strangers may cost: passwords that are checked, hashes that run at once, links that are looked at, bodies that are read."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from tests.support.site import ORIGIN, PASSWORD, Site, site
from z4j.exceptions import NotAllowed, TooMany
from z4j.store.access import users
from z4j.web.auth import authentication
from z4j.web.auth.authentication import COOKIE
from z4j.web.auth.login_limits import BROWSER_COOKIE
from z4j.web.auth.password_hashing import RUNNING, WAITING, PasswordHashing
from z4j.web.frame.forms import NOTICE_COOKIE
from z4j.web.frame.render import notice_of


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(authentication, "FLOOR_S", 0.0)
    with site(tmp_path) as made:
        made.add_user("ada", "admin")
        made.add_user("vera", "viewer")
        yield made


def test_of_150_passwords_at_once_ten_are_checked(shop: Site) -> None:
    before = shop.server.auth.passwords.started

    async def try_them() -> list[Exception]:
        tries = [shop.server.auth.sign_in("ada", f"wrong {number}", "203.0.113.7", "test") for number in range(150)]
        return await asyncio.gather(*tries, return_exceptions=True)  # type: ignore[return-value]

    answers = shop.call(try_them)
    assert {type(answer) for answer in answers} == {NotAllowed, TooMany}
    assert sum(isinstance(answer, NotAllowed) for answer in answers) <= 10
    assert shop.server.auth.passwords.started - before <= 10
    other = shop.call(shop.server.auth.sign_in, "ada", PASSWORD, "203.0.113.8", "test")  # another address is not concerned
    assert other


def test_right_passwords_do_not_use_up_the_limit_and_do_not_reset_it(shop: Site) -> None:
    for _ in range(12):
        shop.forget()
        assert shop.sign_in("vera").status_code == 303
    shop.forget()
    assert [shop.sign_in("ada", "wrong").status_code for _ in range(9)] == [403] * 9
    assert shop.sign_in("vera").status_code == 303  # an account of one's own must not begin the count anew
    shop.forget()
    assert [shop.sign_in("ada", "wrong").status_code for _ in range(2)] == [403, 429]


def test_a_browser_that_signed_in_before_is_not_kept_out_by_its_neighbours(shop: Site) -> None:
    shop.sign_in("ada")
    known = shop.client.cookies[BROWSER_COOKIE]
    shop.forget()
    while shop.sign_in("ada", "wrong").status_code == 403:
        pass
    assert shop.sign_in("ada").status_code == 429
    shop.client.cookies[BROWSER_COOKIE] = known
    assert shop.sign_in("ada").status_code == 303
    shop.forget()
    shop.client.cookies[BROWSER_COOKIE] = known
    assert shop.sign_in("vera").status_code == 429  # it is known for ada alone
    assert [shop.sign_in("ada", "wrong").status_code for _ in range(11)] == [403] * 10 + [429]  # and has ten tries itself
    for forged in ("x", known[:-2] + "AA", "a" * 600):
        shop.forget()
        shop.client.cookies[BROWSER_COOKIE] = forged
        assert shop.sign_in("ada").status_code == 429


def test_two_hashes_run_at_once_and_few_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    lock, running, most = threading.Lock(), 0, 0

    class Slow(PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.05)
            with lock:
                running -= 1
            return "hash"

    async def many() -> tuple[list[Any], float]:
        hashing = PasswordHashing(Slow())
        began = time.monotonic()
        tasks = [asyncio.create_task(hashing.hash("x")) for _ in range(60)]
        refused_after = 0.0
        for done in asyncio.as_completed(tasks):
            try:
                await done
            except TooMany:
                refused_after = max(refused_after, time.monotonic() - began)
        # Whoever goes away leaves the hash running, and it counts until it ends.
        gone = asyncio.create_task(hashing.hash("x"))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert hashing._pending == 1
        return [task.exception() for task in tasks], refused_after

    answers, refused_after = asyncio.run(many())
    assert most == RUNNING
    assert sum(answer is None for answer in answers) == RUNNING + WAITING
    assert refused_after < 1


def test_the_setup_page_hashes_for_nobody_without_a_link(tmp_path: Path) -> None:
    with site(tmp_path) as fresh:
        before = fresh.server.auth.passwords.started
        for code in ("", "x", "x" * 3_000):
            assert fresh.post("/setup", code=code, name="eve", password=PASSWORD).status_code == 403
        code = fresh.call(fresh.server.auth.make_link, "setup")
        assert fresh.post("/setup", code=code, name="ada", password=PASSWORD).status_code == 303
        assert fresh.server.auth.passwords.started == before + 1
        fresh.forget()
        assert fresh.post("/setup", code=code, name="eve", password=PASSWORD).status_code == 403
        assert fresh.server.auth.passwords.started == before + 1


def test_a_head_looks_and_does_nothing(shop: Site) -> None:
    code = shop.call(shop.server.auth.make_link, "login", 1)
    answer = shop.client.head(f"/login?code={code}")
    assert answer.status_code == 200
    assert COOKIE not in shop.client.cookies
    assert shop.get(f"/login?code={code}").headers["location"] == "/tasks"
    before = len(shop.audit())
    for path in ("/tasks.csv", "/queues.csv", "/workers.csv", "/schedules.csv", "/changes.csv", "/changes/audit.csv"):
        assert shop.client.head(path).status_code == 200
    assert len(shop.audit()) == before
    assert shop.get("/queues.csv").status_code == 200
    assert [row[1] for row in shop.audit()[before:]] == ["export"]


@pytest.mark.parametrize(
    "href", ["//evil.example", "/\\evil.example", "\\/evil.example", "/\t/evil.example", "https://evil.example", "/a\\b", "javascript:x"]
)
def test_a_notice_leads_to_a_page_of_this_server(href: str) -> None:
    from urllib.parse import quote

    import msgspec
    from starlette.requests import Request

    def noticed(target: str) -> str:
        cookie = f"{NOTICE_COOKIE}={quote(msgspec.json.encode(['good', 'done', target]).decode())}"
        found = notice_of(Request({"type": "http", "headers": [(b"cookie", cookie.encode())]}))
        assert found is not None
        return found.href

    assert noticed(href) == ""
    assert noticed("/plans/7?app=a") == "/plans/7?app=a"


def test_a_body_has_an_end(shop: Site) -> None:
    shop.forget()
    headers = ORIGIN | {"Content-Type": "application/x-www-form-urlencoded"}
    answer = shop.client.post("/login", content=b"name=" + b"x" * 70_000, headers=headers)
    assert answer.status_code in (400, 413)
    chunks = (b"name=" + b"x" * 10_000 + b"&" for _ in range(100))
    answer = shop.client.post("/login", content=chunks, headers=headers)
    assert answer.status_code == 413


def test_a_page_that_listens_hears_no_more_when_its_person_is_disabled(shop: Site) -> None:
    shop.sign_in("vera")
    cookie = shop.client.cookies[COOKIE]
    still = shop.server.auth.is_still_known
    assert shop.call(still, cookie, "")
    shop.write(lambda db: users.set_disabled(db, 2, 1))
    assert not shop.call(still, cookie, "")
