# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import hashlib
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from z4j.rules import totp

SECRET = b"12345678901234567890"  # of RFC 6238, appendix B
SECOND = 1_000_000


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "94287082"), (1111111109, "07081804"), (1111111111, "14050471"), (1234567890, "89005924"), (20000000000, "65353130")],
)
def test_the_vectors_of_the_standard(seconds: int, code: str) -> None:
    assert totp.code_at(SECRET, seconds * SECOND // totp.STEP_US) == code[-totp.DIGITS :]


def test_a_clock_may_be_one_step_off_and_no_code_counts_twice() -> None:
    at = 1234567890 * SECOND
    step = at // totp.STEP_US
    codes = {off: totp.code_at(SECRET, step + off) for off in (-2, -1, 0, 1, 2)}
    assert [totp.find_step(SECRET, codes[off], at, 0) for off in (-1, 0, 1)] == [step - 1, step, step + 1]
    assert totp.find_step(SECRET, codes[-2], at, 0) is None
    assert totp.find_step(SECRET, codes[2], at, 0) is None
    assert totp.find_step(SECRET, codes[0], at, step) is None
    assert totp.find_step(SECRET, codes[-1], at, step) is None  # nor one before it
    assert totp.find_step(SECRET, codes[1], at, step) == step + 1
    assert totp.find_step(b"another secret, 20 by", codes[0], at, 0) is None


def test_a_code_counts_again_after_the_clock_was_set_back() -> None:
    at = 1234567890 * SECOND
    step = at // totp.STEP_US
    code = totp.code_at(SECRET, step)
    assert totp.find_step(SECRET, code, at, step + totp.DRIFT) is None
    assert totp.find_step(SECRET, code, at, step + totp.DRIFT + 1) == step


@pytest.mark.parametrize(
    ("typed", "code"), [("123 456", "123456"), (" ABCD-efgh ", "abcdefgh"), ("12;456", ""), ("", ""), ("é" * 6, ""), ("1" * 33, "")]
)
def test_codes_are_taken_as_people_type_them(typed: str, code: str) -> None:
    assert totp.clean(typed) == code


def test_kinds_of_codes() -> None:
    assert totp.is_app_code("012345")
    assert not totp.is_app_code("01234")
    assert not totp.is_app_code("abcdef")
    code = totp.recovery_code(b"\x00\xff" * 5)
    assert [len(group) for group in code.split("-")] == [4, 4, 4, 4]
    assert not totp.is_app_code(totp.clean(code))
    assert totp.hash_recovery_code(totp.clean(code.upper())) == totp.hash_recovery_code(code.replace("-", ""))


def test_apps_read_the_uri() -> None:
    uri = urlsplit(totp.enrol_uri(SECRET, "ada & co", "tasks.example"))
    assert (uri.scheme, uri.netloc, unquote(uri.path)) == ("otpauth", "totp", "/z4j tasks.example:ada & co")
    assert parse_qs(uri.query) == {"secret": ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"], "issuer": ["z4j tasks.example"]}
    assert totp.in_groups("GEZDGNBVG") == "GEZD GNBV G"


def test_numbers_that_authenticator_apps_and_kept_codes_rely_on() -> None:
    assert (totp.DIGITS, totp.STEP_US, totp.DRIFT, totp.SECRET_BYTES) == (6, 30 * SECOND, 1, 20)
    assert (totp.RECOVERY_CODES, totp.RECOVERY_BYTES) == (10, 10)


def test_a_code_keeps_its_leading_zeros() -> None:
    codes = [totp.code_at(SECRET, step) for step in range(100)]
    assert {len(code) for code in codes} == {6}
    assert any(code.startswith("0") for code in codes)


def test_a_recovery_code_is_kept_as_one_hash_that_no_release_may_change() -> None:
    code = totp.recovery_code(bytes(range(10)))
    assert code == "aaaq-eaye-auda-ocaj"
    assert totp.hash_recovery_code("aaaqeayeaudaocaj") == hashlib.sha256(b"z4j recovery code\0aaaqeayeaudaocaj").digest()


def test_a_recovery_code_fits_what_is_taken_as_typed_and_is_not_mistaken_for_one_of_the_app() -> None:
    assert totp.clean("A" * 32) == "a" * 32
    assert totp.clean("-- --") == ""
    assert not totp.is_app_code("1234567")
    assert not totp.is_app_code("12345a")


def test_without_a_host_the_issuer_is_the_product() -> None:
    assert totp.enrol_uri(b"secret", "ada", "") == "otpauth://totp/z4j:ada?secret=ONSWG4TFOQ&issuer=z4j"
    assert totp.enrol_uri(b"secret", "a/b", "c/d").startswith("otpauth://totp/z4j%20c%2Fd:a%2Fb?")
