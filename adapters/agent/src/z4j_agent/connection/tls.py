# SPDX-License-Identifier: Apache-2.0
"""The TLS context of the connection: a pinned public key makes a self-signed certificate safe without a CA.

The pin is the SHA-256 of the server's SPKI, so it stays valid when the certificate is renewed. It is compared after the handshake and
before any byte of HTTP: a wrong server never receives the token. Without a pin the system's CAs decide, and the owner's own;
there is no unverified mode.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
from collections.abc import Sequence


class PinMismatch(ssl.SSLError):
    """The server's key is not one of those in the connection string. Raised by the handshake, before any byte of HTTP is sent."""


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """(start of content, end, tag) of the DER element at `at`."""
    tag, length, start = der[at], der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(der[start : start + size], "big")
        start += size
    return start, start + length, tag


def public_key_info(der: bytes) -> bytes:
    """Returns the SubjectPublicKeyInfo (DER) of a certificate (DER) that OpenSSL has read: the seventh field of its TBSCertificate, the
    version being optional (RFC 5280, 4.1)."""
    certificate, _, _ = _element(der, 0)
    at, _, _ = _element(der, certificate)
    _, end, tag = _element(der, at)
    if tag == 0xA0:
        at = end
    for _ in range(5):  # serial, signature, issuer, validity, subject
        _, at, _ = _element(der, at)
    _, end, _ = _element(der, at)
    return der[at:end]


class CannotReadCa(ssl.SSLError):
    """The file of the private CA cannot be read, so no server can be verified with it."""


def make_context(pins: Sequence[bytes], ca: str = "") -> ssl.SSLContext:
    """Returns a client context that trusts exactly the pinned keys (SHA-256 of their SPKI); without pins, the system's CAs and those of the
    file `ca`. Raises CannotReadCa."""
    if not pins:
        context = ssl.create_default_context()
        if ca:
            try:
                context.load_verify_locations(ca)
            except (OSError, ssl.SSLError) as error:
                raise CannotReadCa(f"the file {ca} of Z4J_CA cannot be read as PEM") from error
        return context

    class Pinned(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            der = self.getpeercert(True)
            digest = hashlib.sha256(public_key_info(der or b"")).digest() if der else b""
            if not any(hmac.compare_digest(digest, pin) for pin in pins):
                raise PinMismatch("the server's key differs from those in the connection string")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the pin is the verification, and a stricter one
    context.sslsocket_class = Pinned
    return context
