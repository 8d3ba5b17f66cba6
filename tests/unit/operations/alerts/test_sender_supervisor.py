# SPDX-License-Identifier: AGPL-3.0-or-later
"""Signed webhooks, mail over a real SMTP server and Apprise's own JSON channel; no secret of an address is in a reason."""

from __future__ import annotations

import hashlib
import hmac
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.endpoints import endpoint, mail_server
from z4j.exceptions import BadInput
from z4j.operations.alerts.sender_supervisor import NotDelivered, check_address, send
from z4j.operations.alerts.webhooks_and_apprise import SIGNATURE, without_secrets
from z4j.store.alerts.channels import Address, ChannelKind

MESSAGE: dict[str, Any] = {
    "id": "4a1b", "kind": "fired", "severity": "critical", "rule": "everything", "title": "Emails fail (shop · production)",
    "findings": [{"title": "Emails fail", "text": "12 of 14", "since": 1_790_000_040_000_000, "ended_at": None, "url": "https://z4j.example/errors/7"}],
    "more": 0, "url": "https://z4j.example/alerts/3",
}  # fmt: skip


def webhook(url: str, key: str = "k") -> Address:
    return Address("hook", "webhook", url, key, True)


def service(url: str) -> Address:
    return Address("service", "apprise", url, "", True)


def test_a_webhook_can_be_verified_by_who_has_the_key() -> None:
    with endpoint() as server:
        send(webhook(f"{server.url}/hook?token=secret", "key"), MESSAGE)
        [(path, headers, body)] = server.received
        assert path == "/hook?token=secret"
        parts = dict(part.split("=", 1) for part in headers[SIGNATURE].split(","))
        assert parts["v1"] == hmac.new(b"key", parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
        assert headers["Content-Type"] == "application/json"


def test_mail_arrives_with_its_text() -> None:
    with mail_server() as box:
        send(service(f"mailto://127.0.0.1:{box.port}/?from=z4j@example.org&to=ops@example.org"), MESSAGE)
    [raw] = box.mails
    mail = message_from_bytes(raw, policy=policy.default)
    assert mail["Subject"] == MESSAGE["title"]
    assert "ops@example.org" in mail["To"]
    body = mail.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert "Emails fail: 12 of 14" in text
    assert "https://z4j.example/alerts/3" in text
    assert "Message 4a1b" in text


@pytest.mark.parametrize(
    ("message", "kind"),
    [({}, "failure"), ({"severity": "warning"}, "warning"), ({"kind": "resolved"}, "success"), ({"kind": "test"}, "info")],
)
def test_a_service_of_apprise_receives_the_kind_of_message(message: dict[str, str], kind: str) -> None:
    with endpoint() as server:
        send(service(server.url.replace("http://", "json://") + "/in"), MESSAGE | message)
        [body] = server.bodies
        assert (body["type"], body["title"]) == (kind, MESSAGE["title"])
        assert "Message 4a1b" in body["message"]


def test_a_failure_says_why_without_secrets() -> None:
    with endpoint() as server:
        server.statuses[:] = [403, 500]
        host = server.url.removeprefix("http://")
        with pytest.raises(NotDelivered) as failed:
            send(service(f"json://someone:hunter22@{host}/path-token-1234"), MESSAGE)
        assert str(failed.value)
        assert not any(secret in str(failed.value) for secret in ("hunter22", "path-token-1234", "someone"))
        with pytest.raises(NotDelivered, match="status 500"):
            send(webhook(f"{server.url}/path-token-1234"), MESSAGE)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/token-abcdef", "http://no-such-host.invalid/token-abcdef"])
def test_nobody_at_the_other_end_is_a_reason(url: str) -> None:
    with pytest.raises(NotDelivered) as failed:
        send(webhook(url), MESSAGE)
    assert "could not be reached" in str(failed.value)
    assert "token-abcdef" not in str(failed.value)


@pytest.mark.parametrize(
    ("kind", "url", "shown"),
    [
        ("webhook", "https://hooks.example/services/T000/abc?x=1", "https://hooks.example/…"),
        ("webhook", "http://user:pass@hooks.example:8080", "http://hooks.example:8080"),
        ("apprise", "json://user:hunter22@localhost/in", "json://user:****@localhost/…"),
        ("apprise", "forms://localhost:8443/services/T000/path-token-1234?+X-Key=canary", "forms://localhost:8443/…"),
        ("apprise", "json://localhost/a,json://localhost/b", "json://localhost/…"),
    ],
)
def test_an_address_is_shown_without_secrets(kind: ChannelKind, url: str, shown: str) -> None:
    assert check_address(kind, url) == shown


@pytest.mark.parametrize(
    ("kind", "url"),
    [
     ("webhook", "ftp://x"), ("webhook", "https://"), ("webhook", "javascript:alert(1)"), ("webhook", ""),
     ("webhook", "https://x:y"), ("apprise", "nonsense"), ("apprise", ""), ("apprise", "syslog://"), ("apprise", "https://example.org/nothing"),
     ("apprise", " SYSLOG://"), ("apprise", "kde://"),
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(kind: ChannelKind, url: str) -> None:
    with pytest.raises(BadInput, match="No changes were made"):
        check_address(kind, url)


TEMPLATES = (
    "workflow://127.0.0.1:9/WORKFLOWID0123456789/SIGNATURE0123456789?template={}",
    f"discord://123456789012345678/{'a' * 68}/?template={{}}",
    "tgram://123456789:abcdefghijklmnopqrstuvwxyz012345678/12345/?template={}",
    "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?template={}",
    "fcm://project/DEVICE?mode=oauth2&keyfile={}",
)


@pytest.mark.parametrize("url", TEMPLATES)
def test_an_address_reads_no_file_of_this_host_and_no_further_address(url: str, tmp_path: Path) -> None:
    file = tmp_path / "canary.json"
    file.write_text('{"type": "message", "canary": 1}')
    with pytest.raises(BadInput, match="refers to a file or to another address"):
        check_address("apprise", url.format(quote(str(file), safe="")))


def test_a_stored_address_reads_no_further_address_either() -> None:
    with endpoint() as server, pytest.raises(NotDelivered, match="refers to a file or to another address"):
        send(service(TEMPLATES[0].format(quote(f"{server.url}/metadata", safe=""))), MESSAGE)
    assert server.received == []


@pytest.mark.parametrize("url", ["/in", "/in?redirect=yes"])
def test_a_service_does_not_follow_redirections(url: str) -> None:
    with endpoint() as server:
        server.statuses[:] = [302]
        with pytest.raises(NotDelivered, match="302"):
            send(service(server.url.replace("http://", "json://") + url), MESSAGE)
        assert len(server.received) == 1


def test_a_channel_has_one_address() -> None:
    with endpoint() as server:
        one = server.url.replace("http://", "json://")
        send(service(f"{one}/first,{one}/second"), MESSAGE)
        assert len(server.received) == 1


@pytest.mark.parametrize("letter", ["é", "😀", "="])
def test_mail_with_a_long_title_arrives(letter: str) -> None:
    """Mail servers refuse lines of more than 998 bytes, and the name of a task may have 255 characters of any kind."""
    with mail_server() as box:
        send(service(f"mailto://127.0.0.1:{box.port}/?from=z4j@example.org&to=ops@example.org"), MESSAGE | {"title": letter * 900})
    [raw] = box.mails
    subject = message_from_bytes(raw, policy=policy.default)["Subject"]
    assert subject.startswith(letter * 70)
    assert subject.endswith("…")


def test_a_title_adds_no_header_to_a_mail() -> None:
    with mail_server() as box:
        url = f"mailto://127.0.0.1:{box.port}/?from=z4j@example.org&to=ops@example.org"
        send(service(url), MESSAGE | {"title": "a\r\nBcc: evil@example.org\r\n\r\n<b>"})
    mail = message_from_bytes(box.mails[0], policy=policy.default)
    assert mail["Bcc"] is None
    assert mail.get_content_type() == "text/plain"


def test_texts_of_tasks_notify_no_channel() -> None:
    """Chats read mentions in the text of a message."""
    finding = {**MESSAGE["findings"][0], "text": "@everyone <!channel> <@U1> celery@host a@b.example a < b"}
    with endpoint() as server:
        send(service(server.url.replace("http://", "json://")), MESSAGE | {"title": "@here fails", "findings": [finding]})
        [body] = server.bodies
    assert not any(mention in body["title"] + body["message"] for mention in ("@everyone", "<!channel>", "<@U1>", "@here"))
    assert all(text in body["message"] for text in ("celery@host", "a@b.example", "a < b"))


def test_a_reason_has_no_secret_that_stands_in_place_of_a_host() -> None:
    """Many services of Apprise have their token there."""
    text, shown = "slack failed: /bot123456789:AAbbCCddEEff/send to 12345", "tgram://1...f/12345/"
    assert without_secrets(text, "tgram://123456789:AAbbCCddEEff/12345/", shown) == "slack failed: /bot•••:•••/send to 12345"
