# SPDX-License-Identifier: AGPL-3.0-or-later
"""Batches over UDP, TCP, TLS and to files: what was not surely received is reported as not sent."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from tests.support.syslog import tcp_receiver, udp_receiver
from z4j import clock
from z4j.exceptions import BadInput
from z4j.listener import certificates
from z4j.operations.forwarding import sockets_and_files
from z4j.operations.forwarding.sockets_and_files import NotSent, append, check_ca, send
from z4j.rules.forwarding.syslog import counted
from z4j.rules.forwarding.target import Place

FRAMES = [b"<110>1 2026-01-01T00:00:00.000000Z h z4j 1 audit - {}"] * 3


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as made:
        return int(made.getsockname()[1])


def test_tcp_has_arrived_when_send_returns(tmp_path: Path) -> None:
    with tcp_receiver() as receiver:
        send(Place("tcp", "127.0.0.1", receiver.port), [counted(frame) for frame in FRAMES], "", tmp_path)
        receiver.wait(lambda: len(receiver.parts) == 1, 5)
        assert [message.id for message in receiver.messages] == ["audit"] * 3


def test_a_receiver_that_resets_has_not_received(tmp_path: Path) -> None:
    with tcp_receiver() as receiver:
        receiver.reset_after = 10
        with pytest.raises(NotSent):
            send(Place("tcp", "127.0.0.1", receiver.port), [counted(frame) for frame in FRAMES * 1_000], "", tmp_path)
        assert receiver.parts == []


def test_a_receiver_that_keeps_its_end_open_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets_and_files, "CLOSE_S", 0.3)
    with tcp_receiver() as receiver:
        receiver.stays_open = True
        send(Place("tcp", "127.0.0.1", receiver.port), [counted(FRAMES[0])], "", tmp_path)
        assert len(receiver.messages) == 1


def test_nobody_there(tmp_path: Path) -> None:
    for transport in ("tcp", "tls"):
        with pytest.raises(NotSent, match="refused"):
            send(Place(transport, "127.0.0.1", free_port()), FRAMES, "", tmp_path)
    with pytest.raises(NotSent):
        send(Place("udp", "127.0.0.1", free_port()), FRAMES, "", tmp_path)
    with pytest.raises(NotSent):
        send(Place("tcp", "nobody.invalid", 1), FRAMES, "", tmp_path)


def test_udp_sends_a_datagram_each(tmp_path: Path) -> None:
    with udp_receiver() as receiver:
        send(Place("udp", "127.0.0.1", receiver.port), FRAMES, "", tmp_path)
        receiver.wait(lambda: len(receiver.parts) == 3, 5)
        assert len(receiver.datagrams) == 3


@pytest.fixture
def server_context(tmp_path: Path) -> ssl.SSLContext:
    folder = tmp_path / "tls"
    folder.mkdir()
    certificates.prepare(folder, ("localhost", "127.0.0.1"), clock.now())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.server_file(folder))
    return context


def pem(tmp_path: Path) -> str:
    text = certificates.server_file(tmp_path / "tls").read_text()
    begin = text.index("-----BEGIN CERTIFICATE-----")
    return text[begin : text.index("-----END CERTIFICATE-----") + 26]


def test_tls_verifies_the_receiver(tmp_path: Path, server_context: ssl.SSLContext) -> None:
    with tcp_receiver(context=server_context) as receiver:
        place = Place("tls", "127.0.0.1", receiver.port)
        send(place, [counted(frame) for frame in FRAMES], pem(tmp_path), tmp_path)
        receiver.wait(lambda: len(receiver.parts) == 1, 5)
        assert len(receiver.messages) == 3
        with pytest.raises(NotSent, match="could not be verified"):
            send(place, FRAMES, "", tmp_path)
        other = tmp_path / "other"
        other.mkdir()
        (tmp_path / "tls").rename(tmp_path / "first")
        (tmp_path / "tls").mkdir()
        certificates.prepare(tmp_path / "tls", ("localhost", "127.0.0.1"), clock.now())
        with pytest.raises(NotSent, match="could not be verified"):
            send(place, FRAMES, pem(tmp_path), tmp_path)
        assert len(receiver.parts) == 1
    check_ca(pem(tmp_path))
    with pytest.raises(BadInput):
        check_ca("-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----")


def test_a_receiver_without_tls_is_no_tls_receiver(tmp_path: Path) -> None:
    with tcp_receiver() as receiver, pytest.raises(NotSent):
        send(Place("tls", "127.0.0.1", receiver.port), FRAMES, "", tmp_path)


def test_lines_of_a_file_survive_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "audit.jsonl"
    append(path, [b'{"a":1}\n'])
    with path.open("ab") as torn:
        torn.write(b'{"a":2')  # the server was killed
    append(path, [b'{"a":2}\n', b'{"a":3}\n'])
    assert path.read_text().splitlines() == ['{"a":1}', '{"a":2', '{"a":2}', '{"a":3}']
    assert path.stat().st_mode & 0o777 == 0o600


def test_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets_and_files, "ROTATE", 100)
    path = tmp_path / "audit.jsonl"
    for number in range(200):
        append(path, [b"%030d\n" % number])
    files = sorted(tmp_path.iterdir())
    assert len(files) == sockets_and_files.KEPT + 1
    lines = [line for file in sorted(files, key=lambda file: -file.stat().st_mtime_ns) for line in file.read_text().splitlines()]
    assert f"{199:030d}" in lines
    assert sum(file.stat().st_size for file in files) < 2_000


def test_a_file_that_is_a_link_is_not_written(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    os.symlink(victim, tmp_path / "audit.jsonl")
    with pytest.raises(NotSent):
        send(Place("file", "audit", 0), [b"{}\n"], "", tmp_path)
    assert victim.read_text() == "kept"
