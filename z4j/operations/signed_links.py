# SPDX-License-Identifier: AGPL-3.0-or-later
"""Signs the number in a link that works without a sign-in, for a week; the key is a file of the data folder.

The time at which what has the number was created is signed, too: a number is used again after a deletion, or after a restore of a backup.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

from itsdangerous import BadData, URLSafeTimedSerializer

from z4j import files

KEY_FILE: Final = "alerts.key"
LINK_LIVES_S: Final = 7 * 24 * 3_600
PATHS: Final = ("/acknowledge/", "/incidents/shared/")
"""How the paths of these links begin."""
HIDDEN: Final = "…"


def without_code(path: str) -> str:
    """Returns the path of a request as logs and the audit log contain it: without the code of a link, with which anyone could use it."""
    return next((begin + HIDDEN for begin in PATHS if path.startswith(begin)), path)


class SignedLinks:
    """Links of one purpose: a code signed for one is not valid for another."""

    def __init__(self, folder: Path, purpose: str) -> None:
        self._folder = folder
        self._purpose = purpose
        self._links: URLSafeTimedSerializer | None = None

    def code(self, id: int, made_at: int) -> str:
        """Returns the signed part of the link."""
        return str(self._signer.dumps([id, made_at]))

    def read(self, code: str) -> tuple[int, int] | None:
        """Returns the number and the time, or None if the code is forged, damaged or older than a week."""
        try:
            id, made_at = self._signer.loads(code, max_age=LINK_LIVES_S)
            return int(id), int(made_at)
        except (BadData, TypeError, ValueError):
            return None

    @property
    def _signer(self) -> URLSafeTimedSerializer:
        if self._links is None:  # the key is created with the first link
            key = files.load_or_create(self._folder / KEY_FILE, secrets.token_bytes(32))
            self._links = URLSafeTimedSerializer(key, salt=self._purpose)
        return self._links
