# SPDX-License-Identifier: AGPL-3.0-or-later
"""Addresses, patterns of actions, and what no target can be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from z4j.exceptions import BadInput
from z4j.rules.forwarding.target import Place, TargetRequest, check_target, is_forwarded, kind_of, patterns_of, place_of


@pytest.mark.parametrize(
    ("kind", "url", "place"),
    [
        ("syslog", "udp://logs.example", Place("udp", "logs.example", 514)),
        ("syslog", "tcp://10.0.0.1:1514", Place("tcp", "10.0.0.1", 1514)),
        ("syslog", "tls://[::1]/", Place("tls", "::1", 6514)),
        ("json", "tls://logs.example:5000", Place("tls", "logs.example", 5000)),
        ("json", "file:audit-log_1", Place("file", "audit-log_1", 0)),
    ],
)
def test_addresses(kind: str, url: str, place: Place) -> None:
    assert place_of(kind, url) == place
    assert place_of(kind, str(place)) == place, "as it is shown, it can be entered again"


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("syslog", "file:audit"), ("syslog", "https://logs.example"), ("syslog", "tcp://"), ("syslog", "tcp://h:port"), ("syslog", ""),
        ("syslog", "tcp://h:99999"), ("syslog", "tcp://user:secret@h"), ("syslog", "tcp://h/path"), ("syslog", "tcp://h\r\nx"),
        ("json", "udp://h"), ("json", "file:../../etc/passwd"), ("json", "file:/etc/passwd"), ("json", "file:.ssh"), ("json", "file:a b"),
        ("json", "file://a/b"), ("json", "tcp://[::1"),
    ],
)  # fmt: skip
def test_what_is_no_address(kind: str, url: str) -> None:
    with pytest.raises(BadInput):
        place_of(kind, url)


def test_patterns() -> None:
    assert patterns_of(" sign_in, delete_*\n delete_* ") == ("sign_in", "delete_*")
    assert patterns_of("") == ()
    assert is_forwarded((), "anything")
    assert is_forwarded(("sign_in", "delete_*"), "delete_task")
    assert not is_forwarded(("sign_in", "delete_*"), "create_token")
    for wrong in ("Sign_In", "[a-z]*", "a" * 61, " ".join(f"a{n}" for n in range(51))):
        with pytest.raises(BadInput):
            patterns_of(wrong)


def test_what_no_target_can_be() -> None:
    good = TargetRequest("siem", "syslog", "udp://h")
    check_target(good)
    for wrong in (
        replace(good, name=" "), replace(good, name="a" * 61), replace(good, name="a\nb"), replace(good, url="x" * 2_001),
        replace(good, has_audit=False), replace(good, ca="no certificate"),
        replace(good, actions=("[",)), replace(good, kind="mail"),  # type: ignore[arg-type]
    ):  # fmt: skip
        with pytest.raises(BadInput):
            check_target(wrong)
    assert kind_of("json") == "json"
    with pytest.raises(BadInput):
        kind_of("mail")
