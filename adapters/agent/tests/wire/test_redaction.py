# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import collections
import datetime
import enum
import hashlib
import itertools
import json
import time
import uuid
from decimal import Decimal
from typing import Any

import pytest

from z4j_agent.capture import display, guard
from z4j_agent.contract import interrupts
from z4j_agent.wire.redaction import MASK, MAX_SCAN, MAX_TEXT_SCAN, is_secret_key, redact, redact_string, redact_text

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nabc\n-----END RSA PRIVATE KEY-----"
CANARIES = [
    JWT, PEM, "-----BEGIN PRIVATE KEY-----\ncut off", "Bearer abcdef0123456789", "AKIAIOSFODNN7EXAMPLE", "AIza" + "b" * 35,
    "ghp_" + "c" * 36, "github_pat_" + "d" * 40, "glpat-" + "e" * 20, "sk_live_" + "f" * 24, "sk-" + "g" * 30, "xoxb-1234567890-abc",
    "SG." + "h" * 22 + "." + "i" * 40, "z4a_" + "j" * 43,
]  # fmt: skip


@pytest.mark.parametrize("key", [
    "password", "PASSWORD", "user_password", "userPassword", "X-Api-Key", "apiKey", "api key", "passwd", "client_secret", "accessToken",
    "Authorization", "set-cookie", "credentials", "AWS_SECRET_ACCESS_KEY", "pwd", "db_pass", "pin", "stripe_key", "passphrase", b"token",
    "x" * 70 + "_password",
])  # fmt: skip
def test_keys_that_sound_secret(key: Any) -> None:
    assert is_secret_key(key)
    assert redact({key: "hunter2"}) == ({str(redact(key)[0]) if isinstance(key, bytes) else key: MASK}, True)


@pytest.mark.parametrize(
    "key", ["name", "keyboard", "key", "sort_key", "cacheKey", "max_tokens", "passenger", "compass", "opinion", "author", 7, None]
)
def test_keys_that_do_not(key: Any) -> None:
    assert not is_secret_key(key)


def test_the_owners_own_words() -> None:
    assert redact({"National-Id": 5}, ("national_id",)) == ({"National-Id": MASK}, True)
    assert redact({"password": None}) == ({"password": None}, False)


@pytest.mark.parametrize("value", [
    "https://shop.example/confirm/kjrsWLBEGKOwkjrsWLBEkjrsWLBEMhlFkjrsWLBE",  # random letters without a digit
    "https://shop.example/reset/aXbcdefgzzzzaXbcdefgaXbcdefgyyyyaXbcdefg",
    ["token", "qonH7PwH0ManqonH7PwH"],  # "Pw" within a random value is no name of a credential
    '["token", "qonH7PwH0ManqonH7PwH"]',
])  # fmt: skip
def test_random_letters_of_any_kind_are_masked(value: Any) -> None:
    shown, is_masked = redact(value)
    assert is_masked
    assert MASK in str(shown)


@pytest.mark.parametrize(
    "value", ["/reset/SubscriptionSettings", "https://shop.example/confirm/YourSubscription", ["password", "accessToken"]]
)
def test_names_in_camel_case_are_shown(value: Any) -> None:
    assert redact(value) == (value, False)


@pytest.mark.parametrize("secret", CANARIES)
def test_values_that_look_secret(secret: str) -> None:
    for value in (secret, f"before {secret} after", [1, {"note": secret}], {secret: 1}, (secret,), {"a": {"b": [secret]}}):
        shown, is_masked = redact(value)
        assert is_masked
        assert secret not in str(shown)
        assert MASK in str(shown)
    assert secret not in redact_text(f"ValueError: bad {secret}\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bearer eoJnXGunlwyWeoJnXGuneoJnXGun", f"Bearer {MASK}"),
        ("token abcdefghijklmnopqrstuvwxyzabcdef", f"token {MASK}"),
        ("Basic subscription", "Basic subscription"),
        ("bearer InternationalizationService", "bearer InternationalizationService"),
        ("the token UnexpectedEndOfFile", "the token UnexpectedEndOfFile"),
    ],
)
def test_a_token_of_letters_alone_is_told_from_prose(text: str, shown: str) -> None:
    assert redact_text(text) == shown


def test_urls_keep_their_shape() -> None:
    assert redact_string("postgres://ada:hunter2@db:5432/shop") == (f"postgres://{MASK}@db:5432/shop", True)
    assert redact_string("https://x.example/reset?token=abc123&next=1") == (f"https://x.example/reset?token={MASK}&next=1", True)
    assert redact_string("https://example.com/a?b=c") == ("https://example.com/a?b=c", False)


@pytest.mark.parametrize(("text", "shown"), [
    ("password=hunter2, user=ada", f"password={MASK}, user=ada"),
    ("{'password': 'hun ter2', 'a': 1}", f"{{'password': '{MASK}', 'a': 1}}"),
    ('{"api_key": "hun\\"ter2"}', f'{{"api_key": "{MASK}"}}'),
    ("Authorization: Basic aHVudGVyMg==", f"Authorization: {MASK}"),
    ("Cookie: a=hunter2; b=hunter2\nnext", f"Cookie: {MASK}\nnext"),
    ("tokens are fine", "tokens are fine"),
    ("a = b", "a = b"),
])  # fmt: skip
def test_assignments_in_text(text: str, shown: str) -> None:
    assert redact_text(text) == shown


def test_long_text_keeps_its_end() -> None:
    text = "line\n" * (MAX_TEXT_SCAN // 4) + "ValueError: password=hunter2\n"
    shown = display.show_error(text, 64_000)
    assert len(shown) <= 64_000
    assert shown.endswith(f"ValueError: password={MASK}\n")
    cut = "A" * 100 + "\nbody\n" * (MAX_TEXT_SCAN // 6) + "-----END RSA PRIVATE KEY-----\nend"
    assert redact_text(cut) == MASK + "\nend"
    assert redact_text("x" * (MAX_TEXT_SCAN + 10)) == "…"


def test_a_long_string_shows_no_half_secret() -> None:
    value = "x" * (MAX_SCAN - 20) + " " + JWT
    shown, is_masked = redact(value)
    assert is_masked
    assert len(shown) <= MAX_SCAN
    assert JWT[:30] not in shown


def test_plain_values_stay() -> None:
    value = {"a": [1, 2.5, None, True, "x"], "b": {"c": "d"}}
    assert redact(value) == (value, False)
    at = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    some = uuid.UUID(int=5)
    assert redact([some, at, Decimal("1.5")]) == ([str(some), str(at), "1.5"], False)


def test_ids_and_digests_are_shown_whatever_they_begin_with() -> None:
    """Some vendors' prefixes (`fc-`, `e2b_`) are hexadecimal digits: without its separator, one ID of 256 was masked."""
    digits = hashlib.sha256(b"an id").hexdigest()
    for start in map("".join, itertools.product("0123456789abcdef", repeat=3)):
        for size in (24, 32, 40, 64):
            word = (start + digits)[:size]
            for text in (word, f"task {word} failed", f"5:{word}"):
                assert redact_text(text) == text
        text = f"task {uuid.UUID((start + digits)[:32])} failed"
        assert redact_text(text) == text


@pytest.mark.parametrize(
    "name", ["recalculate_customer_balances_v2", "collect_metrics_from_partners_2024_q3", "reconcile_accounts_step_12_of_40"]
)
def test_long_names_with_a_number_are_shown(name: str) -> None:
    assert redact_text(f"task {name} failed") == f"task {name} failed"


class Colour(enum.IntEnum):
    RED = 1


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("repr")

    __str__ = __repr__


class HostileText(str):
    __slots__ = ()

    def __len__(self) -> int:
        raise RuntimeError("len")


class HostileMap(collections.UserDict[str, int]):
    def items(self) -> Any:
        raise RuntimeError("items")


def test_a_hosts_own_objects_are_never_asked() -> None:
    assert redact(Hostile()) == ("<Hostile>", True)
    assert redact(HostileMap()) == ("<HostileMap>", True)
    assert redact(HostileText("abc")) == ("abc", False)
    assert redact(Colour.RED) == (1, False)
    assert redact({Hostile(): 1, (1, 2): 2, 3: 4})[0] == {"<Hostile>": 1, "…": 2, "3": 4}
    released = memoryview(b"abc")
    assert redact([b"abc", bytearray(2), released]) == (["<3 bytes>", "<2 bytes>", "<3 bytes>"], True)
    released.release()
    assert redact(released) == ("<memoryview>", True)


def test_an_engines_own_exception_passes() -> None:
    class SoftLimit(Exception):
        pass

    class Slow(HostileMap):
        def items(self) -> Any:
            raise SoftLimit

    before = interrupts._host_exceptions
    guard.never_swallow(SoftLimit)
    try:
        with pytest.raises(SoftLimit):
            redact(Slow())
    finally:
        interrupts._host_exceptions = before


def test_limits() -> None:
    nested: list[Any] = []
    nested.append(nested)
    assert redact(nested)[1]
    wide, is_masked = redact(list(range(10_000)))
    assert is_masked
    assert wide[-1] == "… 9900 more"
    assert redact({str(n): n for n in range(1_000)})[0]["…"] == "900 more"
    assert redact(1 << 5_000) == ("<integer of 5001 bits>", True)
    deep: Any = [[[[list(range(100))] * 100] * 100] * 100] * 100
    began = time.thread_time()
    assert redact(deep)[1]
    assert time.thread_time() - began < 1.0


def test_ten_megabytes_cost_little() -> None:
    began = time.thread_time()
    for value in ("x" * 10_000_000, "token" * 2_000_000, "=" * 10_000_000, ["secret " * 1_000] * 100, "1" * 1_000_000 + ":"):
        redact(value)
    redact_text("secret token \\" * 100_000)
    assert time.thread_time() - began < 3.0


# -- display -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "part",
    [
        "?sig=",
        "<password>",
        "cookie: must be ",
        "authorization: see the ",
        "token: ",
        'password="',
        "a=b&",
        "x:y@",
        "reset/abcdef12/",
        "\\u0070",
        "4111-\\u0070",
    ],
)
def test_the_time_is_proportional_to_the_length(part: str) -> None:
    """A text of an exception often contains what somebody has sent: it must not keep a worker busy."""

    def seconds(size: int) -> float:
        text = (part * (size // len(part) + 1))[:size]
        began = time.process_time()
        redact_text(text)
        return time.process_time() - began

    turns = [(seconds(10_000), seconds(80_000)) for _ in range(3)]
    short, long = (min(column) for column in zip(*turns, strict=True))
    assert long < 24 * max(short, 0.001), "quadratic: 64"


def test_arguments_in_one_line() -> None:
    assert display.show_arguments([1, "a"], {}) == ('[1, "a"]', False)
    assert display.show_arguments((), {"k": 2}) == ('{"k": 2}', False)
    assert display.show_arguments([1], {"k": 2}) == ('[1] {"k": 2}', False)
    assert display.show_arguments((), {}) == ("[]", False)
    assert display.show_arguments(["ada", "hunter2", None], {}, (), ("name", "password", "token")) == (f'["ada", "{MASK}", null]', True)
    assert len(display.show_arguments(["x" * 5_000], {})[0]) == 2_000


def test_lone_surrogates_become_visible() -> None:
    for shown in (display.show("a\ud800é")[0], display.show_error("a\ud800é"), display.show_arguments(["a\ud800é"], {})[0]):
        assert "a\\ud800é" in shown
        json.dumps(shown).encode()


def test_a_scheme_before_a_key_does_not_hide_the_key() -> None:
    assert redact_text("BEARER client_secret: hunter2") == "BEARER client_secret: •••"
