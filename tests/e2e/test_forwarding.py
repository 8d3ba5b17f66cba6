# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rows of the audit log reach every kind of target at least once and none is missing, while the server is killed and targets are away."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.endpoints import Endpoint, endpoint
from tests.support.stack import SERVER_PYTHON, Stack, stack, wait_for
from tests.support.syslog import Receiver, tcp_receiver, udp_receiver
from z4j import clock
from z4j.listener import certificates
from z4j_agent.conformance.harness import free_port

pytestmark = pytest.mark.timeout(300)
KEY = "the key of the webhook"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Stack]:
    with stack(tmp_path) as made:
        made.command("migrate")
        yield made


class Admin:
    """The API with the role of an administrator."""

    def __init__(self, shop: Stack) -> None:
        token = shop.command("token", "create", "--api", "admin", "--role", "admin").strip()
        self.client = httpx2.Client(base_url=f"{shop.address}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=10)
        shop.at_end.append(self.client.close)

    def post(self, path: str, **body: Any) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        return self.client.get(path).json()

    def act(self, word: str) -> None:
        """Writes a row."""
        self.post("/maintenance", ends_at=time.time_ns() // 1_000 + 3_600_000_000, app="nobody", reason=word)


def rows(shop: Stack) -> dict[int, str]:
    """What was recorded: row → action."""
    return dict(shop.rows("SELECT seq, action FROM audit"))


def is_up_to_date(admin: Admin) -> bool:
    listed = admin.get("/forwarding")["targets"]
    return all(each["waiting_audit"] == 0 and not each["failing_since"] for each in listed)


def tls_of(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A receiver's TLS, and the certificate to verify it with."""
    folder.mkdir()
    certificates.prepare(folder, ("localhost", "127.0.0.1"), clock.now())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.server_file(folder))
    text = certificates.server_file(folder).read_text()
    return context, text[text.index("-----BEGIN CERTIFICATE-----") :]


def check_signatures(received: Endpoint) -> None:
    """As docs/forwarding.md says that a receiver does it."""
    for _, headers, body in received.received:
        parts = dict(part.split("=") for part in headers["Z4J-Signature"].split(","))
        digest = hmac.new(KEY.encode(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
        assert hmac.compare_digest(digest, parts["v1"])
        assert json.loads(body)["id"] == headers["Z4J-Message-Id"]


def test_each_row_reaches_each_target_while_the_server_is_killed(shop: Stack, tmp_path: Path) -> None:
    context, ca = tls_of(tmp_path / "tls")
    server = shop.start_server()
    admin = Admin(shop)
    with ExitStack() as opened:
        tcp, tls = opened.enter_context(tcp_receiver()), opened.enter_context(tcp_receiver(context=context))
        lines, hook = opened.enter_context(tcp_receiver()), opened.enter_context(endpoint())
        targets: tuple[tuple[str, str, str, dict[str, str]], ...] = (
            ("siem", "syslog", f"tcp://127.0.0.1:{tcp.port}", {}), ("safe", "syslog", f"tls://127.0.0.1:{tls.port}", {"ca": ca}),
            ("lines", "json", f"tcp://127.0.0.1:{lines.port}", {}), ("file", "json", "file:audit", {}),
            ("hook", "webhook", f"{hook.url}/secret-path", {"key": KEY}),
        )  # fmt: skip
        for name, kind, url, more in targets:
            admin.post("/forwarding", name=name, kind=kind, url=url, from_beginning=True, **more)
        for turn in range(5):
            for number in range(12):
                admin.act(f"turn {turn} row {number}")
            if turn == 2:
                tcp.reset_after = tls.reset_after = 50  # they lose a batch that they have begun to read
                hook.statuses += [500, 503]
            server.kill()  # at any moment of the deliveries
            server = shop.start_server()
        wait_for(lambda: is_up_to_date(admin), seconds=60, what="every target has everything")
        recorded = rows(shop)
        assert len(recorded) > 60
        by_target = {
            "siem": [message.body for message in tcp.messages], "safe": [message.body for message in tls.messages],
            "lines": lines.lines, "hook": hook.bodies,
            "file": [json.loads(line) for line in (shop.data / "forwarded/audit.jsonl").read_text().splitlines()],
        }  # fmt: skip
        for name, bodies in by_target.items():
            assert {body["seq"]: body["action"] for body in bodies} == recorded, name
            by_id: dict[int, set[str]] = {}
            for body in bodies:
                by_id.setdefault(body["seq"], set()).add(body["id"])
            assert all(len(ids) == 1 for ids in by_id.values()), "a copy has the same id"
        check_signatures(hook)
        assert "secret-path" not in json.dumps(admin.get("/forwarding"))
        assert {message.facility for message in tcp.messages} == {13}
        assert {message.id for message in tcp.messages} == {"audit"}
        assert "Forwarding is up to date (5 targets)" in shop.run(SERVER_PYTHON, "z4j", "doctor").stdout


def test_nothing_is_lost_while_a_target_is_away(shop: Stack) -> None:
    shop.start_server()
    admin = Admin(shop)
    port = free_port()
    admin.post("/forwarding", name="away", kind="syslog", url=f"tcp://127.0.0.1:{port}", from_beginning=True)
    for number in range(20):
        admin.act(f"row {number}")
    wait_for(lambda: admin.get("/forwarding")["targets"][0]["failing_since"], seconds=20, what="it fails")
    state = admin.get("/forwarding")["targets"][0]
    assert "refused" in state["error"]
    assert state["waiting_audit"] >= 20
    with tcp_receiver(port) as back:
        wait_for(lambda: is_up_to_date(admin), seconds=60, what="it has everything")
        assert {message.body["seq"] for message in back.messages} == set(rows(shop))
        assert [message.body["seq"] for message in back.messages] == sorted(message.body["seq"] for message in back.messages)


def test_udp_and_a_filter(shop: Stack) -> None:
    shop.start_server()
    admin = Admin(shop)
    with udp_receiver() as receiver:
        admin.post(
            "/forwarding", name="udp", kind="syslog", url=f"udp://127.0.0.1:{receiver.port}", actions=["change_maint*", "sign_in"],
        )  # fmt: skip
        for number in range(5):
            admin.act(f"row {number}")
        shop.command("token", "create", "--app", "another")
        wait_for(lambda: is_up_to_date(admin) and len(receiver.parts) >= 5, seconds=30, what="all datagrams")
        assert {message.body["action"] for message in receiver.datagrams} == {"change_maintenance"}
        assert len(receiver.datagrams) == 5


def messages_of(receiver: Receiver) -> list[dict[str, Any]]:
    return [message.body for message in receiver.messages]


def test_alerts_are_forwarded_when_they_fire_and_when_they_end(shop: Stack) -> None:
    shop.start_server()
    admin = Admin(shop)
    with tcp_receiver() as receiver:
        admin.post("/forwarding", name="siem", kind="syslog", url=f"tcp://127.0.0.1:{receiver.port}", audit=False, alerts=True)
        rule = admin.post("/alert-rules", name="absent", threshold={"measure": "absent", "limit": 60}, subject="nobody.runs_this")["id"]
        receiver.wait(lambda: any(each["kind"] == "fired" for each in messages_of(receiver)), 60)
        [fired] = [each for each in messages_of(receiver) if each["kind"] == "fired"]
        assert fired["rule"] == "absent"
        assert fired["findings"][0]["url"].startswith(shop.address)
        assert {message.id for message in receiver.messages} == {"alerts"}
        assert {message.facility for message in receiver.messages} == {16}
        admin.post(f"/alert-rules/{rule}/delete")
