# SPDX-License-Identifier: Apache-2.0
"""The pin is that of the agents' connection strings: the SHA-256 of the public key, whatever the key and the certificate are."""

from __future__ import annotations

import base64
import datetime
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from z4j_agent.connection import tls as agent
from z4j_client.exceptions import NotConfigured
from z4j_client.tls import public_key_info, read_pins

KEYS = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("name", ["z", "queue.internal", "n" * 64])
def test_the_public_key_is_found_in_a_certificate(kind: str, name: str) -> None:
    key = KEYS[kind]()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    at = datetime.datetime(2026, 11, 30, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), at, at + datetime.timedelta(days=1))
    certificate = made.sign(key, None if kind == "Ed25519" else hashes.SHA256()).public_bytes(Encoding.DER)
    info = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert public_key_info(certificate) == info == agent.public_key_info(certificate)


def test_pins_are_read_as_the_server_prints_them() -> None:
    digests = [hashlib.sha256(text).digest() for text in (b"present", b"next")]
    pins = [base64.urlsafe_b64encode(digest).decode() for digest in digests]
    assert read_pins("") == ()
    assert read_pins(pins[0].rstrip("=")) == (digests[0],)
    assert read_pins(f" {pins[0]} , {pins[1].rstrip('=')}") == tuple(digests)
    for wrong in ("x", pins[0][:20], pins[0].replace("_", "/") + "!", f"{pins[0]},x"):
        with pytest.raises(NotConfigured):
            read_pins(wrong)
