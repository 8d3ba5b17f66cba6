# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
