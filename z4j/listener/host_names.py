# SPDX-License-Identifier: AGPL-3.0-or-later
"""The addresses of this host, from the kernel's own tables, and the names a certificate is made for. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

LOCAL: Final = ("localhost", "127.0.0.1", "::1")
MOST: Final = 100
"""Names in one certificate: a host with thousands of addresses would make every handshake large."""
_NAME: Final = re.compile(r"(?=.{1,253}\Z)(\*\.)?[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\Z")


def is_address(name: str) -> bool:
    """Whether a name is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Whether an IP address is of this machine alone."""
    return is_address(address) and ipaddress.ip_address(address).is_loopback


def normalized(name: str) -> str:
    """Returns a name or address in its one spelling, or "" if it is neither."""
    text = name.strip().strip("[]").rstrip(".").lower()
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text if _NAME.match(text) else ""


def certificate_names(host_name: str, addresses: Iterable[str], extra: Iterable[str]) -> tuple[str, ...]:
    """Returns the names of a certificate, each once: those the operator chose first, then the host's name, its addresses, and loopback."""
    chosen = [normalized(name) for name in (*extra, host_name, *addresses)]
    return tuple(dict.fromkeys([name for name in chosen if name][: MOST - len(LOCAL)] + list(LOCAL)))


def ipv4_addresses(fib_trie: str) -> list[str]:
    """Returns the host's own IPv4 addresses from `/proc/net/fib_trie`, without loopback, in their order."""
    found, before = [], ""
    for line in fib_trie.splitlines():
        if "/32 host LOCAL" in line and before:
            found.append(before)
        before = line.rpartition("|-- ")[2].strip() if "|-- " in line else ""
    return [text for text in dict.fromkeys(found) if not ipaddress.ip_address(text).is_loopback]


def ipv6_addresses(if_inet6: str) -> list[str]:
    """Returns the host's own IPv6 addresses from `/proc/net/if_inet6`, without loopback and link-local ones."""
    addresses = [ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in if_inet6.splitlines() if line.strip()]
    return [str(each) for each in dict.fromkeys(addresses) if not each.is_loopback and not each.is_link_local]
