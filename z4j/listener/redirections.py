# SPDX-License-Identifier: AGPL-3.0-or-later
"""For requests that must not be sent elsewhere than to the address that was configured."""

from __future__ import annotations

import urllib.request
from typing import Any


class NoRedirections(urllib.request.HTTPRedirectHandler):
    """A redirection is an HTTPError with its status. urllib would send the headers of the request, and so a token, to the other address."""

    def redirect_request(self, *args: Any) -> None:
        """Follows none."""
