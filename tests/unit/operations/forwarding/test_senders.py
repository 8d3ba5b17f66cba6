# SPDX-License-Identifier: AGPL-3.0-or-later
"""Each kind of target gets its form; addresses are shown without secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.endpoints import endpoint
from tests.support.syslog import tcp_receiver, udp_receiver
from z4j.exceptions import BadInput
from z4j.operations.forwarding.senders import send, shown_address
from z4j.rules.forwarding.events import of_test
from z4j.rules.forwarding.target import TargetRequest
from z4j.store.forwarding.targets import Address

MESSAGES = [of_test(number, "ada", "https://z4j.example") for number in (1, 2)]


def test_each_form(tmp_path: Path) -> None:
    with tcp_receiver() as tcp, udp_receiver() as udp, endpoint() as hook:
        assert send(Address("syslog", f"tcp://127.0.0.1:{tcp.port}", "", ""), MESSAGES, tmp_path).sent == 2
        assert send(Address("json", f"tcp://127.0.0.1:{tcp.port}", "", ""), MESSAGES, tmp_path).sent == 2
        assert send(Address("syslog", f"udp://127.0.0.1:{udp.port}", "", ""), MESSAGES, tmp_path).sent == 2
        assert send(Address("json", "file:x", "", ""), MESSAGES, tmp_path).sent == 2
        assert send(Address("webhook", hook.url, "key", ""), MESSAGES, tmp_path).sent == 2
        tcp.wait(lambda: len(tcp.parts) == 2, 5)
        udp.wait(lambda: len(udp.parts) == 2, 5)
        assert sorted(part[:1] for part in tcp.parts)[1] == b"{"
        assert [each.body["id"] for each in udp.datagrams] == ["test-1", "test-2"]
        assert [body["id"] for body in hook.bodies] == ["test-1", "test-2"]


def test_a_webhook_that_fails_tells_how_far_it_got(tmp_path: Path) -> None:
    with endpoint() as hook:
        hook.statuses += [200, 302]
        result = send(Address("webhook", f"{hook.url}/canary-path", "key", ""), MESSAGES, tmp_path)
        assert (result.sent, result.status) == (1, 302)
        assert "302" in result.why
        assert len(hook.received) == 2, "a redirect is not followed"
    result = send(Address("webhook", f"{hook.url}/canary-path", "key", ""), MESSAGES, tmp_path)
    assert (result.sent, result.status) == (0, 0)
    assert "canary" not in result.why


def test_a_target_without_an_address_sends_nothing(tmp_path: Path) -> None:
    assert send(Address("syslog", "", "", ""), MESSAGES, tmp_path).sent == 0


def test_addresses_are_shown_without_secrets() -> None:
    assert shown_address(TargetRequest("t", "webhook", "https://hooks.example/secret?x=y")) == "https://hooks.example/…"
    assert shown_address(TargetRequest("t", "syslog", "tls://h")) == "tls://h:6514"
    for wrong in (TargetRequest("t", "webhook", "ftp://h"), TargetRequest("t", "syslog", "tcp://h", ca="-----BEGIN CERTIFICATE-----")):
        with pytest.raises(BadInput):
            shown_address(wrong)
