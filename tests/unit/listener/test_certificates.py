# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import base64
import hashlib
import ssl
import stat
import subprocess
from pathlib import Path

import pytest

from z4j import clock
from z4j.clock import DAY_US
from z4j.exceptions import StoreError, WrongState
from z4j.listener import certificates
from z4j.listener.certificates import RENEW_DAYS, VALID_DAYS, Certificate

NAMES = ("queue.internal", "box", "192.0.2.7", "localhost", "127.0.0.1")
AT = 1_800_000_000_000_000


def make(data: Path, at: int = AT, names: tuple[str, ...] = NAMES) -> Certificate:
    return certificates.prepare(data, names, at)


def test_key_and_certificate_are_private_files_that_openssl_reads(tmp_path: Path) -> None:
    made = make(tmp_path)
    file = certificates.server_file(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert set(made.names) == set(NAMES)
    assert made.is_self_signed
    assert made.expires_at == AT + (VALID_DAYS - 1) * DAY_US
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    shown = subprocess.run(["openssl", "x509", "-in", file, "-noout", "-text"], capture_output=True, text=True, check=True).stdout
    assert "DNS:queue.internal" in shown
    assert "IP Address:192.0.2.7" in shown
    assert "CA:FALSE" in shown
    assert "TLS Web Server Authentication" in shown


def test_the_pin_is_the_hash_of_the_public_key_as_openssl_prints_it(tmp_path: Path) -> None:
    made = make(tmp_path)
    command = ["openssl", "pkey", "-in", str(certificates.server_file(tmp_path)), "-pubout", "-outform", "DER"]
    der = subprocess.run(command, capture_output=True, check=True).stdout
    assert base64.urlsafe_b64decode(made.pin + "=") == hashlib.sha256(der).digest()


def test_a_certificate_is_renewed_before_it_ends_with_the_same_key(tmp_path: Path) -> None:
    first = make(tmp_path)
    assert make(tmp_path, AT + (VALID_DAYS - RENEW_DAYS - 2) * DAY_US) == first
    renewed = make(tmp_path, AT + (VALID_DAYS - RENEW_DAYS) * DAY_US)
    assert renewed.pin == first.pin
    assert renewed.fingerprint != first.fingerprint
    assert renewed.expires_at > first.expires_at


def test_a_certificate_of_a_clock_that_was_set_back_is_made_again(tmp_path: Path) -> None:
    ahead = make(tmp_path, AT + 400 * DAY_US)
    assert make(tmp_path, AT + 399 * DAY_US) == ahead, "it is valid a day before it was made"
    again = make(tmp_path, AT)
    assert (again.pin, again.expires_at) == (ahead.pin, AT + (VALID_DAYS - 1) * DAY_US)


def test_a_new_name_of_the_host_needs_a_new_certificate_and_a_lost_one_does_not(tmp_path: Path) -> None:
    first = make(tmp_path)
    assert make(tmp_path, names=NAMES[:-1]) == first
    other = make(tmp_path, names=(*NAMES, "192.0.2.8"))
    assert "192.0.2.8" in other.names
    assert other.pin == first.pin


def test_a_rotation_announces_the_next_key_and_only_its_end_changes_what_is_served(tmp_path: Path) -> None:
    first = make(tmp_path)
    assert certificates.next_pin(tmp_path) == ""
    pin = certificates.begin_rotation(tmp_path)
    assert certificates.begin_rotation(tmp_path) == pin == certificates.next_pin(tmp_path) != first.pin
    assert make(tmp_path) == first
    switched = certificates.finish_rotation(tmp_path, NAMES, AT)
    assert switched.pin == pin
    assert certificates.next_pin(tmp_path) == ""
    assert make(tmp_path) == switched
    with pytest.raises(WrongState, match="No key rotation"):
        certificates.finish_rotation(tmp_path, NAMES, AT)


def test_the_public_part_contains_no_key(tmp_path: Path) -> None:
    make(tmp_path)
    public = certificates.public_pem(certificates.server_file(tmp_path))
    assert b"PRIVATE" in certificates.server_file(tmp_path).read_bytes()
    assert public.startswith(b"-----BEGIN CERTIFICATE-----")
    assert b"PRIVATE" not in public


def test_a_damaged_file_is_named_and_never_replaced_by_a_new_key(tmp_path: Path) -> None:
    make(tmp_path)
    file = certificates.server_file(tmp_path)
    file.write_bytes(b"-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n")
    before = file.read_bytes()
    with pytest.raises(StoreError, match=str(file)):
        make(tmp_path)
    assert file.read_bytes() == before


def test_it_is_trusted_as_the_one_certificate_of_a_client_with_strict_rules(tmp_path: Path) -> None:
    """As pip and Python 3.13 verify: the file as the only trust, the name checked, RFC 5280 in full."""
    make(tmp_path, clock.now())
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(certificates.server_file(tmp_path))
    public = tmp_path / "server.crt"
    public.write_bytes(certificates.public_pem(certificates.server_file(tmp_path)))
    client.load_verify_locations(public)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    assert handshake(client, server, "queue.internal")
    assert handshake(client, server, "192.0.2.7")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client, server, "elsewhere.internal")


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> bool:
    """In memory, to its end."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(to_client, to_server, server_hostname=name), server.wrap_bio(to_server, to_client, server_side=True)]
    done = set()
    for _ in range(10):
        for end in ends:
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                continue
    return len(done) == 2
