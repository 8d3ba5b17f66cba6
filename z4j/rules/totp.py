# SPDX-License-Identifier: AGPL-3.0-or-later
"""Computes codes of authenticator apps (RFC 6238: HMAC-SHA1, six digits, thirty seconds) and recovery codes. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from typing import Final
from urllib.parse import quote

DIGITS: Final = 6
STEP_US: Final = 30_000_000
DRIFT: Final = 1
"""Steps a phone's clock may be off, either way."""
SECRET_BYTES: Final = 20
RECOVERY_CODES: Final = 10
RECOVERY_BYTES: Final = 10
"""Eighty random bits: as good as a token, so SHA-256 is enough to keep them by."""


def code_at(secret: bytes, step: int) -> str:
    """Returns the code of one step of thirty seconds since 1970."""
    digest = hmac.digest(secret, struct.pack(">Q", step), hashlib.sha1)
    offset = digest[-1] & 0x0F
    number = struct.unpack_from(">I", digest, offset)[0] & 0x7FFF_FFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def find_step(secret: bytes, code: str, at: int, last_step: int) -> int | None:
    """Returns the step of `code` if it is near `at` (microseconds UTC) and after `last_step`, the last one that was used. A last step in
    the future is of a clock that was set back since, and refuses nothing: nobody could sign in until the clock reaches it again."""
    now = at // STEP_US
    right = None
    for step in range(now - DRIFT, now + DRIFT + 1):
        if hmac.compare_digest(code_at(secret, step), code) and (step > last_step or last_step > now + DRIFT):
            right = step
    return right


def clean(code: str) -> str:
    """Returns a typed code without spaces and dashes, in small letters; "" if it cannot be a code."""
    compact = code.replace(" ", "").replace("-", "").lower()
    return compact if compact.isascii() and compact.isalnum() and len(compact) <= 32 else ""


def is_app_code(code: str) -> bool:
    """Whether it looks like a code of the app; everything else is taken for a recovery code."""
    return len(code) == DIGITS and code.isdigit()


def base32(secret: bytes) -> str:
    """Returns a secret in base32, for typing it into an authenticator app."""
    return base64.b32encode(secret).decode("ascii").rstrip("=")


def in_groups(text: str) -> str:
    """Splits a text into groups of four."""
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def recovery_code(random: bytes) -> str:
    """Returns random bytes as a recovery code: four groups of four."""
    return in_groups(base32(random).lower()).replace(" ", "-")


def hash_recovery_code(code: str) -> bytes:
    """Returns the hash of a recovery code as it is stored; `code` is cleaned."""
    return hashlib.sha256(b"z4j recovery code\0" + code.encode()).digest()


def enrol_uri(secret: bytes, name: str, host: str) -> str:
    """Returns the otpauth URI for the QR code."""
    issuer = f"z4j {host}".strip()
    return f"otpauth://totp/{quote(issuer, safe='')}:{quote(name, safe='')}?secret={base32(secret)}&issuer={quote(issuer, safe='')}"
