# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest

from z4j.listener.host_names import MOST, certificate_names, ipv4_addresses, ipv6_addresses, is_address, normalized

FIB_TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.7
           /32 host LOCAL
Local:
        |-- 192.0.2.7
           /32 host LOCAL
        |-- 198.51.100.9
           /32 host LOCAL
"""
IF_INET6 = """00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000005 02 40 00 80     eth0
fe80000000000000020000fffe000002 02 40 20 80     eth0
"""


def test_the_kernels_tables_give_the_addresses_of_this_host_without_loopback() -> None:
    assert ipv4_addresses(FIB_TRIE) == ["192.0.2.7", "198.51.100.9"]
    assert ipv6_addresses(IF_INET6) == ["2001:db8::5"]
    assert ipv4_addresses("") == ipv6_addresses("") == []


def test_chosen_names_come_first_and_each_is_listed_once() -> None:
    names = certificate_names("Box", ["192.0.2.7"], ["Queue.Internal.", "box", "[2001:DB8::5]"])
    assert names == ("queue.internal", "box", "2001:db8::5", "192.0.2.7", "localhost", "127.0.0.1", "::1")


def test_a_host_with_thousands_of_addresses_has_a_bounded_certificate() -> None:
    names = certificate_names("box", [f"10.0.{high}.{low}" for high in range(20) for low in range(250)], [])
    assert len(names) == MOST
    assert names[-3:] == ("localhost", "127.0.0.1", "::1")


@pytest.mark.parametrize("text", ["a b", "", "-x", "x-.y", "a..b", "x" * 64, "name/path", "évil", "a\nb"])
def test_what_is_neither_name_nor_address_is_left_out(text: str) -> None:
    assert normalized(text) == ""
    assert text not in certificate_names("box", [], [text])


def test_addresses_are_told_from_names() -> None:
    assert is_address("192.0.2.7")
    assert is_address("2001:db8::5")
    assert not is_address("192.0.2.7.example")
    assert normalized("*.example.org") == "*.example.org"
