# SPDX-License-Identifier: AGPL-3.0-or-later
"""A running server whose key file is lost keeps its key: a new one would cut off every agent with a pin."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from z4j import clock
from z4j.cli.installation.backup import KEYS
from z4j.exceptions import StoreError
from z4j.listener.tls import RENEW_US, ServerTls
from z4j.settings import Settings


def test_a_lost_file_is_reported_and_not_replaced(tmp_path: Path) -> None:
    tls, at = ServerTls(Settings(data=tmp_path, tls="auto"), clock.now()), clock.now()
    pins = tls.pins
    tls.certificate_file.unlink()
    for later in (0, RENEW_US + 1, 2 * RENEW_US + 2):
        with pytest.raises(StoreError):
            asyncio.run(tls.check(at + later))
    assert tls.certificate.pin == pins[0]
    assert not tls.certificate_file.exists()
    assert "tls/server.pem" in KEYS
