# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which client is behind a proxy, and what a forged header may not do."""

from __future__ import annotations

import ipaddress

import pytest

from z4j.rules.addresses import find_origin, is_loopback, is_within, limit_key, parse

PROXIES = tuple(ipaddress.ip_network(text) for text in ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "fd00::/8"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7:4711 ", "203.0.113.7"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::1"),
        ('"203.0.113.7"', "203.0.113.7"),
        ("unknown", None),
        ("", None),
        ("203.0.113", None),
        ("_hidden", None),
    ],
)
def test_an_address_as_text(text: str, found: str | None) -> None:
    assert str(parse(text)) == str(found)


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("127.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", ["1.1.1.1, 203.0.113.7"], "203.0.113.7"),  # what the client wrote itself stands left
        ("127.0.0.1", ["1.1.1.1", "203.0.113.7"], "203.0.113.7"),  # on a line of its own, too
        ("127.0.0.1", ["1.1.1.1, 203.0.113.7, 10.0.0.9"], "203.0.113.7"),  # two proxies
        ("10.0.0.9", ["127.0.0.1, 203.0.113.7"], "203.0.113.7"),
        ("::ffff:10.0.0.9", ["203.0.113.7"], "203.0.113.7"),
        ("fd00::5", ["2001:db8::7"], "2001:db8::7"),
        ("127.0.0.1", ["203.0.113.7, junk"], "127.0.0.1"),
        ("127.0.0.1", ["junk, 10.0.0.9"], "10.0.0.9"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", ["10.0.0.1, 10.0.0.2"], "10.0.0.1"),  # nobody but proxies: the farthest of them
        ("198.51.100.4", ["203.0.113.7"], "198.51.100.4"),  # not a proxy of ours
        ("testclient", ["203.0.113.7"], "testclient"),
    ],
)
def test_the_client_is_the_rightmost_that_is_no_proxy(peer: str, headers: list[str], client: str) -> None:
    assert find_origin(peer, headers, ["https"], PROXIES).client == client


@pytest.mark.parametrize(
    ("peer", "address", "proto", "trusted", "is_tls", "is_private"),
    [
        ("127.0.0.1", [], [], (), False, True),  # straight from this machine
        ("::1", [], [], (), False, True),
        ("::ffff:127.0.0.1", [], [], (), False, True),
        ("127.8.8.8", [], [], (), False, True),
        ("127.0.0.1", [], [], PROXIES, False, True),
        ("203.0.113.7", [], [], (), False, False),
        ("203.0.113.7", [], [], PROXIES, False, False),
        ("203.0.113.7", ["127.0.0.1"], ["https"], PROXIES, False, False),  # anybody may write a header
        ("203.0.113.7", ["127.0.0.1"], ["https"], (), False, False),
        ("127.0.0.1", ["203.0.113.7"], [], (), False, False),  # a proxy nobody told us about: plaintext may have crossed a network
        ("127.0.0.1", ["127.0.0.1"], ["https"], (), False, False),
        ("127.0.0.1", ["203.0.113.7"], ["https"], PROXIES, True, True),
        ("127.0.0.1", ["203.0.113.7"], ["wss"], PROXIES, True, True),
        ("127.0.0.1", ["203.0.113.7"], ["http"], PROXIES, False, False),
        ("127.0.0.1", ["203.0.113.7"], ["https, http"], PROXIES, False, False),
        ("127.0.0.1", ["203.0.113.7"], ["https", "http"], PROXIES, False, False),
        ("127.0.0.1", ["203.0.113.7"], [], PROXIES, False, False),
        ("127.0.0.1", ["127.0.0.1"], ["http"], PROXIES, False, False),
        ("10.0.0.9", [], ["https"], PROXIES, True, True),
    ],
)
def test_plaintext_is_judged_by_the_real_peer(
    peer: str, address: list[str], proto: list[str], trusted: tuple[ipaddress.IPv4Network, ...], is_tls: bool, is_private: bool
) -> None:
    found = find_origin(peer, address, proto, trusted)
    assert (found.is_tls, found.is_private) == (is_tls, is_private)


def test_one_subscriber_has_one_limit() -> None:
    assert limit_key("2001:db8::1") == limit_key("2001:db8::ffff:1") == "2001:db8::/64"
    assert limit_key("2001:db8:0:1::1") != limit_key("2001:db8::1")
    assert limit_key("::ffff:203.0.113.7") == limit_key("203.0.113.7") == "203.0.113.7"
    assert limit_key("testclient") == "testclient"


@pytest.mark.parametrize(
    ("text", "is_here"), [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", False)]
)
def test_loopback(text: str, is_here: bool) -> None:
    assert is_loopback(text) is is_here


@pytest.mark.parametrize(
    ("peer", "headers", "is_proxied"),
    [("127.0.0.1", ["203.0.113.7"], True), ("127.0.0.1", [], False), ("198.51.100.4", ["203.0.113.7"], False)],
)
def test_an_origin_says_whether_a_proxy_stood_between(peer: str, headers: list[str], is_proxied: bool) -> None:
    """Then the port is that of the proxy, and not of the client."""
    assert find_origin(peer, headers, [], PROXIES).is_proxied is is_proxied


def test_an_address_is_within_networks_of_its_own_version_only() -> None:
    assert is_within(parse("10.1.2.3"), PROXIES)
    assert not is_within(parse("11.1.2.3"), PROXIES)
    assert not is_within(None, PROXIES)
    assert not is_within(parse("10.1.2.3"), ())
    assert not is_within(parse("::ffff"), [ipaddress.ip_network("0.0.0.0/0")])
    assert not is_within(parse("1.2.3.4"), [ipaddress.ip_network("::/0")])


def test_text_that_is_no_address_is_not_of_this_machine() -> None:
    assert not is_loopback("testclient")
    assert not is_loopback("")


@pytest.mark.parametrize("proto", [" HTTPS ", "https, wss", "https,", "WSS"])
def test_a_proxy_may_write_its_protocol_in_capitals_and_with_spaces(proto: str) -> None:
    assert find_origin("127.0.0.1", [], [proto], PROXIES).is_tls


def test_an_unknown_proxy_may_send_either_header() -> None:
    """One of them is enough to doubt that the caller is on this machine."""
    assert not find_origin("127.0.0.1", [], ["http"], ()).is_private
    assert not find_origin("127.0.0.1", ["10.0.0.1"], [], ()).is_private
    assert not find_origin("127.0.0.1", [], ["http"], PROXIES).is_private


def test_tls_with_this_server_is_private_from_anywhere_unless_a_proxy_may_be_in_front() -> None:
    direct = find_origin("203.0.113.9", [], [], (), is_secure=True)
    assert (direct.client, direct.is_tls, direct.is_private, direct.is_proxied) == ("203.0.113.9", True, True, False)
    assert not find_origin("203.0.113.9", [], [], ()).is_private
    assert not find_origin("203.0.113.9", ["198.51.100.1"], [], (), is_secure=True).is_private
    assert not find_origin("10.1.2.3", ["198.51.100.1"], ["http"], PROXIES, is_secure=True).is_private, "the client had no TLS"
    assert find_origin("10.1.2.3", [], [], PROXIES, is_secure=True).is_private
