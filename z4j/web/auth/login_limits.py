# SPDX-License-Identifier: AGPL-3.0-or-later
"""Limits of password attempts at sign-in: ten wrong ones in a minute, by address, or by a browser that was used to sign in before.

The number of passwords that are checked at once is limited in `password_hashing`, and wrong codes in `totp`.
"""

from __future__ import annotations

import secrets
from typing import Final

from itsdangerous import BadSignature, URLSafeSerializer

from z4j.exceptions import TooMany
from z4j.rate_limit import Attempts
from z4j.rules.addresses import limit_key

BROWSER_COOKIE: Final = "z4j_browser"
"""Identifies a browser that was used to sign in before. Its attempts are counted separately, so that another client at the same address
cannot lock that person out."""
REFUSED_S: Final = 1.0
"""An attempt over the limit is answered after this time: a client that tries in a loop waits instead of keeping the server busy."""


class LoginLimits:
    """One per process. `browsers` signs the cookie of a browser that was used to sign in."""

    def __init__(self, browsers: URLSafeSerializer) -> None:
        self._attempts = Attempts()
        self._browsers = browsers

    def claim(self, key: str) -> None:
        """Counts an attempt before its password is checked. Raises TooMany."""
        if not self._attempts.claim(key):
            raise too_many()

    def release(self, key: str) -> None:
        """Takes back one claim: the password was correct, or it was not checked."""
        self._attempts.release(key)

    def counted_by(self, browser: str | None, address: str) -> tuple[int, str]:
        """Returns the user of a known browser (0: none), and the key by which its attempts are counted."""
        try:
            user_id, id = self._browsers.loads((browser or "")[:500])
            return int(user_id), f"browser {id}"
        except (BadSignature, ValueError, TypeError):
            return 0, limit_key(address)

    def is_over(self, browser: str | None, address: str) -> bool:
        """Whether an attempt of this browser is refused before its request is read."""
        return self._attempts.is_over(self.counted_by(browser, address)[1])

    def make_browser(self, user_id: int) -> str:
        """Returns the value of the cookie of a browser that this user has used to sign in."""
        return str(self._browsers.dumps([user_id, secrets.token_urlsafe(12)]))


def too_many() -> TooMany:
    """Returns the error for an attempt over the limit."""
    return TooMany("Too many failed attempts from this address.", "Wait a minute and try again.")
