# SPDX-License-Identifier: AGPL-3.0-or-later
"""Encrypts values that operators typed until an agent receives them: AES-256-GCM with `values.key`.

The key is in the data folder, outside the database, so a copy of the database does not reveal the values. `cryptography` is imported
with the first such value: it needs 10 MB, and most servers have none.
"""

from __future__ import annotations

import base64
import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from z4j import files
from z4j.exceptions import StoreError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_FILE: Final = "values.key"
_NONCE: Final = 12


class SealError(StoreError):
    """Stored values cannot be decrypted: the key is missing, or is another."""


class Seal:
    """One per database. The key is read, or made, when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / KEY_FILE
        self._aead: AESGCM | None = None

    def close(self, value: Any, about: str) -> str:
        """Encrypts JSON data as text; only `open` with the same `about` can decrypt it."""
        nonce = secrets.token_bytes(_NONCE)
        data = json.dumps(value).encode()
        return base64.b64encode(nonce + self._load(makes=True).encrypt(nonce, data, about.encode())).decode("ascii")

    def open(self, text: str, about: str) -> Any:
        """Decrypts the text. Raises SealError if it was encrypted with another key or another `about`."""
        from cryptography.exceptions import InvalidTag

        try:
            data = base64.b64decode(text)
            return json.loads(self._load(makes=False).decrypt(data[:_NONCE], data[_NONCE:], about.encode()))
        except (InvalidTag, ValueError, FileNotFoundError) as error:
            raise SealError(
                f"The stored values of {about} could not be decrypted with {self.path}. Nothing was sent.",
                "Restore values.key from a backup, or enter the values again.",
            ) from error

    def _load(self, *, makes: bool) -> AESGCM:
        if self._aead is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            key = files.load_or_create(self.path, secrets.token_bytes(32)) if makes else self.path.read_bytes()
            if len(key) != 32:
                raise SealError(f"{self.path} is not a 32-byte key. Nothing was stored.", "Restore it from a backup.")
            self._aead = AESGCM(key)
        return self._aead
