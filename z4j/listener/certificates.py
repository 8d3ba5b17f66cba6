# SPDX-License-Identifier: AGPL-3.0-or-later
"""The server's own key and certificate (`--tls auto`), and what is read of any certificate.

`tls/server.pem` in the data folder contains the private key and its self-signed certificate, in one file so that both change at once.
The certificate is renewed with the same key before it ends and when the host has other names. `tls/next.pem` is the key of a rotation
that has begun: connection strings contain both pins from then on, and `finish_rotation` makes it the key of the server.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from z4j import files
from z4j.clock import DAY_US
from z4j.exceptions import StoreError, WrongState
from z4j.listener import host_names

VALID_DAYS: Final = 397
"""Browsers refuse certificates of a longer life."""
RENEW_DAYS: Final = 30
CLOCK_DAYS: Final = 1
"""A certificate begins this long before it is made, for clients whose clock is behind."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is shown of a certificate. `expires_at` is in microseconds UTC; `fingerprint` is the SHA-256 that browsers show; `pin` is the
    SHA-256 of its public key in URL-safe base64."""

    pin: str
    fingerprint: str
    names: tuple[str, ...]
    expires_at: int
    is_self_signed: bool


def folder_of(data: Path) -> Path:
    """Returns the folder of the server's own key."""
    return data / "tls"


def server_file(data: Path) -> Path:
    """Returns the file of the server's own key and certificate."""
    return folder_of(data) / "server.pem"


def own_names(extra: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of this host. Asks no name server: that could take long without a network."""
    addresses = []
    with contextlib.suppress(OSError):
        addresses += host_names.ipv4_addresses(Path("/proc/net/fib_trie").read_text("ascii"))
    with contextlib.suppress(OSError):
        addresses += host_names.ipv6_addresses(Path("/proc/net/if_inet6").read_text("ascii"))
    return host_names.certificate_names(socket.gethostname(), addresses, extra)


# -- made ------------------------------------------------------------------------------------------------------------------


def prepare(data: Path, names: Sequence[str], at: int) -> Certificate:
    """Creates key and certificate if there are none, and a new certificate with the same key where the present one ends within RENEW_DAYS,
    was made by a clock that was set back since, or lacks one of `names`. Raises StoreError if the files cannot be used."""
    path = server_file(data)
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with contextlib.suppress(FileExistsError):  # another process was first
                files.create_whole(path, _pem(_new_key(), names, at))
        known = read(path)
        is_of_another_clock = known.expires_at - at > VALID_DAYS * DAY_US  # it was set back: not valid yet
        if known.expires_at - at < RENEW_DAYS * DAY_US or is_of_another_clock or set(names) - set(known.names):
            files.write_whole(path, _pem(_key_of(path), names, at))
            known = read(path)
    except OSError as error:
        raise _unusable(path, error) from error
    return known


def begin_rotation(data: Path) -> str:
    """Creates the next key, unless a rotation has begun already. Returns its pin. Raises StoreError."""
    path = folder_of(data) / "next.pem"
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            files.create_whole(path, _key_bytes(_new_key()))
        return _pin_of(_key_of(path))
    except OSError as error:
        raise _unusable(path, error) from error


def next_pin(data: Path) -> str:
    """Returns the pin of the key of a rotation that has begun, or "". Raises StoreError."""
    path = folder_of(data) / "next.pem"
    try:
        return _pin_of(_key_of(path)) if path.exists() else ""
    except OSError as error:
        raise _unusable(path, error) from error


def finish_rotation(data: Path, names: Sequence[str], at: int) -> Certificate:
    """Makes the next key the key of the server, with a certificate of its own. A running server takes it within seconds. Raises WrongState
    where no rotation has begun, and StoreError."""
    path, fresh = server_file(data), folder_of(data) / "next.pem"
    if not fresh.exists():
        raise WrongState("No key rotation is in progress. No changes were made.", "Begin one with `z4j tls rotate`.")
    try:
        files.write_whole(path, _pem(_key_of(fresh), names, at))
        fresh.unlink()
        files.sync_folder(path.parent)
    except OSError as error:
        raise _unusable(path, error) from error
    return read(path)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _key_of(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _damaged(path)
    return key


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _pem(key: ec.EllipticCurvePrivateKey, names: Sequence[str], at: int) -> bytes:
    """Key and certificate. It is no CA: some clients refuse a CA as a server, and as the one trusted certificate it needs none."""
    now = datetime.datetime.fromtimestamp(at // 1_000_000, datetime.UTC)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, next((name for name in names if len(name) <= 64), "z4j")),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "z4j appliance"),
        ]
    )
    listed = [x509.IPAddress(ipaddress.ip_address(name)) if host_names.is_address(name) else x509.DNSName(name) for name in names]
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign", "encipher_only",
         "decipher_only"), False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=CLOCK_DAYS))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS - CLOCK_DAYS))
        .add_extension(x509.SubjectAlternativeName(listed), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _key_bytes(key) + certificate.public_bytes(Encoding.PEM)


def pins_of(certificate: Certificate, following: str = "") -> tuple[str, ...]:
    """Returns the pins of a connection string: of the key, and of the next key if a rotation has begun; none with a certificate of a CA."""
    if not certificate.is_self_signed:
        return ()
    return (certificate.pin, following) if following else (certificate.pin,)


# -- read ------------------------------------------------------------------------------------------------------------------


def read(path: Path) -> Certificate:
    """Reads the first certificate of a PEM file. Raises StoreError where there is none."""
    return _describe(_load(path))


def public_pem(path: Path) -> bytes:
    """Returns the first certificate of a PEM file without anything else of it, as clients may have it. Raises StoreError."""
    return _load(path).public_bytes(Encoding.PEM)


def _load(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise _unusable(path, error) from error
    except ValueError as error:
        raise _damaged(path) from error


def _describe(certificate: x509.Certificate) -> Certificate:
    try:
        listed = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [*listed.get_values_for_type(x509.DNSName), *map(str, listed.get_values_for_type(x509.IPAddress))]
    except x509.ExtensionNotFound:
        names = []
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Certificate(
        pin=_pin(key),
        fingerprint=":".join(f"{byte:02X}" for byte in certificate.fingerprint(hashes.SHA256())),
        names=tuple(names),
        expires_at=int(certificate.not_valid_after_utc.timestamp()) * 1_000_000,
        is_self_signed=certificate.issuer == certificate.subject,
    )


def _pin_of(key: ec.EllipticCurvePrivateKey) -> str:
    return _pin(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _pin(key_info: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(key_info).digest()).decode().rstrip("=")


def _damaged(path: Path) -> StoreError:
    return StoreError(
        f"{path} does not contain a valid PEM key or certificate. No changes were made.",
        "Restore it from a backup. A new key would need a new connection string in every application.",
    )


def _unusable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path} cannot be used: {error.strerror or error}. No changes were made.", "Check the owner and mode of the file.")
