# SPDX-License-Identifier: AGPL-3.0-or-later
"""A request with a token stays at the address that it was sent to."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from tests.support.endpoints import endpoint
from z4j.listener.redirections import NoRedirections


def test_a_redirection_is_an_error() -> None:
    with endpoint() as server:
        server.statuses[:] = [302]
        with pytest.raises(urllib.error.HTTPError) as failed:
            urllib.request.build_opener(NoRedirections()).open(server.url, timeout=10)
        assert failed.value.code == 302
        failed.value.close()
        assert len(server.received) == 1
