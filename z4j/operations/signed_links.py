# SPDX-License-Identifier: AGPL-3.0-or-later
"""Signs the number in a link that works without a sign-in, for a week; the key is a file of the data folder."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

from itsdangerous import BadData, URLSafeTimedSerializer

from z4j import files

KEY_FILE: Final = "alerts.key"
LINK_LIVES_S: Final = 7 * 24 * 3_600


class SignedLinks:
    """Links of one purpose: a code signed for one is not valid for another."""

    def __init__(self, folder: Path, purpose: str) -> None:
        self._folder = folder
        self._purpose = purpose
        self._links: URLSafeTimedSerializer | None = None

    def code(self, id: int) -> str:
        """Returns the signed part of the link."""
        return str(self._signer.dumps(id))

    def id_of(self, code: str) -> int | None:
        """Returns the number, or None if the code is forged, damaged or older than a week."""
        try:
            return int(self._signer.loads(code, max_age=LINK_LIVES_S))
        except (BadData, TypeError, ValueError):
            return None

    @property
    def _signer(self) -> URLSafeTimedSerializer:
        if self._links is None:  # the key is created with the first link
            key = files.load_or_create(self._folder / KEY_FILE, secrets.token_bytes(32))
            self._links = URLSafeTimedSerializer(key, salt=self._purpose)
        return self._links
