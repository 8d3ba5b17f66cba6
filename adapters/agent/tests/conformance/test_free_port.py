# SPDX-License-Identifier: Apache-2.0
"""A port of a server that is started later stays its own, also while it is restarted."""

from __future__ import annotations

import socket

import pytest

from z4j_agent.conformance.harness import free_port


def pick() -> int:
    """A port that another test would choose."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        return int(other.getsockname()[1])


def test_no_port_is_given_twice_and_nobody_else_gets_it() -> None:
    ports = [free_port() for _ in range(200)]
    assert len(set(ports)) == len(ports)
    assert {pick() for _ in range(3_000)} & set(ports) == set()


def test_a_server_listens_there_again_and_again_and_only_one() -> None:
    port = free_port()
    for host in ("127.0.0.1", "0.0.0.0"):
        first = socket.create_server((host, port))
        with first, socket.create_connection(("127.0.0.1", port)), pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", port))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
