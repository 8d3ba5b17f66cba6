# SPDX-License-Identifier: AGPL-3.0-or-later
"""Network addresses: which client is behind a proxy, what counts as loopback, and which addresses share one limit. Pure.

A proxy appends the address it was called from to `X-Forwarded-For`, so only entries of a trusted proxy are valid. Reading goes from
the right; the first address that is not a trusted proxy is the client, and everything to its left was written by that client.
`Forwarded` (RFC 7239) is ignored: two headers that may contradict each other are one too many.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

IPV6_SITE = 64
"""A subscriber of IPv6 has at least a /64, so that a limit per address would be none."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a connection came from. `client` is the address limits and audit use; `is_private` whether nobody on a network could read
    along: it came over TLS, or from this machine and through no proxy."""

    client: str
    is_tls: bool
    is_private: bool
    is_proxied: bool


def parse(text: str) -> Address | None:
    """Parses an address, with or without port, brackets and zone; IPv4 inside IPv6 becomes IPv4. Returns None for any other text."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_loopback(text: str) -> bool:
    """Whether an address is of this machine."""
    address = parse(text)
    return address is not None and address.is_loopback


def limit_key(text: str) -> str:
    """Returns the key by which limits count an address: an IPv4 address, or the /64 of an IPv6 address."""
    address = parse(text)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, IPV6_SITE), strict=False))
    return str(address) if address else text


def is_within(address: Address | None, networks: Sequence[Network]) -> bool:
    """Whether an address is in one of these networks."""
    return address is not None and any(address in network for network in networks)


def find_origin(
    peer: str, forwarded_for: Sequence[str], forwarded_proto: Sequence[str], trusted: Sequence[Network], *, is_secure: bool = False
) -> Origin:
    """Returns the origin of a connection whose other end is `peer`. `forwarded_for` and `forwarded_proto` are the lines of the headers
    in their order, `trusted` the proxies whose headers are accepted; without any, no header is. `is_secure`: the other end speaks TLS with
    this server itself."""
    caller = parse(peer)
    here = str(caller) if caller else peer
    is_local = caller is not None and caller.is_loopback
    # There may be a proxy that was not configured: with its headers, a loopback address proves nothing.
    has_headers = bool(forwarded_for or forwarded_proto)
    if not is_within(caller, trusted):
        return Origin(here, is_secure, (is_local or is_secure) and not has_headers, False)
    if not has_headers:
        return Origin(here, is_secure, is_local or is_secure, False)
    for text in reversed([part for line in forwarded_for for part in line.split(",")]):
        address = parse(text)
        if address is None:
            break  # entries to the left of an invalid one were not written by a proxy either: the last proxy stays the client
        here = str(address)
        if not is_within(address, trusted):
            break
    protocols = [part.strip().lower() for line in forwarded_proto for part in line.split(",") if part.strip()]
    is_tls = bool(protocols) and all(protocol in ("https", "wss") for protocol in protocols)
    return Origin(here, is_tls, is_tls, True)
