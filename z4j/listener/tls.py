# SPDX-License-Identifier: AGPL-3.0-or-later
"""The TLS of the server: its certificate, which is read again when its files change, and how long it is still valid.

`certificates` is imported where TLS is used: it needs 10 MB and 100 ms, and every server imports this module.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from z4j import clock, logs
from z4j.clock import DAY_US
from z4j.exceptions import StoreError
from z4j.settings import Settings

if TYPE_CHECKING:
    from z4j.listener.certificates import Certificate

WARN_DAYS: Final = (3, 14, 30)
"""The days before its end at which a certificate is warned of, the most urgent first."""
CHECK_S: Final = 2.0
"""Interval of checking the files: two calls of `stat`."""
RENEW_US: Final = 3_600_000_000

Stamp = tuple[int, int, int]


def days_left(certificate: Certificate, at: int) -> int:
    """Returns the whole days until the certificate ends, negative afterwards."""
    return (certificate.expires_at - at) // DAY_US


def is_ending(certificate: Certificate, at: int) -> bool:
    """Whether it is time to warn of the end of the certificate."""
    return days_left(certificate, at) < WARN_DAYS[-1]


class ServerTls:
    """The certificate of one server. `pins` are those of connection strings: none with a certificate that a CA has signed."""

    def __init__(self, settings: Settings, at: int) -> None:
        """Creates the server's own key with `--tls auto`. Raises StoreError if there is no usable key and certificate."""
        from z4j.listener import certificates

        self._data = settings.data
        self._extra: Sequence[str] = (*settings.tls_name, *(() if settings.is_wildcard else (settings.host,)))
        self.is_own = settings.tls == "auto"
        """Whether the certificate is made here."""
        if self.is_own:
            certificates.prepare(self._data, self.names(), at)
        self.certificate_file = certificates.server_file(self._data) if self.is_own else Path(settings.tls_cert)
        self._key_file = self.certificate_file if self.is_own else Path(settings.tls_key)
        self._stamps = self._read_stamps()
        self._renewed_at = at
        self.problem = ""
        """Why the files that are there now are not used; the ones before are."""
        self.context, self.certificate = self._load()

    def names(self) -> tuple[str, ...]:
        """Returns the names of this host now."""
        from z4j.listener import certificates

        return certificates.own_names(self._extra)

    @property
    def pins(self) -> tuple[str, ...]:
        """The pins of a new connection string: of the key, and of the next key if a rotation has begun."""
        from z4j.listener import certificates

        return certificates.pins_of(self.certificate, self.next_pin)

    @property
    def next_pin(self) -> str:
        """The pin of the next key of a rotation that has begun, or ""."""
        from z4j.listener import certificates

        return certificates.next_pin(self._data) if self.is_own else ""

    async def check(self, at: int) -> None:
        """Takes files that have changed into use, and renews the server's own certificate. Raises StoreError; then what is in use
        stays."""
        from z4j.listener import certificates

        if (
            self.is_own and not 0 <= at - self._renewed_at < RENEW_US and self.certificate_file.exists()
        ):  # a new key would cut off every agent
            self._renewed_at = at
            certificates.prepare(self._data, self.names(), at)
        stamps = self._read_stamps()
        if stamps == self._stamps and not self.problem:
            return
        try:
            context, certificate = self._load()
        except StoreError as error:
            self._stamps, self.problem = stamps, error.message
            raise
        is_other = certificate.fingerprint != self.certificate.fingerprint
        self.context, self.certificate, self._stamps, self.problem = context, certificate, stamps, ""
        if is_other:
            logs.certificate_changed(certificate.fingerprint, days_left(certificate, clock.now()))

    def _read_stamps(self) -> tuple[Stamp, Stamp]:
        return _stamp(self.certificate_file), _stamp(self._key_file)

    def _load(self) -> tuple[ssl.SSLContext, Certificate]:
        from z4j.listener import certificates

        certificate = certificates.read(self.certificate_file)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.certificate_file, self._key_file, _no_password)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            reason = getattr(error, "reason", "") or getattr(error, "strerror", "") or str(error)
            raise StoreError(
                f"The certificate {self.certificate_file} cannot be used with the key {self._key_file}: {reason}.",
                "Both must be PEM files that belong together; the key must have no password.",
            ) from error
        return context, certificate


def _no_password() -> str:
    """OpenSSL would ask on the terminal, and block the server."""
    raise ValueError("the key has a password")


def _stamp(path: Path) -> Stamp:
    try:
        facts = os.stat(path)
    except OSError:
        return 0, 0, 0
    return facts.st_mtime_ns, facts.st_size, facts.st_ino
