# SPDX-License-Identifier: AGPL-3.0-or-later
"""Addresses, patterns of actions, and what no target can be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from z4j.exceptions import BadInput
from z4j.rules.forwarding.target import KINDS, TRANSPORTS, Place, TargetRequest, check_target, is_forwarded, kind_of, patterns_of, place_of


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


def refusal(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(BadInput) as caught:
        call()
    return caught.value.message, caught.value.hint


def test_refusals_name_the_remedy() -> None:
    syslog = "Use an address such as tls://logs.example:6514, tcp://… or udp://…. No changes were made."
    lines = "Use an address such as tls://logs.example:5000, tcp://… or file:audit. No changes were made."
    assert refusal(lambda: place_of("syslog", "x" * 101)) == (f"{'x' * 100!r} is not a valid address for syslog.", syslog)
    assert refusal(lambda: place_of("json", "udp://h")) == ("'udp://h' is not a valid address for json.", lines)
    assert refusal(lambda: place_of("json", "file:" + "." * 101)) == (
        f"{'.' * 100!r} is not a valid file name: use letters, digits, - and _.",
        "Use an address such as file:audit. No changes were made.",
    )  # fmt: skip
    assert refusal(lambda: kind_of("mail")) == ("Unknown kind of target. No changes were made.", "Use one of webhook, syslog, json.")
    assert refusal(lambda: patterns_of(" ".join(f"a{n}" for n in range(51)))) == (
        "A target can have at most 50 action patterns. No changes were made.", "",
    )  # fmt: skip
    assert refusal(lambda: patterns_of("A" * 61)) == (
        f"{'A' * 60!r} is not a valid action pattern. No changes were made.", "Use names of actions, such as sign_in or delete_*.",
    )  # fmt: skip
    good = TargetRequest("siem", "syslog", "udp://h")
    assert refusal(lambda: check_target(replace(good, name=""))) == (
        "A target needs a name of at most 60 printable characters. No changes were made.", "",
    )  # fmt: skip
    assert refusal(lambda: check_target(replace(good, key="x" * 2_001))) == (
        "The address of the target is not valid. No changes were made.",
        "",
    )
    assert refusal(lambda: check_target(replace(good, has_audit=False))) == (
        "Nothing would be forwarded. No changes were made.", "Choose the audit log, alerts, or both.",
    )  # fmt: skip
    assert refusal(lambda: check_target(replace(good, ca="x"))) == ("The CA is not a certificate in PEM form. No changes were made.", "")


def test_limits_are_allowed() -> None:
    pem = "-----BEGIN CERTIFICATE-----"
    check_target(TargetRequest("a" * 60, "json", "x" * 2_000, "k" * 2_000, pem + "x" * (64_000 - len(pem)), True, True))
    check_target(TargetRequest("a", "webhook", has_audit=False, has_alerts=True, actions=("sign_in", "delete_*")))
    assert refusal(lambda: check_target(TargetRequest("a", "json", ca=pem + "x" * 64_000)))[0].startswith(
        "The address of the target is not valid"
    )
    assert len(patterns_of(" ".join(f"a{n}" for n in range(50)))) == 50
    assert patterns_of("a" * 60) == ("a" * 60,)


@pytest.mark.parametrize("url", ["tcp://user@h", "tcp://:secret@h", "tcp://h?a=1", "tcp://h#a", "tcp://h/ x", "tcp://h\u202e"])
def test_a_stream_has_a_host_and_a_port_alone(url: str) -> None:
    for kind in ("syslog", "json"):
        with pytest.raises(BadInput):
            place_of(kind, url)


def test_ports_and_transports() -> None:
    assert [place_of("syslog", f"{scheme}://h").port for scheme in ("udp", "tcp", "tls")] == [514, 601, 6514]
    assert place_of("json", "tcp://h:1/") == Place("tcp", "h", 1)
    assert TRANSPORTS == {"syslog": ("udp", "tcp", "tls"), "json": ("tcp", "tls", "file")}
    assert KINDS == ("webhook", "syslog", "json")
    assert place_of("json", "file:/audit/") == Place("file", "audit", 0), "as a URL of a file may be written"
    assert TargetRequest("a", "json") == TargetRequest("a", "json", "", "", "", True, False, ())
