# SPDX-License-Identifier: AGPL-3.0-or-later
"""Signing in with a code, through the pages themselves."""

from __future__ import annotations

import re
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.site import PASSWORD, Site, hidden, site, text_of
from z4j import cli, clock
from z4j.rules import totp
from z4j.store.access.sessions import end_sessions_of
from z4j.store.access.users import set_password
from z4j.web.auth.account import qr_code

NOW = 1_795_000_000 * 1_000_000_000


class Time:
    """The server's clock, moved by hand."""

    def __init__(self) -> None:
        self.ns = NOW

    def pass_(self, seconds: float) -> None:
        self.ns += int(seconds * 1e9)


@pytest.fixture
def time_() -> Iterator[Time]:
    time = Time()
    clock.use(lambda: time.ns)
    yield time
    clock.use()


@pytest.fixture
def shop(tmp_path: Path, time_: Time) -> Iterator[Site]:
    with site(tmp_path) as made:
        made.add_user("ada", "viewer")
        made.sign_in("ada")
        yield made


class Phone:
    """An authenticator app."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    def code(self, steps: int = 0) -> str:
        return totp.code_at(self.secret, clock.now() // totp.STEP_US + steps)

    def wrong(self) -> str:
        right = {self.code(steps) for steps in (-1, 0, 1)}
        return next(code for number in range(9) if (code := f"00000{number}") not in right)


def enrol(shop: Site) -> tuple[Phone, list[str]]:
    import base64

    page = shop.post("/settings/account/totp")
    assert page.status_code == 200
    text = re.search(r'class="mono">([A-Z2-7 ]+)<', page.text)
    assert text is not None
    phone = Phone(base64.b32decode(text[1].replace(" ", "")))
    done = shop.post("/settings/account/totp/confirm", code=phone.code())
    assert done.status_code == 200
    return phone, re.findall(r"<li><code>([a-z2-7-]+)</code>", done.text)


def first_step(shop: Site) -> str:
    """Name and password in a new browser; returns the ticket of the page that asks for the code."""
    shop.forget()
    answer = shop.sign_in("ada", back="/queues")
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert 'autocomplete="one-time-code"' in answer.text
    assert hidden(answer, "back") == "/queues"
    return hidden(answer, "ticket")


def second_step(shop: Site, ticket: str, code: str) -> tuple[int, str]:
    answer = shop.post("/login/code", ticket=ticket, code=code, back="/queues")
    return answer.status_code, answer.headers.get("location", "") or text_of(answer)


def test_setting_up_and_signing_in(shop: Site, time_: Time) -> None:
    assert "password only" in shop.get("/settings/account").text
    phone, codes = enrol(shop)
    assert len(set(codes)) == totp.RECOVERY_CODES
    page = shop.get("/settings/account")
    assert "10 recovery codes left" in text_of(page)
    assert codes[0] not in page.text  # shown once
    time_.pass_(30)
    ticket = first_step(shop)
    assert shop.get("/tasks").status_code == 303  # the first step alone opens nothing
    assert second_step(shop, ticket, f" {phone.code()[:3]} {phone.code()[3:]} ") == (303, "/queues")
    assert shop.get("/tasks").status_code == 200
    done = [(action, outcome, detail) for _, action, _, outcome, detail in shop.audit() if action != "clock_step"]  # the test sets it
    assert done == [
        ("sign_in", "done", {}),
        ("turn_on_totp", "done", {}),
        ("sign_in", "done", {"second_step": "code"}),
    ]


def test_a_code_counts_once(shop: Site, time_: Time) -> None:
    phone, _ = enrol(shop)
    used_to_confirm = phone.code()
    assert second_step(shop, first_step(shop), used_to_confirm)[0] == 403
    time_.pass_(30)
    code = phone.code()
    assert second_step(shop, first_step(shop), code)[0] == 303
    status, said = second_step(shop, first_step(shop), code)
    assert (status, "already used" in said) == (403, True)
    assert [row[3:] for row in shop.audit() if row[1] == "sign_in"][-1] == ("refused", {"second_step": "wrong code"})


def test_a_recovery_code_counts_once_and_new_ones_replace_it(shop: Site, time_: Time) -> None:
    _, codes = enrol(shop)
    assert second_step(shop, first_step(shop), codes[0].upper()) == (303, "/queues")
    assert "9 recovery codes left" in text_of(shop.get("/settings/account"))
    assert second_step(shop, first_step(shop), codes[0])[0] == 403
    assert second_step(shop, first_step(shop), codes[1].replace("-", " "))[0] == 303
    answer = shop.post("/settings/account/totp/codes", code=codes[2])
    fresh = re.findall(r"<li><code>([a-z2-7-]+)</code>", answer.text)
    assert len(fresh) == totp.RECOVERY_CODES
    assert not set(fresh) & set(codes)
    assert second_step(shop, first_step(shop), codes[3])[0] == 403
    assert second_step(shop, first_step(shop), fresh[0])[0] == 303


def test_wrong_codes_are_limited_wherever_they_come_from(shop: Site, time_: Time) -> None:
    phone, codes = enrol(shop)
    time_.pass_(60)
    ticket = first_step(shop)
    assert [second_step(shop, ticket, phone.wrong())[0] for _ in range(6)] == [403] * 5 + [429]
    assert second_step(shop, ticket, phone.code())[0] == 429  # a right one neither
    assert second_step(shop, ticket, codes[0])[0] == 429
    time_.pass_(5 * 60 + 1)
    assert second_step(shop, first_step(shop), phone.code())[0] == 303


def test_the_ticket_of_the_first_step_ends(shop: Site, time_: Time) -> None:
    phone, _ = enrol(shop)
    time_.pass_(60)
    ticket = first_step(shop)
    assert second_step(shop, "forged." + ticket, phone.code())[1].count("has expired") == 1
    assert second_step(shop, "", phone.code())[0] == 403
    other = shop.call(shop.server.auth.hash_password, PASSWORD + "!")
    shop.write(lambda db: set_password(db, 1, other))
    status, said = second_step(shop, ticket, phone.code())
    assert (status, "the account was changed" in said) == (403, True)
    shop.forget()
    ticket = hidden(shop.sign_in("ada", PASSWORD + "!"), "ticket")
    time_.pass_(5 * 60 + 1)
    assert second_step(shop, ticket, phone.code())[0] == 403
    assert shop.get("/tasks").status_code == 303


def test_a_wrong_password_asks_for_no_code(shop: Site) -> None:
    enrol(shop)
    shop.forget()
    answer = shop.sign_in("ada", "wrong")
    assert (answer.status_code, "one-time-code" in answer.text) == (403, False)


def test_nothing_is_on_until_the_first_code_is_right(shop: Site, time_: Time) -> None:
    assert shop.post("/settings/account/totp/confirm", code="123456").status_code == 303  # nothing to confirm
    shop.post("/settings/account/totp")
    answer = shop.post("/settings/account/totp/confirm", code="12")
    assert (answer.status_code, "six digits" in answer.text, '<svg class="qr"' in answer.text) == (400, True, True)
    answer = shop.post("/settings/account/totp/confirm", code="abcdefgh")
    assert answer.status_code == 400
    shop.forget()
    assert shop.sign_in("ada").status_code == 303  # still the password alone
    for path in ("off", "codes"):
        assert shop.post(f"/settings/account/totp/{path}", code="123456").status_code == 303
    assert "turn_off_totp" not in [row[1] for row in shop.audit()]


def test_turning_off_takes_a_code(shop: Site, time_: Time) -> None:
    phone, _ = enrol(shop)
    time_.pass_(30)
    assert shop.post("/settings/account/totp").status_code == 303  # no second secret over the first
    shop.post("/settings/account/totp/off", code=phone.wrong())
    assert "two-factor" in shop.get("/settings/account").text
    shop.post("/settings/account/totp/off", code=phone.code())
    assert "password only" in shop.get("/settings/account").text
    shop.forget()
    assert shop.sign_in("ada").status_code == 303
    assert [(action, outcome) for _, action, _, outcome, _ in shop.audit() if action == "turn_off_totp"] == [
        ("turn_off_totp", "refused"),
        ("turn_off_totp", "done"),
    ]


def test_the_command_line_lets_back_in_who_lost_the_phone(shop: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    enrol(shop)
    data = ["--data", str(tmp_path)]
    assert cli.main(["user", "reset-totp", "ada", *data]) == 0
    assert "password alone" in capsys.readouterr().out
    shop.forget()
    assert shop.sign_in("ada").status_code == 303
    assert cli.main(["user", "reset-totp", "ada", *data]) != 0
    assert cli.main(["user", "reset-totp", "nobody", *data]) != 0
    assert [row[2:4] for row in shop.audit() if row[1] == "reset_totp"] == [("user:ada", "done")]


def test_a_stolen_database_holds_no_secret(shop: Site, tmp_path: Path, time_: Time) -> None:
    phone, codes = enrol(shop)
    assert stat.S_IMODE((tmp_path / "totp.key").stat().st_mode) == 0o600
    db = sqlite3.connect(tmp_path / "z4j.db")
    [(sealed,)] = db.execute("SELECT secret FROM totp")
    hashes = b"".join(row[0] for row in db.execute("SELECT code_hash FROM recovery_code"))
    db.close()
    assert phone.secret not in sealed
    assert totp.clean(codes[0]).encode() not in hashes


def test_with_another_key_codes_fail_with_a_sentence_and_recovery_codes_work(shop: Site, tmp_path: Path, time_: Time) -> None:
    _, codes = enrol(shop)
    shop.write(lambda db: end_sessions_of(db, 1))
    db = sqlite3.connect(tmp_path / "z4j.db")
    db.execute("UPDATE totp SET secret = randomblob(48)")
    db.commit()
    db.close()
    status, said = second_step(shop, first_step(shop), "123456")
    assert (status, "totp.key" in said) == (503, True)
    assert second_step(shop, first_step(shop), codes[0])[0] == 303


def test_api_tokens_have_no_account(shop: Site) -> None:
    from z4j.web.pages.settings.connection_strings import make_api_token

    _, token = shop.call(make_api_token, shop.server.store, "script", "admin", 1, "test")
    shop.forget()
    answer = shop.get("/settings/account", Authorization=f"Bearer {token}")
    assert (answer.status_code, "no account" in answer.text) == (403, True)


def test_the_page_needs_no_script_and_no_style_attribute(shop: Site) -> None:
    page = shop.post("/settings/account/totp").text
    main = page[page.index("<main") : page.index("</main>")]
    assert "<script" not in main
    assert "style=" not in main


def test_the_qr_code_is_one_path_of_whole_squares() -> None:
    made = qr_code("otpauth://totp/z4j:ada?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
    drawn = {(int(x) + off, int(y)) for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", made.path) for off in range(int(width))}
    finder = {(x, y) for x in range(7) for y in range(7) if x in (0, 6) or y in (0, 6) or (2 <= x <= 4 and 2 <= y <= 4)}
    corners = [(4, 4), (made.size - 11, 4), (4, made.size - 11)]  # behind a quiet zone of four
    for left, top in corners:
        assert {(x, y) for x in range(7) for y in range(7) if (x + left, y + top) in drawn} == finder
    assert all(4 <= x < made.size - 4 and 4 <= y < made.size - 4 for x, y in drawn)
