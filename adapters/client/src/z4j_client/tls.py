# SPDX-License-Identifier: Apache-2.0
"""The TLS context of the client: a pinned public key makes a self-signed certificate safe without a CA.

The pin is the SHA-256 of the server's public key (SPKI) in base64url, as in the connection strings of agents: it stays valid when the
certificate is renewed. It is compared at the end of the handshake, before a byte of HTTP: a wrong server never receives the token. Without
a pin the CAs of the system decide, and those of the CA file. There is no unverified mode.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ssl
from collections.abc import Sequence
from pathlib import Path

from z4j_client.exceptions import NotConfigured


class PinMismatch(ssl.SSLError):
    """The server's public key is not a pinned one."""


def read_pins(text: str) -> tuple[bytes, ...]:
    """Returns the digests of one pin, or of several joined by commas. Raises NotConfigured."""
    pins = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            pin = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            pin = b""
        if len(pin) != hashlib.sha256().digest_size:
            raise NotConfigured(
                "The pin is not a SHA-256 in base64url. Nothing was sent.",
                "Use the value after `pin=` that the server prints at its start.",
            )
        pins.append(pin)
    return tuple(pins)


def make_context(pins: Sequence[bytes], ca_file: str = "") -> ssl.SSLContext:
    """Returns a context that trusts exactly the pinned keys; without pins, the CAs of the system and of `ca_file`. Raises NotConfigured."""
    if pins:
        return _pinned(pins)
    context = ssl.create_default_context()
    if ca_file:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            context.load_verify_locations(Path(ca_file).expanduser())
        except (OSError, ssl.SSLError) as error:
            raise NotConfigured(f"The CA file {ca_file} cannot be read as PEM: {error}. Nothing was sent.") from error
    return context


def _pinned(pins: Sequence[bytes]) -> ssl.SSLContext:
    def check(certificate: bytes | None) -> None:
        digest = hashlib.sha256(public_key_info(certificate)).digest() if certificate else b""
        if not any(hmac.compare_digest(digest, pin) for pin in pins):
            raise PinMismatch("the server's public key is not the pinned one")

    class PinnedSocket(ssl.SSLSocket):  # of the synchronous client
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            check(self.getpeercert(True))

    class PinnedObject(ssl.SSLObject):  # of the asynchronous one
        def do_handshake(self) -> None:
            super().do_handshake()
            check(self.getpeercert(True))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the pin is the verification, and a stricter one
    context.sslsocket_class = PinnedSocket
    context.sslobject_class = PinnedObject
    return context


def public_key_info(der: bytes) -> bytes:
    """Returns the SubjectPublicKeyInfo of a certificate: the seventh field of its TBSCertificate, the version being optional."""
    certificate, _, _ = _element(der, 0)
    at, _, _ = _element(der, certificate)
    _, end, tag = _element(der, at)
    if tag == 0xA0:
        at = end
    for _ in range(5):  # serial, signature, issuer, validity, subject
        _, at, _ = _element(der, at)
    _, end, _ = _element(der, at)
    return der[at:end]


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Returns (start of content, end, tag) of the DER element at `at`."""
    tag, length, start = der[at], der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(der[start : start + size], "big")
        start += size
    return start, start + length, tag
